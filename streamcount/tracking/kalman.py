"""The Kalman tracker: predicts each cell, and links frame by frame at the least total cost."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from streamcount.tracking.assignment import assign
from streamcount.tracking.gating import class_difference, overlaps, pairs_within, size_difference
from streamcount.tracking.motion import Float64Array, MotionModel
from streamcount.tracking.state import PER_TRACK, TrackerState, empty_state, with_classes
from streamcount.types import Detections, Int64Array, Tracks, TrackStatus

# The gate of a cell that is out of sight widens as a random walk does, but no further than this.
WIDEST_GATE = 2.0
# Share of a newly seen area in the smoothed one.
AREA_SHARE = 0.3


class KalmanConfig(BaseModel):
    """Settings of the Kalman tracker. Distances are in cell diameters, so they hold at any magnification."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["kalman"] = Field(default="kalman", description="Which tracker.")
    confirm_hits: int = Field(
        default=3, ge=1, le=100, description="Frames in a row that make a track trusted."
    )
    max_misses: int = Field(
        default=2, ge=0, le=1000, description="Frames a trusted track may be out of sight."
    )
    max_gap_frames: int = Field(
        default=30,
        ge=0,
        le=1000,
        description="Frames nobody saw, in a row, after which no track is continued.",
    )
    gate_diameters: float = Field(
        default=1.25,
        gt=0,
        le=20,
        description="How far from its expected place a cell is looked for, in its diameters.",
    )
    max_cost: float = Field(
        default=1.5, gt=0, le=10, description="What a link may cost; less links fewer doubtful pairs."
    )
    overlap_weight: float = Field(
        default=0.5, ge=0, le=10, description="Cost of a box that does not overlap."
    )
    size_weight: float = Field(
        default=0.25, ge=0, le=10, description="Cost of an area four times as large or small."
    )
    class_weight: float = Field(default=0.25, ge=0, le=10, description="Cost of a wholly different class.")
    measurement_noise: float = Field(
        default=0.05, gt=0, le=5, description="Error of a centroid, in diameters."
    )
    acceleration_noise: float = Field(
        default=0.1, gt=0, le=5, description="Change of speed a frame, in diameters."
    )
    persistence: float = Field(default=0.95, ge=0, le=1, description="Share of the speed left a frame later.")

    def build(self) -> KalmanTracker:
        """The tracker."""
        return KalmanTracker(self)


class KalmanTracker:
    """Online linking with a Kalman filter per cell and sparse assignment.

    A frame that nobody saw is not a miss: no one looked. Over a hole of `missed_frames` every track is
    predicted frame by frame, its uncertainty grows and its gate widens; the first frame after the hole counts
    as one look. After a hole longer than `max_gap_frames` no link can be trusted, so all tracks end and new
    ones begin. A tentative track that is not seen at a look ends at once; a confirmed one is lost until it is
    seen again, and ends after more than `max_misses` looks.
    """

    def __init__(self, config: KalmanConfig | None = None) -> None:
        self.config = config or KalmanConfig()
        self._motion = MotionModel(
            measurement=self.config.measurement_noise,
            acceleration=self.config.acceleration_noise,
            persistence=self.config.persistence,
        )

    def initial_state(self) -> TrackerState:
        """No tracks."""
        return empty_state()

    def update(
        self, state: TrackerState, detections: Detections, missed_frames: int
    ) -> tuple[TrackerState, Tracks]:
        """See Tracker.update."""
        state = with_classes(state, detections.model.class_names)
        order = _canonical_order(detections)
        predicted = self._predict(state, missed_frames)
        rows, ranks = self._link(predicted, detections, order, missed_frames)
        before = np.concatenate(
            [state.status, np.full(len(order) - len(rows), TrackStatus.TENTATIVE, np.uint8)]
        )
        old, seen = self._continue(predicted, detections, rows, order[ranks])
        unlinked = np.ones(len(order), np.bool_)
        unlinked[ranks] = False
        born = order[unlinked]
        everyone, detection_rows = old, seen
        if len(born):
            everyone = _joined(old, self._begin(state.next_track_id, detections, born))
            detection_rows = np.concatenate([seen, born])
        if missed_frames > self.config.max_gap_frames:
            everyone.status[: len(state)] = TrackStatus.ENDED
        tracks = _as_tracks(everyone, before, detection_rows, detections)
        alive = everyone.status != TrackStatus.ENDED
        return everyone if alive.all() else _taken(everyone, np.flatnonzero(alive)), tracks

    def _predict(self, state: TrackerState, missed_frames: int) -> TrackerState:
        frames = min(missed_frames, self.config.max_gap_frames) + 1
        motion, covariances = self._motion.predict(
            state.motion.astype(np.float64),
            state.covariances.astype(np.float64),
            _diameters(state.areas_px),
            frames,
        )
        return msgspec.structs.replace(
            state, motion=motion.astype(np.float32), covariances=covariances.astype(np.float32)
        )

    def _link(
        self, predicted: TrackerState, detections: Detections, order: Int64Array, missed_frames: int
    ) -> tuple[Int64Array, Int64Array]:
        """Rows of tracks and ranks (positions in `order`) of detections that belong together."""
        if missed_frames > self.config.max_gap_frames:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        config = self.config
        unseen = np.maximum(detections.metadata.sequence - predicted.last_sequences, 1)
        radii = (
            config.gate_diameters * _diameters(predicted.areas_px) * np.minimum(np.sqrt(unseen), WIDEST_GATE)
        )
        points = predicted.motion[:, :2].astype(np.float64)
        rows, ranks, distances = pairs_within(
            points, radii, detections.centroids_px[order].astype(np.float64)
        )
        found = order[ranks]
        boxes = predicted.box_offsets_px[rows].astype(np.float64) + _twice(points[rows])
        costs = np.square(distances / radii[rows])
        costs += config.overlap_weight * (
            1.0 - overlaps(boxes, detections.boxes_px[found].astype(np.float64))
        )
        costs += config.size_weight * size_difference(
            predicted.areas_px[rows].astype(np.float64), detections.areas_px[found].astype(np.float64)
        )
        costs += config.class_weight * class_difference(
            predicted.class_sums[rows].astype(np.float64), detections.class_probabilities[found]
        )
        return assign(rows, ranks, costs, config.max_cost)

    def _continue(
        self, predicted: TrackerState, detections: Detections, rows: Int64Array, found: Int64Array
    ) -> tuple[TrackerState, Int64Array]:
        """The old tracks after this frame, and the detection's row of each, -1 where not seen."""
        seen = np.full(len(predicted), -1, np.int64)
        seen[rows] = found
        centroids = detections.centroids_px[found].astype(np.float64)
        areas = predicted.areas_px.copy()
        areas[rows] += np.float32(AREA_SHARE) * (detections.areas_px[found] - areas[rows])
        motion, covariances = predicted.motion.copy(), predicted.covariances.copy()
        motion[rows], covariances[rows] = self._motion.correct(
            motion[rows].astype(np.float64),
            covariances[rows].astype(np.float64),
            centroids,
            _diameters(areas[rows]),
        )
        offsets = predicted.box_offsets_px.copy()
        offsets[rows] = detections.boxes_px[found] - _twice(detections.centroids_px[found])
        sums = predicted.class_sums.copy()
        sums[rows] += detections.class_probabilities[found]
        hits, misses = predicted.hits.copy(), predicted.misses + np.int32(1)
        hits[rows] += 1
        misses[rows] = 0
        last_sequences, last_seen_ns = predicted.last_sequences.copy(), predicted.last_seen_ns.copy()
        last_sequences[rows] = detections.metadata.sequence
        last_seen_ns[rows] = detections.metadata.acquired_at_ns
        return msgspec.structs.replace(
            predicted,
            status=self._next_status(predicted.status, seen >= 0, hits, misses),
            hits=hits,
            misses=misses,
            motion=motion,
            covariances=covariances,
            box_offsets_px=offsets,
            areas_px=areas,
            class_sums=sums,
            last_sequences=last_sequences,
            last_seen_ns=last_seen_ns,
        ), seen

    def _next_status(
        self,
        status: NDArray[np.uint8],
        seen: NDArray[np.bool_],
        hits: NDArray[np.int32],
        misses: NDArray[np.int32],
    ) -> NDArray[np.uint8]:
        tentative = status == TrackStatus.TENTATIVE
        over = tentative | (misses > self.config.max_misses)
        result = np.where(over, np.uint8(TrackStatus.ENDED), np.uint8(TrackStatus.LOST))
        result[seen] = TrackStatus.CONFIRMED
        result[seen & tentative & (hits < self.config.confirm_hits)] = TrackStatus.TENTATIVE
        return result

    def _begin(self, first_id: int, detections: Detections, found: Int64Array) -> TrackerState:
        """New tracks, one for each of these detections."""
        number = len(found)
        centroids = detections.centroids_px[found]
        areas = detections.areas_px[found].astype(np.float32)
        status = TrackStatus.CONFIRMED if self.config.confirm_hits <= 1 else TrackStatus.TENTATIVE
        return TrackerState(
            next_track_id=first_id + number,
            class_names=detections.model.class_names,
            track_ids=first_id + np.arange(number, dtype=np.int64),
            parent_ids=np.zeros(number, np.int64),
            status=np.full(number, status, np.uint8),
            hits=np.ones(number, np.int32),
            misses=np.zeros(number, np.int32),
            motion=np.concatenate([centroids, np.zeros_like(centroids)], axis=1).astype(np.float32),
            covariances=self._motion.start(_diameters(areas)).astype(np.float32),
            box_offsets_px=(detections.boxes_px[found] - _twice(centroids)).astype(np.float32),
            areas_px=areas,
            class_sums=detections.class_probabilities[found].astype(np.float32),
            first_sequences=np.full(number, detections.metadata.sequence, np.int64),
            last_sequences=np.full(number, detections.metadata.sequence, np.int64),
            first_seen_ns=np.full(number, detections.metadata.acquired_at_ns, np.int64),
            last_seen_ns=np.full(number, detections.metadata.acquired_at_ns, np.int64),
        )


def _canonical_order(detections: Detections) -> Int64Array:
    """The order of the rows by what they say, so that ids do not depend on the order they came in."""
    order = np.argsort(detections.centroids_px[:, 0], kind="stable")
    heights = detections.centroids_px[order, 0]
    if (heights[1:] > heights[:-1]).all():
        return order
    columns = [
        detections.centroids_px,
        detections.boxes_px,
        detections.areas_px[:, None],
        detections.class_probabilities,
    ]
    keys = np.concatenate(columns, axis=1).T[::-1]
    return np.lexsort(keys).astype(np.int64)


def _diameters(areas_px: NDArray[np.floating]) -> Float64Array:
    """Diameters of discs of these areas, at least one pixel."""
    result: Float64Array = np.sqrt(np.maximum(areas_px.astype(np.float64), np.pi / 4) * (4 / np.pi))
    return result


def _twice(points: NDArray[Any]) -> NDArray[Any]:
    """(N, 4) each point (N, 2) beside itself: for both corners of a box."""
    return np.concatenate([points, points], axis=1)


def _joined(old: TrackerState, new: TrackerState) -> TrackerState:
    arrays = {name: np.concatenate([getattr(old, name), getattr(new, name)]) for name in PER_TRACK}
    return TrackerState(next_track_id=new.next_track_id, class_names=new.class_names, **arrays)


def _taken(state: TrackerState, rows: NDArray[np.intp]) -> TrackerState:
    arrays = {name: getattr(state, name)[rows] for name in PER_TRACK}
    return TrackerState(next_track_id=state.next_track_id, class_names=state.class_names, **arrays)


def _as_tracks(
    state: TrackerState, before: NDArray[np.uint8], detection_rows: Int64Array, detections: Detections
) -> Tracks:
    seen = detection_rows >= 0
    found = detection_rows[seen]
    centroids = state.motion[:, :2].copy()
    boxes = state.box_offsets_px + _twice(centroids)
    centroids[seen] = detections.centroids_px[found]
    boxes[seen] = detections.boxes_px[found]
    classes = np.argmax(state.class_sums, axis=1) if state.class_sums.size else np.zeros(len(state), np.int64)
    return Tracks(
        metadata=detections.metadata,
        image_shape=detections.image_shape,
        track_ids=state.track_ids,
        parent_ids=state.parent_ids,
        centroids_px=centroids,
        velocities_px=state.motion[:, 2:].copy(),
        boxes_px=boxes,
        class_ids=classes.astype(np.int64),
        status=state.status,
        previous_status=before,
        detection_rows=detection_rows,
        first_sequences=state.first_sequences,
        last_sequences=state.last_sequences,
        first_seen_ns=state.first_seen_ns,
        last_seen_ns=state.last_seen_ns,
    )
