"""The first half of the worker: a frame's record becomes detections, or a dead letter that says why not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter

from streamcount.config import Settings
from streamcount.errors import FrameError
from streamcount.service.worker.metrics import WorkerMetrics
from streamcount.service.worker.pipelines import Pipelines
from streamcount.service.worker.records import Output, Record
from streamcount.types import Detections, Frame, FrameMetadata, FramesMissing
from streamcount.wire import decode_image, encode_detections
from streamcount.wire.cloudevents import (
    FRAME_TYPE,
    FRAMES_MISSING_TYPE,
    decode_missing,
    frame_metadata,
    header_map,
)
from streamcount.wire.deadletters import dead_letter_headers

log = logging.getLogger(__name__)


class Detecting:
    """Stateless: each record is judged by itself, on whatever thread, and ends in exactly one way."""

    def __init__(self, settings: Settings, pipelines: Pipelines, metrics: WorkerMetrics) -> None:
        self._limits = settings.limits
        self._pipelines = pipelines
        self._metrics = metrics

    def outputs(self, record: Record) -> Sequence[Output]:
        """Detections, a camera's own FramesMissing passed on, or a dead letter and word of it to the tracker."""
        metadata: FrameMetadata | None = None
        try:
            headers = header_map(record.headers)
            if headers.get("ce_type") == FRAMES_MISSING_TYPE:
                missing = decode_missing(record.key, record.value)
                return [Output("detections", encode_detections(missing))]
            self._check(record, headers.get("ce_type"))
            metadata = frame_metadata(record.key, headers)
            detections = self._detect(record.value or b"", headers["content-type"], metadata)
            return [Output("detections", encode_detections(detections))]
        except FrameError as error:
            return self._rejected(record, metadata, error)
        except Exception as error:
            # Whatever a library makes of strange pixels, it is this frame's fate and not the next one's.
            log.exception(
                "frame %s[%d]@%d could not be processed", record.topic, record.partition, record.offset
            )
            return self._rejected(
                record, metadata, FrameError("model-error", f"{type(error).__name__}: {error}")
            )

    def _check(self, record: Record, ce_type: str | None) -> None:
        if ce_type not in (None, FRAME_TYPE):
            raise FrameError("bad-headers", f"ce_type {ce_type!r} is not {FRAME_TYPE}")
        if not record.value:
            raise FrameError("empty", "the record has no image")
        if len(record.value) > self._limits.frame_bytes:
            raise FrameError(
                "too-many-bytes",
                f"{len(record.value)} bytes are more than {self._limits.frame_bytes} (limits.frame_bytes)",
            )

    def _detect(self, value: bytes, content_type: str, metadata: FrameMetadata) -> Detections:
        started = perf_counter()
        image = decode_image(value, content_type, self._limits.frame_pixels)
        decoded = perf_counter()
        detections = self._pipelines.of(metadata.camera_id).detect(Frame(image, metadata))
        detected = perf_counter()
        self._metrics.stage_seconds.labels("decode").observe(decoded - started)
        self._metrics.stage_seconds.labels("detect").observe(detected - decoded)
        return detections

    def _rejected(
        self, record: Record, metadata: FrameMetadata | None, error: FrameError
    ) -> Sequence[Output]:
        headers = dead_letter_headers(
            record.headers,
            error,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            stage="detect",
        )
        self._metrics.dead_letters.labels(error.reason).inc()
        outputs = [Output("dead-letters", record.value, headers)]
        if metadata is not None:
            self._metrics.frames.labels(metadata.camera_id, "dead-lettered").inc()
            outputs.append(Output("detections", encode_detections(_missing(metadata))))
        return outputs


def _missing(metadata: FrameMetadata) -> FramesMissing:
    return FramesMissing(
        camera_id=metadata.camera_id,
        run_id=metadata.run_id,
        sequence=metadata.sequence,
        last_sequence=metadata.sequence,
        happened_at_ns=metadata.acquired_at_ns,
        decided_at_ns=metadata.acquired_at_ns,
        reason="dead-lettered",
    )
