"""The worker's second half: what it goes on from, and what it takes for told before."""

from __future__ import annotations

import logging

import msgspec
import numpy as np
import pytest

from streamcount.config import parse_settings
from streamcount.pipeline import PipelineState
from streamcount.service.worker.metrics import WorkerMetrics
from streamcount.service.worker.pipelines import Pipelines
from streamcount.service.worker.records import Record
from streamcount.service.worker.state import pack_state
from streamcount.service.worker.tracking import Tracked, Tracking
from streamcount.types import (
    CellAppeared,
    CountsUpdated,
    Detections,
    FrameMetadata,
    ModelIdentity,
    RunStarted,
)
from streamcount.wire import encode_detections, encode_state
from streamcount.wire.records import STATE_VERSION

S = 10**9
MODEL = ModelIdentity(name="watershed", sha256="0" * 64, class_names=("cell",))


def record(sequence: int, at_ns: int, run_id: str = "r1") -> Record:
    """Detections of three cells that stay where they are."""
    centroids = np.array([[20, 20], [20, 60], [60, 40]], np.float32)
    found = Detections(
        metadata=FrameMetadata(camera_id="cam", run_id=run_id, sequence=sequence, acquired_at_ns=at_ns),
        image_shape=(80, 80),
        model=MODEL,
        centroids_px=centroids,
        boxes_px=np.concatenate([centroids - 5, centroids + 5], axis=1),
        areas_px=np.full(3, 80, np.float32),
        class_probabilities=np.full((3, 1), 0.9, np.float32),
    )
    return Record("detections", 0, sequence, b"cam", encode_detections(found), [])


class Camera:
    """A worker's tracking of one camera; `restart` forgets all but what was stored."""

    def __init__(self) -> None:
        self.stored: bytes | None = None
        self._pipelines = Pipelines(parse_settings('detector.kind = "watershed"', environment={}))
        self.restart()

    def restart(self) -> None:
        self._tracking = Tracking(self._pipelines, WorkerMetrics(), lambda camera_id: self.stored)

    def see(self, sequence: int, at_ns: int, run_id: str = "r1") -> Tracked:
        return self._tracking.handle(record(sequence, at_ns, run_id))

    def store(self, state: PipelineState | None, version: int = STATE_VERSION) -> None:
        assert state is not None
        self.stored = pack_state(state.order, bytes([version]) + encode_state(state)[1:])


@pytest.fixture
def camera() -> Camera:
    return Camera()


def test_a_state_of_another_version_is_gone_on_from_behind_its_last_frame(
    camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    for sequence in range(5):
        camera.see(sequence, sequence * S, "r0")
    for sequence in range(10):
        before = camera.see(sequence, (100 + sequence) * S).state
    assert before is not None
    camera.store(before, version=STATE_VERSION - 1)
    camera.restart()
    assert camera.see(7, 107 * S).result.skipped
    assert camera.see(2, 2 * S, "r0").result.skipped, "a late frame of a run that is over"
    with caplog.at_level(logging.WARNING):
        camera.restart()
        tracked = camera.see(10, 110 * S)
    assert "goes on behind frame 9 of run r1" in caplog.text
    assert tracked.state is not None
    assert tracked.state.order > before.order, "or it would be taken for a late one and never be stored"
    assert [type(event) for event in tracked.result.events] == [CountsUpdated]
    # Cells get ids that none had, and none of them is told to have come in.
    told = [
        *tracked.result.events,
        *(e for i in range(11, 16) for e in camera.see(i, (100 + i) * S).result.events),
    ]
    appeared = [event for event in told if isinstance(event, CellAppeared)]
    assert [event.track_id for event in appeared] == [4, 5, 6]
    assert not any(event.entered for event in appeared)


def test_of_a_state_that_tells_nothing_the_next_run_is_a_later_one(camera: Camera) -> None:
    camera.stored = pack_state((4, 900), b"\xff damaged or of another time")
    tracked = camera.see(0, S)
    assert tracked.state is not None
    assert tracked.state.order == (5, 0)
    assert not any(isinstance(event, RunStarted) for event in tracked.result.events)


def test_frames_that_come_again_after_the_clock_was_put_back_are_no_dead_letters(camera: Camera) -> None:
    times = [1000 * S + i * S // 10 for i in range(10)]
    times[9] -= S
    for sequence, at_ns in enumerate(times):
        state = camera.see(sequence, at_ns).state
    camera.store(state)
    camera.restart()
    again = [camera.see(sequence, at_ns) for sequence, at_ns in enumerate(times)]
    assert all(tracked.result.skipped and not tracked.outputs for tracked in again)
    [letter] = camera.see(3, times[8] + S).outputs
    assert letter.topic == "dead-letters", "a new frame with an old number"


def test_what_is_written_by_a_former_form_of_the_position_is_still_read() -> None:
    """Fields that are new have defaults."""
    from streamcount.pipeline import RunPosition
    from streamcount.wire import arrays
    from streamcount.wire.records import decode_position

    old = msgspec.msgpack.encode(
        {"run_id": "r", "last_sequence": 3, "runs_begun": 2, "tracker": {"next_track_id": 9}}
    )
    assert decode_position(b"\x07" + old) == arrays.decode(old, RunPosition)
    assert decode_position(b"\x07" + old).tracker.next_track_id == 9
