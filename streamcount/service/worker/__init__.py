"""The worker: Faust agents that turn frames into detections, and detections into tracks, events and counts."""
