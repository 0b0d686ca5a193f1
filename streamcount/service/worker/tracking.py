"""The second half of the worker: detections, in order, become tracks, events and counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from streamcount.config import TopicName
from streamcount.errors import FrameError, StreamcountError
from streamcount.pipeline import Pipeline, PipelineState, RunPosition, StepResult
from streamcount.service.worker.metrics import WorkerMetrics
from streamcount.service.worker.pipelines import Pipelines
from streamcount.service.worker.records import Output, Record, dead_letter
from streamcount.service.worker.state import unpack_state
from streamcount.types import (
    AlertCleared,
    AlertRaised,
    AnyEvent,
    CountsUpdated,
    FrameMetadata,
    FramesMissing,
    WindowClosed,
)
from streamcount.wire import decode_detections, decode_state, encode_event, encode_tracks
from streamcount.wire.cloudevents import record_key
from streamcount.wire.records import OTHER_VERSION, decode_position

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracked:
    """What one record of detections led to; state is None where it told nothing of any camera."""

    camera_id: str
    state: PipelineState | None
    result: StepResult
    outputs: Sequence[Output]


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

    def handle(self, record: Record) -> Tracked:
        """Advances the camera of the record by one; what cannot be read is put aside and changes nothing."""
        try:
            return self._advance(record)
        except FrameError as error:
            self._metrics.dead_letters.labels(error.reason).inc()
            return Tracked("", None, StepResult(skipped=True), [dead_letter(record, error, "track")])

    def _advance(self, record: Record) -> Tracked:
        started = perf_counter()
        camera_id = record_key(record.key)
        pipeline = self._pipelines.of(camera_id)
        before = self._states.get(camera_id) or self._recovered(camera_id, pipeline)
        message = decode_detections(record.value or b"")
        told_by = message if isinstance(message, FramesMissing) else message.metadata
        if told_by.camera_id != camera_id:
            raise FrameError("bad-record", f"the key says camera {camera_id}, the record {told_by.camera_id}")
        if isinstance(message, FramesMissing):
            state, result = pipeline.miss(before, message)
        else:
            state, result = pipeline.advance(before, message)
            if result.skipped:
                _check_repeated(before, message.metadata)
        self._states[camera_id] = state
        tracked = perf_counter()
        outputs = list(_outputs(result))
        self._metrics.stage_seconds.labels("track").observe(tracked - started)
        self._metrics.stage_seconds.labels("encode").observe(perf_counter() - tracked)
        return Tracked(camera_id, state, result, outputs)

    def _recovered(self, camera_id: str, pipeline: Pipeline) -> PipelineState:
        value = self._stored(camera_id)
        if not value:
            return pipeline.initial_state(camera_id)
        (runs_begun, _), stored = unpack_state(value)
        try:
            return decode_state(stored)
        except FrameError as error:
            if error.reason != OTHER_VERSION:
                # To begin anew would change results without a word.
                raise StreamcountError(
                    f"the stored state of camera {camera_id} is damaged: {error}"
                ) from error
        try:
            position = decode_position(stored)
        except FrameError:
            # The next run is a later one than any that was stored, or its states would be taken for old ones.
            position = RunPosition(runs_begun=runs_begun)
        log.warning(
            "camera %s: its state is of another version of streamcount, so cells in view get new ids and open "
            "windows are lost; it goes on behind frame %d of run %s",
            camera_id, position.last_sequence, position.run_id or "unknown",
        )  # fmt: skip
        return pipeline.resumed_state(camera_id, position)

    def confirmed(self, tracked: Tracked, captured_at_s: float, now_s: float) -> None:
        """Counts in the metrics what Kafka has confirmed."""
        metrics, camera_id, result = self._metrics, tracked.camera_id, tracked.result
        if tracked.state is None:
            return
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


def _check_repeated(state: PipelineState, metadata: FrameMetadata) -> None:
    """A frame that was counted before is older than the newest; a new one with an old number must not vanish."""
    if metadata.acquired_at_ns > max(state.latest_acquired_at_ns, state.last_acquired_at_ns):
        raise FrameError(
            "stale-sequence",
            f"frame {metadata.sequence} of run {metadata.run_id} is new, but its number is not: the camera "
            f"{metadata.camera_id} is at {state.last_sequence} of run {state.run_id}. Give each start of a camera a "
            "new run, and each camera a name of its own",
        )


def _outputs(result: StepResult) -> Sequence[Output]:
    outputs = [Output(_home(event), encode_event(event)) for event in result.events]
    if result.tracks is not None and result.detections is not None:
        value = encode_tracks(result.tracks, result.detections.model.class_names)
        outputs.append(Output("tracks", value))
    return outputs


def _home(event: AnyEvent) -> TopicName:
    if isinstance(event, CountsUpdated):
        return "counts"
    if isinstance(event, WindowClosed):
        return "windows"
    return "alerts" if isinstance(event, AlertRaised | AlertCleared) else "events"
