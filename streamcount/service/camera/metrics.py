"""What a camera process tells Prometheus, and the sums that its own report needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Outcome: TypeAlias = Literal["sent", "dropped", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("sent", "dropped", "failed")

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class CameraMetrics:
    """The families of one process; each camera has its own children of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["camera"]
        self.frames = Counter(
            "streamcount_camera_frames",
            "Frames by what became of them: confirmed by Kafka, dropped from a full buffer, or refused.",
            [*labels, "outcome"],
            registry=registry,
        )
        self.bytes = Counter(
            "streamcount_camera_bytes", "Encoded images confirmed by Kafka, bytes.", labels, registry=registry
        )
        self.buffer_bytes = Gauge(
            "streamcount_camera_buffer_bytes",
            "Frames that wait to be sent, bytes.",
            labels,
            registry=registry,
        )
        self.in_flight_bytes = Gauge(
            "streamcount_camera_in_flight_bytes",
            "Frames sent and not yet confirmed by Kafka, bytes.",
            labels,
            registry=registry,
        )
        self.encode_seconds = Histogram(
            "streamcount_camera_encode_seconds",
            "Encoding a frame.",
            labels,
            registry=registry,
            buckets=SECONDS,
        )
        self.ack_seconds = Histogram(
            "streamcount_camera_ack_seconds",
            "From handing a frame to the Kafka client to Kafka's confirmation.",
            labels,
            registry=registry,
            buckets=SECONDS,
        )
        self.last_frame = Gauge(
            "streamcount_camera_last_frame_timestamp_seconds",
            "When the last confirmed frame was taken, seconds since 1970 UTC.",
            labels,
            registry=registry,
        )

    def for_camera(self, camera_id: str) -> CameraMeter:
        """The meter of one camera, all its series at zero."""
        return CameraMeter(self, camera_id)


class CameraMeter:
    """Counts for one camera, for Prometheus and for the report at the end.

    sent, dropped, failed: frames; sent_bytes: encoded images that Kafka has confirmed.
    """

    def __init__(self, metrics: CameraMetrics, camera_id: str) -> None:
        self.sent = 0
        self.dropped = 0
        self.failed = 0
        self.sent_bytes = 0
        self._lock = threading.Lock()
        self._frames = {outcome: metrics.frames.labels(camera_id, outcome) for outcome in OUTCOMES}
        self._bytes = metrics.bytes.labels(camera_id)
        self._buffer_bytes = metrics.buffer_bytes.labels(camera_id)
        self._in_flight_bytes = metrics.in_flight_bytes.labels(camera_id)
        self._last_frame = metrics.last_frame.labels(camera_id)
        self._encode_seconds = metrics.encode_seconds.labels(camera_id)
        self._ack_seconds = metrics.ack_seconds.labels(camera_id)

    def watch(self, buffer_bytes: Callable[[], int], in_flight_bytes: Callable[[], int]) -> None:
        """Takes the two gauges from where they are known, when they are asked for."""
        self._buffer_bytes.set_function(buffer_bytes)
        self._in_flight_bytes.set_function(in_flight_bytes)

    def frame_encoded(self, seconds: float) -> None:
        """A frame was encoded."""
        self._encode_seconds.observe(seconds)

    def frame_sent(self, size_bytes: int, captured_at_ms: int, ack_seconds: float) -> None:
        """Kafka has confirmed a frame."""
        with self._lock:
            self.sent += 1
            self.sent_bytes += size_bytes
        self._frames["sent"].inc()
        self._bytes.inc(size_bytes)
        self._last_frame.set(captured_at_ms / 1000)
        self._ack_seconds.observe(ack_seconds)

    def frames_dropped(self, frames: int) -> None:
        """Frames had to make room."""
        with self._lock:
            self.dropped += frames
        self._frames["dropped"].inc(frames)

    def frames_failed(self, frames: int) -> None:
        """Frames that cannot be sent at all."""
        with self._lock:
            self.failed += frames
        self._frames["failed"].inc(frames)
