"""The second half of the worker: detections, in order, become tracks, events and counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from streamcount.config import TopicName
from streamcount.pipeline import PipelineState, StepResult
from streamcount.service.worker.metrics import WorkerMetrics
from streamcount.service.worker.pipelines import Pipelines
from streamcount.service.worker.records import Output, Record
from streamcount.service.worker.state import unpack_state
from streamcount.types import AlertCleared, AlertRaised, AnyEvent, CountsUpdated, FramesMissing
from streamcount.wire import decode_detections, decode_state, encode_event, encode_state, encode_tracks
from streamcount.wire.cloudevents import record_key


@dataclass(frozen=True)
class Tracked:
    """What one record of detections led to."""

    camera_id: str
    state: PipelineState
    result: StepResult
    outputs: Sequence[Output]

    def encoded_state(self) -> bytes:
        """The state as bytes, for the table."""
        return encode_state(self.state)


class Tracking:
    """Keeps each camera's newest state while its partition is ours.

    stored: the table's value for a camera, None if it has none.
    """

    def __init__(
        self, pipelines: Pipelines, metrics: WorkerMetrics, stored: Callable[[str], bytes | None]
    ) -> None:
        self._pipelines = pipelines
        self._metrics = metrics
        self._stored = stored
        self._states: dict[str, PipelineState] = {}

    def forget_all(self) -> None:
        """Partitions were assigned anew: what is in the table counts, not what was in the making here."""
        self._states.clear()

    def advance(self, record: Record) -> Tracked:
        """Advances the camera of the record by one. Raises FrameError for what no worker wrote."""
        started = perf_counter()
        camera_id = record_key(record.key)
        pipeline = self._pipelines.of(camera_id)
        state = self._states.get(camera_id)
        if state is None:
            value = self._stored(camera_id)
            state = decode_state(unpack_state(value)[1]) if value else pipeline.initial_state(camera_id)
        message = decode_detections(record.value or b"")
        if isinstance(message, FramesMissing):
            state, result = pipeline.miss(state, message)
        else:
            state, result = pipeline.advance(state, message)
        self._states[camera_id] = state
        tracked = perf_counter()
        outputs = list(_outputs(result))
        self._metrics.stage_seconds.labels("track").observe(tracked - started)
        self._metrics.stage_seconds.labels("encode").observe(perf_counter() - tracked)
        return Tracked(camera_id, state, result, outputs)

    def confirmed(self, tracked: Tracked, captured_at_s: float, now_s: float) -> None:
        """Counts in the metrics what Kafka has confirmed."""
        metrics, camera_id, result = self._metrics, tracked.camera_id, tracked.result
        if result.skipped:
            metrics.frames.labels(camera_id, "repeated").inc()
            return
        for event in result.events:
            metrics.events.labels(event.kind).inc()
            if isinstance(event, FramesMissing) and event.reason != "dead-lettered":
                metrics.frames.labels(camera_id, "missing").inc(event.frames)
            elif isinstance(event, CountsUpdated):
                for name, number in event.counts.items():
                    metrics.cells.labels(camera_id, name).set(number)
        if result.detections is not None:
            metrics.frames.labels(camera_id, "counted").inc()
            metrics.last_processed.labels(camera_id).set(result.detections.metadata.acquired_at_ns / 1e9)
            metrics.latency_seconds.labels(camera_id).observe(max(0.0, now_s - captured_at_s))


def _outputs(result: StepResult) -> Sequence[Output]:
    outputs = [Output(_home(event), encode_event(event)) for event in result.events]
    if result.tracks is not None and result.detections is not None:
        value = encode_tracks(result.tracks, result.detections.model.class_names)
        outputs.append(Output("tracks", value))
    return outputs


def _home(event: AnyEvent) -> TopicName:
    if isinstance(event, CountsUpdated):
        return "counts"
    return "alerts" if isinstance(event, AlertRaised | AlertCleared) else "events"
