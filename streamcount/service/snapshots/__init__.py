"""Pictures of abnormal cells: a consumer of its own cuts them from the frames that Kafka still keeps."""
