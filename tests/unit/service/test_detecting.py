"""The first half of the worker without a broker: label images must come as they were."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.config import parse_settings
from streamcount.service.worker.detecting import Detecting
from streamcount.service.worker.metrics import WorkerMetrics
from streamcount.service.worker.pipelines import Pipelines
from streamcount.service.worker.records import Record
from streamcount.types import Detections, FrameMetadata, FramesMissing
from streamcount.wire import decode_detections, encode_image
from streamcount.wire.cloudevents import frame_headers
from streamcount.wire.images import CONTENT_TYPES, Encoding


def outputs_of(kind: str, encoding: Encoding):
    settings = parse_settings(f'detector.kind = "{kind}"', environment={})
    labels = np.zeros((64, 96), np.uint8)
    labels[5:25, 5:25], labels[5:25, 40:60] = 1, 2
    metadata = FrameMetadata(camera_id="a", run_id="run-1", sequence=0, acquired_at_ns=10**18)
    headers = frame_headers(metadata, CONTENT_TYPES[encoding])
    record = Record("frames", 0, 0, b"a", encode_image(labels, encoding), headers)
    return Detecting(settings, Pipelines(settings), WorkerMetrics()).outputs(record)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_label_images_as_they_were_are_counted(encoding: Encoding) -> None:
    [found] = outputs_of("labels", encoding)
    told = decode_detections(found.value)
    assert isinstance(told, Detections)
    assert len(told) == 2


def test_label_images_that_jpeg_changed_are_dead_letters_that_say_so() -> None:
    letter, missing = outputs_of("labels", "jpeg")
    assert letter.topic == "dead-letters"
    assert ("streamcount.reason", b"lossy-labels") in letter.headers
    told = decode_detections(missing.value)
    assert isinstance(told, FramesMissing)
    assert told.reason == "dead-lettered"


def test_jpeg_is_good_enough_for_pictures() -> None:
    [found] = outputs_of("watershed", "jpeg")
    assert isinstance(decode_detections(found.value), Detections)
