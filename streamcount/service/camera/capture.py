"""From a source to a camera's buffer: at its pace, encoded, and with each number accounted for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import cv2
import msgspec

from streamcount.errors import FrameError
from streamcount.service.camera.buffer import Entry, FrameBuffer, Gap, WaitingFrame
from streamcount.service.camera.metrics import CameraMeter
from streamcount.sources.base import Run, Source
from streamcount.types import Frame
from streamcount.wire.cloudevents import frame_headers
from streamcount.wire.images import CONTENT_TYPES, Encoding, encode_image

log = logging.getLogger(__name__)

# A camera this late gives up its schedule rather than to catch up in a burst.
FORGIVEN_S = 0.25


class Pacer:
    """Lets `wait` return `rate_hz` times a second.

    Small delays are caught up, so that the mean rate holds. One that is later than FORGIVEN_S begins a new
    schedule there: after a minute's stop no minute's worth of frames comes at once.
    sleep: seconds; may return early. now: seconds that only grow.
    """

    def __init__(
        self,
        rate_hz: float | None,
        sleep: Callable[[float], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval_s = 1 / rate_hz if rate_hz else 0.0
        self._sleep = sleep
        self._now = now
        self._due_s: float | None = None

    def wait(self) -> None:
        """Returns when the next frame is due; at once without a rate."""
        if not self._interval_s:
            return
        now = self._now()
        due = now if self._due_s is None or now - self._due_s > FORGIVEN_S else self._due_s
        if due > now:
            self._sleep(due - now)
        self._due_s = due + self._interval_s


class CaptureClock:
    """The computer's clock, which remembers when the current frame asked for it."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._asked_ns: int | None = None

    def __call__(self) -> int:
        """Nanoseconds since 1970 UTC."""
        self._asked_ns = self._now_ns()
        return self._asked_ns

    def captured_ms(self) -> int:
        """When this frame was taken: as its source asked, or now where a recording has times of its own."""
        asked_ns, self._asked_ns = self._asked_ns, None
        return (self._now_ns() if asked_ns is None else asked_ns) // 1_000_000


@dataclass(frozen=True)
class Encoder:
    """How one camera's frames become bytes.

    pixel_size_um: in place of what the source says; None to leave that.
    max_bytes: an encoded image beyond it is not sent.
    """

    encoding: Encoding
    jpeg_quality: int
    pixel_size_um: float | None
    max_bytes: int

    def encode(self, frame: Frame, captured_at_ms: int) -> WaitingFrame:
        """The frame as it will lie in Kafka. Raises FrameError ("cannot-encode", "too-large")."""
        metadata = frame.metadata
        if self.pixel_size_um is not None:
            metadata = msgspec.structs.replace(metadata, pixel_size_um=self.pixel_size_um)
        try:
            value = encode_image(frame.image, self.encoding, self.jpeg_quality)
        except cv2.error as error:
            message = f"OpenCV cannot write {frame.image.shape} as {self.encoding}: {error}"
            raise FrameError("cannot-encode", message) from error
        if len(value) > self.max_bytes:
            raise FrameError(
                "too-large",
                f"{len(value):,} bytes exceed limits.frame_bytes = {self.max_bytes:,}; raise it, or use jpeg",
            )
        return WaitingFrame(
            sequence=metadata.sequence,
            acquired_at_ns=metadata.acquired_at_ns,
            captured_at_ms=captured_at_ms,
            value=value,
            headers=frame_headers(metadata, CONTENT_TYPES[self.encoding]),
        )


@dataclass
class Capture:
    """One camera's run from its source into its buffer, on a thread that calls `run`.

    frames: how many at most; None for all.
    """

    source: Source
    camera_id: str
    run_id: str
    encoder: Encoder
    buffer: FrameBuffer
    meter: CameraMeter
    frames: int | None = None

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._told: set[str] = set()
        self.captured = 0

    @property
    def frame_count(self) -> int | None:
        """How many frames this run will have; None where nobody knows."""
        counts = [count for count in (self.source.frame_count, self.frames) if count is not None]
        return min(counts, default=None)

    def stop(self) -> None:
        """Ends `run` after the frame in hand, which is left out if it finds no room in the buffer."""
        self._stopped.set()
        self.buffer.close()

    def run(self) -> None:
        """Takes frames until the source ends or `stop`; closes the buffer. Raises as the source does."""
        clock = CaptureClock()
        pacer = Pacer(self.source.rate_hz, self._stopped.wait)
        frames = self.source.frames(Run(self.camera_id, self.run_id, clock))
        try:
            while not self._stopped.is_set() and self.captured != self.frames:
                pacer.wait()
                if self._stopped.is_set() or (frame := next(frames, None)) is None:
                    break
                if not self._keep(frame, clock.captured_ms()):
                    break
        finally:
            # A generator, as sources are, frees its camera or file here and not when it is collected.
            if isinstance(frames, Generator):
                frames.close()
            self.buffer.close()

    def _keep(self, frame: Frame, captured_at_ms: int) -> bool:
        entry: Entry
        started = time.perf_counter()
        try:
            entry = self.encoder.encode(frame, captured_at_ms)
        except FrameError as error:
            entry = self._refused(frame, error)
        else:
            self.meter.frame_encoded(time.perf_counter() - started)
        dropped_before = self.buffer.dropped_frames
        if not self.buffer.put(entry):
            return False
        self.captured += 1
        if isinstance(entry, Gap):
            self.meter.frames_failed(1)
        self._tell_dropped(self.buffer.dropped_frames - dropped_before)
        return True

    def _refused(self, frame: Frame, error: FrameError) -> Gap:
        if error.reason not in self._told:
            self._told.add(error.reason)
            log.error(
                "camera %s: frame %d cannot be sent and is told as missing (said once): %s",
                self.camera_id,
                frame.metadata.sequence,
                error,
            )
        sequence, time_ns = frame.metadata.sequence, frame.metadata.acquired_at_ns
        return Gap(sequence, sequence, time_ns, time_ns, error.reason)

    def _tell_dropped(self, frames: int) -> None:
        if not frames:
            return
        self.meter.frames_dropped(frames)
        if "dropped" not in self._told:
            self._told.add("dropped")
            log.warning(
                "camera %s: the buffer is full; the oldest frames are dropped (said once)", self.camera_id
            )
