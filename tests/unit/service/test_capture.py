"""The camera's pace and clock, with time in the test's own hands."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.errors import FrameError
from streamcount.service.camera.capture import FORGIVEN_S, CaptureClock, Encoder, Pacer
from streamcount.service.camera.run import run_id_for
from streamcount.types import Frame, FrameMetadata
from streamcount.wire import decode_image
from streamcount.wire.cloudevents import frame_metadata, header_map


class Time:
    """A clock that moves when it is slept on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def due_times(pacer: Pacer, time: Time, work_s: list[float]) -> list[float]:
    """When each frame is begun, where each takes so long."""
    begun = []
    for seconds in work_s:
        pacer.wait()
        begun.append(round(time.now_s - 100, 6))
        time.now_s += seconds
    return begun


def test_frames_come_at_their_rate(time: Time) -> None:
    assert due_times(Pacer(10, time.sleep, time.now), time, [0.02] * 4) == [0, 0.1, 0.2, 0.3]


def test_a_small_delay_is_caught_up(time: Time) -> None:
    assert due_times(Pacer(10, time.sleep, time.now), time, [0.02, 0.25, 0.02, 0.02, 0]) == [
        0, 0.1, 0.35, 0.37, 0.4,
    ]  # fmt: skip


def test_after_a_long_stop_nothing_bursts(time: Time) -> None:
    stop_s = 60 + FORGIVEN_S
    begun = due_times(Pacer(10, time.sleep, time.now), time, [0, stop_s, 0, 0, 0])
    assert begun == [0, 0.1, 0.1 + stop_s, 0.2 + stop_s, 0.3 + stop_s]


def test_without_a_rate_nothing_waits(time: Time) -> None:
    assert due_times(Pacer(None, time.sleep, time.now), time, [0] * 3) == [0, 0, 0]


def test_the_capture_is_when_the_source_asked_for_the_time() -> None:
    moments = iter([5_000_000, 9_000_000, 20_000_000])
    clock = CaptureClock(lambda: next(moments))
    assert clock() == 5_000_000
    assert clock.captured_ms() == 5
    # A recording with times of its own does not ask: it is captured as it is played.
    assert clock.captured_ms() == 9
    assert clock.captured_ms() == 20


def frame(**metadata: object) -> Frame:
    image = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    common = {"camera_id": "scope-1", "run_id": "run-1", "sequence": 4, "acquired_at_ns": 12}
    return Frame(image, FrameMetadata(**{**common, **metadata}))  # type: ignore[arg-type]


def test_a_frame_is_encoded_with_all_that_is_known_of_it() -> None:
    waiting = Encoder("raw", 92, 0.5, 10_000).encode(frame(pixel_size_um=0.25, exposure_ms=3.0), 77)
    headers = header_map(waiting.headers)
    metadata = frame_metadata(b"scope-1", headers)
    assert metadata == frame(pixel_size_um=0.5, exposure_ms=3.0).metadata
    assert (decode_image(waiting.value, headers["content-type"], 10_000) == frame().image).all()
    assert (waiting.captured_at_ms, waiting.size_bytes) == (77, len(waiting.value))


def test_a_frame_that_exceeds_the_limit_says_which() -> None:
    with pytest.raises(FrameError, match=r"limits\.frame_bytes = 5,000") as error:
        Encoder("raw", 92, None, 5_000).encode(frame(), 0)
    assert error.value.reason == "too-large"


def test_a_run_is_named_after_its_time() -> None:
    assert run_id_for(1_769_860_800_250_999_999) == "20260131T120000.250Z"
