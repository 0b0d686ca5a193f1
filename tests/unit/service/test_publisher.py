"""What a camera's publisher makes of Kafka's refusals; the errors are those of the client, told to it by hand."""

from __future__ import annotations

import time

import pytest
from kafka import errors
from prometheus_client import CollectorRegistry

from streamcount.errors import BrokerError
from streamcount.service.camera.buffer import FrameBuffer, Gap, WaitingFrame
from streamcount.service.camera.metrics import CameraMetrics
from streamcount.service.camera.publisher import REFUSALS, Destination, Publisher

NOBODY = Destination("127.0.0.1:9", "frames", 2**20, "scope-1", "run-1")


def publisher_and_buffer() -> tuple[Publisher, FrameBuffer]:
    buffer = FrameBuffer(2**20, "block")
    return Publisher(NOBODY, buffer, CameraMetrics(CollectorRegistry()).for_camera("scope-1")), buffer


def frame(sequence: int) -> WaitingFrame:
    return WaitingFrame(sequence, 0, time.time_ns() // 1_000_000, b"image", [])


def refuse(publisher: Publisher, error: Exception, *frames: WaitingFrame) -> None:
    for one in frames:
        publisher._on_failure(one, error)
    publisher._settle()


def test_a_frame_that_is_refused_alone_again_and_again_becomes_a_gap() -> None:
    publisher, buffer = publisher_and_buffer()
    for _ in range(REFUSALS - 1):
        refuse(publisher, errors.PolicyViolationError(), frame(3))
        assert publisher.away
        assert isinstance(buffer.take(0), WaitingFrame)
    refuse(publisher, errors.PolicyViolationError(), frame(3))
    gap = buffer.take(0)
    assert isinstance(gap, Gap)
    assert (gap.sequence, gap.last_sequence, gap.reason) == (3, 3, "refused")


def test_frames_that_failed_together_are_sent_again() -> None:
    publisher, buffer = publisher_and_buffer()
    for _ in range(REFUSALS + 1):
        refuse(publisher, errors.PolicyViolationError(), frame(1), frame(2))
        assert [buffer.take(0).sequence, buffer.take(0).sequence] == [1, 2]


@pytest.mark.parametrize(
    "error", [errors.NotEnoughReplicasError(), errors.UnknownError(), errors.KafkaTimeoutError()]
)
def test_what_waiting_may_mend_is_never_given_up(error: Exception) -> None:
    publisher, buffer = publisher_and_buffer()
    for _ in range(REFUSALS + 1):
        refuse(publisher, error, frame(1))
        assert isinstance(buffer.take(0), WaitingFrame)
        assert publisher.away


@pytest.mark.parametrize(
    "error",
    [errors.InvalidTimestampError(), errors.TopicAuthorizationFailedError(), errors.InvalidTopicError()],
)
def test_what_refuses_all_frames_ends_the_camera(error: Exception) -> None:
    publisher, _ = publisher_and_buffer()
    with pytest.raises(BrokerError, match="Kafka refuses records for frames"):
        refuse(publisher, error, frame(1), frame(2))
    assert publisher.unconfirmed_frames == 2
