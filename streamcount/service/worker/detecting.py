"""The first half of the worker: a frame's record becomes detections, or a dead letter that says why not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter

from streamcount.config import Settings
from streamcount.detection import LabelsDetector
from streamcount.errors import FrameError
from streamcount.service.worker.metrics import WorkerMetrics
from streamcount.service.worker.pipelines import Pipelines
from streamcount.service.worker.records import Output, Record, dead_letter
from streamcount.types import Detections, Frame, FrameMetadata, FramesMissing
from streamcount.wire import decode_image, encode_detections
from streamcount.wire.cloudevents import (
    FRAME_TYPE,
    FRAMES_MISSING_TYPE,
    decode_missing,
    frame_metadata,
    header_map,
)

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
            if headers.get("ce_type") not in (None, FRAME_TYPE):
                raise FrameError("bad-headers", f"ce_type is neither {FRAME_TYPE} nor {FRAMES_MISSING_TYPE}")
            metadata = frame_metadata(record.key, headers)
            self._check_size(record)
            detections = self._detect(record.value or b"", headers["content-type"], metadata)
            return [Output("detections", encode_detections(detections))]
        except FrameError as error:
            return self._rejected(record, metadata, error)
        except MemoryError:
            # The machine's fault and not the frame's: whoever comes next may have the room.
            raise
        except Exception as error:
            # Whatever a library makes of strange pixels, it is this frame's fate and not the next one's.
            log.exception(
                "frame %s[%d]@%d could not be processed", record.topic, record.partition, record.offset
            )
            return self._rejected(
                record, metadata, FrameError("model-error", f"{type(error).__name__}: {error}")
            )

    def _check_size(self, record: Record) -> None:
        if not record.value:
            raise FrameError("empty", "the record has no image")
        if len(record.value) > self._limits.frame_bytes:
            raise FrameError(
                "too-many-bytes",
                f"{len(record.value)} bytes are more than {self._limits.frame_bytes} (limits.frame_bytes)",
            )

    def _detect(self, value: bytes, content_type: str, metadata: FrameMetadata) -> Detections:
        pipeline = self._pipelines.of(metadata.camera_id)
        if isinstance(pipeline.detector, LabelsDetector) and content_type == "image/jpeg":
            raise FrameError(
                "lossy-labels",
                "JPEG has changed the values that tell labelled cells apart; send labels as PNG or raw",
            )
        started = perf_counter()
        image = decode_image(value, content_type, self._limits.frame_pixels)
        decoded = perf_counter()
        # For those who look at the detections; nothing that is counted depends on them.
        detections = pipeline.detect(Frame(image, metadata), outlines=True)
        detected = perf_counter()
        self._metrics.stage_seconds.labels("decode").observe(decoded - started)
        self._metrics.stage_seconds.labels("detect").observe(detected - decoded)
        return detections

    def _rejected(
        self, record: Record, metadata: FrameMetadata | None, error: FrameError
    ) -> Sequence[Output]:
        self._metrics.dead_letters.labels(error.reason).inc()
        outputs = [dead_letter(record, error, "detect")]
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
