"""The Kalman tracker: predicts each cell, and links frame by frame at the least total cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.tracking.assignment import assign
from streamcount.tracking.config import KalmanConfig
from streamcount.tracking.divisions import Births, Cells, Mothers, find_births
from streamcount.tracking.gating import class_difference, overlaps, pairs_within, size_difference
from streamcount.tracking.motion import Float64Array, MotionModel, as_covariances, as_spreads
from streamcount.tracking.pending import ALLOWED_MISSES, give_up, on_probation, resolve, with_new
from streamcount.tracking.state import PER_TRACK, TrackerState, empty_state, with_classes
from streamcount.types import Detections, Divisions, Int64Array, Tracks, TrackStatus

# The gate of a cell that is out of sight widens as a random walk does, but no further than this.
WIDEST_GATE = 2.0
# A cell out of sight is looked for within so many times the usual surprise, but at least this far, in diameters.
USUAL_SURPRISES, LEAST_GATE = 8.0, 0.6
# A change of velocity, in usual surprises, and its bounds in diameters.
ACCELERATION_SURPRISES, ACCELERATIONS = 1.5, (0.02, 0.5)
# The usual surprise follows a frame with n links by n / (n + this) of a tenth.
SURPRISE_SHARE, SURPRISE_LINKS = 0.1, 10
# What is more than so many times larger or smaller is not the same cell.
LARGEST_CHANGE = 6.0
# Share of a newly seen area in the smoothed one.
AREA_SHARE = 0.5


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
        if missed_frames > self.config.max_gap_frames:
            return self._start_anew(state, detections, order)
        predicted = self._predict(state, missed_frames)
        rows, ranks = self._link(predicted, detections, order)
        births = self._divide(predicted, detections, order, (rows, ranks))
        faithful = ~np.isin(rows, births.mothers)
        rows, ranks = rows[faithful], ranks[faithful]
        old, seen = self._continue(predicted, detections, rows, order[ranks])
        old.status[births.mothers] = TrackStatus.DIVIDING
        mothers = np.full(len(order), -1, np.int64)
        mothers[births.daughters] = births.mothers[:, None]
        unlinked = np.ones(len(order), np.bool_)
        unlinked[ranks] = False
        begun = self._begin(old, detections, order[unlinked], mothers[unlinked])
        before = np.concatenate([state.status, np.full(len(begun), TrackStatus.TENTATIVE, np.uint8)])
        everyone, detection_rows = _joined(old, begun), np.concatenate([seen, order[unlinked]])
        everyone, detection_rows, told = self._resolve(everyone, detection_rows, len(old))
        tracks = _as_tracks(everyone, before, detection_rows, detections, told)
        return _living(everyone), tracks

    def _start_anew(
        self, state: TrackerState, detections: Detections, order: Int64Array
    ) -> tuple[TrackerState, Tracks]:
        """After a hole so long that no link can be trusted: all tracks end, and all cells begin one."""
        ended = msgspec.structs.replace(state, status=np.full(len(state), TrackStatus.ENDED, np.uint8))
        begun = self._begin(ended, detections, order, np.full(len(order), -1, np.int64))
        before = np.concatenate([state.status, np.full(len(begun), TrackStatus.TENTATIVE, np.uint8)])
        rows = np.concatenate([np.full(len(state), -1, np.int64), order])
        everyone = _joined(ended, begun)
        return _living(everyone), _as_tracks(everyone, before, rows, detections, give_up(state))

    def _predict(self, state: TrackerState, missed_frames: int) -> TrackerState:
        motion, covariances = self._motion_now(state).predict(
            state.motion.astype(np.float64),
            as_covariances(state.spreads),
            _diameters(state.areas_px),
            missed_frames + 1,
        )
        return msgspec.structs.replace(
            state, motion=motion.astype(np.float32), spreads=as_spreads(covariances)
        )

    def _motion_now(self, state: TrackerState) -> MotionModel:
        """The motion model with its noise fitted to what these cells do."""
        if not state.surprise_diameters:
            return self._motion
        least, most = ACCELERATIONS
        noise = min(max(ACCELERATION_SURPRISES * state.surprise_diameters, least), most)
        return replace(self._motion, acceleration=noise)

    def _gates(self, predicted: TrackerState, sequence: int) -> Float64Array:
        """(N,) how far from where it is expected each track is looked for, pixels."""
        unseen = np.sqrt(np.maximum(sequence - predicted.last_sequences, 1))
        gates = self.config.gate_diameters * np.minimum(unseen, WIDEST_GATE)
        surprise = predicted.surprise_diameters
        if surprise:
            usual = np.maximum(USUAL_SURPRISES * surprise * unseen, LEAST_GATE)
            gates = np.where(unseen > 1, np.minimum(gates, usual), gates)
        result: Float64Array = gates * _diameters(predicted.areas_px)
        return result

    def _link(
        self, predicted: TrackerState, detections: Detections, order: Int64Array
    ) -> tuple[Int64Array, Int64Array]:
        """Rows of tracks and ranks (positions in `order`) of detections that belong together."""
        config = self.config
        radii = self._gates(predicted, detections.metadata.sequence)
        points = predicted.motion[:, :2].astype(np.float64)
        # A mother who divides waits for her daughters' proof, and is nothing that is seen.
        able = np.flatnonzero(predicted.status != TrackStatus.DIVIDING)
        rows, ranks, distances = pairs_within(
            points[able], radii[able], detections.centroids_px[order].astype(np.float64)
        )
        rows = able[rows]
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
        change = predicted.areas_px[rows] / np.maximum(detections.areas_px[found], 1e-6)
        costs[np.maximum(change, 1 / np.maximum(change, 1e-6)) > LARGEST_CHANGE] = np.inf
        return assign(rows, ranks, costs, config.max_cost)

    def _divide(
        self,
        predicted: TrackerState,
        detections: Detections,
        order: Int64Array,
        links: tuple[Int64Array, Int64Array],
    ) -> Births:
        """Divisions that this frame shows: mothers are rows of the tracks, daughters ranks of detections."""
        linked = np.full(len(predicted), -1, np.int64)
        linked[links[0]] = links[1]
        free = np.ones(len(order), np.bool_)
        free[links[1]] = False
        trusted = predicted.status == TrackStatus.CONFIRMED
        trusted |= (predicted.status == TrackStatus.LOST) & (predicted.misses <= ALLOWED_MISSES)
        rows = np.flatnonzero(trusted)
        mothers = Mothers(
            predicted.motion[rows, :2].astype(np.float64),
            predicted.areas_px[rows].astype(np.float64),
            linked[rows],
        )
        cells = Cells(
            detections.centroids_px[order].astype(np.float64),
            detections.areas_px[order].astype(np.float64),
            free,
        )
        reach, limit = self.config.division_reach_diameters, self.config.division_max_cost
        births = find_births(mothers, cells, reach, limit)
        return Births(rows[births.mothers], births.daughters)

    def _continue(
        self, predicted: TrackerState, detections: Detections, rows: Int64Array, found: Int64Array
    ) -> tuple[TrackerState, Int64Array]:
        """The old tracks after this frame, and the detection's row of each, -1 where not seen."""
        seen = np.full(len(predicted), -1, np.int64)
        seen[rows] = found
        centroids = detections.centroids_px[found].astype(np.float64)
        areas = predicted.areas_px.copy()
        areas[rows] += np.float32(AREA_SHARE) * (detections.areas_px[found] - areas[rows])
        largest = np.maximum(predicted.largest_areas_px, areas)
        motion, spreads = predicted.motion.copy(), predicted.spreads.copy()
        motion[rows], covariances = self._motion.correct(
            motion[rows].astype(np.float64),
            as_covariances(predicted.spreads[rows]),
            centroids,
            _diameters(areas[rows]),
        )
        spreads[rows] = as_spreads(covariances)
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
            surprise_diameters=_surprise(predicted, rows, centroids, detections.metadata.sequence),
            status=self._next_status(predicted, seen >= 0, hits, misses),
            hits=hits,
            misses=misses,
            motion=motion,
            spreads=spreads,
            box_offsets_px=offsets,
            areas_px=areas,
            largest_areas_px=largest,
            class_sums=sums,
            last_sequences=last_sequences,
            last_seen_ns=last_seen_ns,
        ), seen

    def _next_status(
        self,
        before: TrackerState,
        seen: NDArray[np.bool_],
        hits: NDArray[np.int32],
        misses: NDArray[np.int32],
    ) -> NDArray[np.uint8]:
        """Statuses after a look, but for daughters on probation and their mothers, who stay as they are."""
        tentative = before.status == TrackStatus.TENTATIVE
        over = tentative | (misses > self.config.max_misses)
        result = np.where(over, np.uint8(TrackStatus.ENDED), np.uint8(TrackStatus.LOST))
        result[seen] = TrackStatus.CONFIRMED
        result[seen & tentative & (hits < self.config.confirm_hits)] = TrackStatus.TENTATIVE
        waiting = on_probation(before) | (before.status == TrackStatus.DIVIDING)
        result[waiting] = before.status[waiting]
        return result

    def _begin(
        self, old: TrackerState, detections: Detections, found: Int64Array, mothers: Int64Array
    ) -> TrackerState:
        """New tracks, one for each of these detections. mothers: their rows in `old`, -1 for none."""
        number = len(found)
        centroids = detections.centroids_px[found]
        areas = detections.areas_px[found].astype(np.float32)
        born = mothers >= 0
        parents, generations = np.zeros(number, np.int64), np.zeros(number, np.int32)
        parents[born] = old.track_ids[mothers[born]]
        generations[born] = old.generations[mothers[born]] + 1
        trusted = (self.config.confirm_hits <= 1) & ~born
        return TrackerState(
            next_track_id=old.next_track_id + number,
            class_names=detections.model.class_names,
            surprise_diameters=old.surprise_diameters,
            track_ids=old.next_track_id + np.arange(number, dtype=np.int64),
            parent_ids=parents,
            generations=generations,
            status=np.where(trusted, np.uint8(TrackStatus.CONFIRMED), np.uint8(TrackStatus.TENTATIVE)),
            hits=np.ones(number, np.int32),
            misses=np.zeros(number, np.int32),
            motion=np.concatenate([centroids, np.zeros_like(centroids)], axis=1).astype(np.float32),
            spreads=as_spreads(self._motion.start(_diameters(areas))),
            box_offsets_px=(detections.boxes_px[found] - _twice(centroids)).astype(np.float16),
            areas_px=areas,
            largest_areas_px=areas,
            class_sums=detections.class_probabilities[found].astype(np.float32),
            first_sequences=np.full(number, detections.metadata.sequence, np.int64),
            last_sequences=np.full(number, detections.metadata.sequence, np.int64),
            first_seen_ns=np.full(number, detections.metadata.acquired_at_ns, np.int64),
            last_seen_ns=np.full(number, detections.metadata.acquired_at_ns, np.int64),
        )

    def _resolve(
        self, everyone: TrackerState, detection_rows: Int64Array, old: int
    ) -> tuple[TrackerState, Int64Array, Divisions]:
        """What became of the divisions before this frame, and those that it shows itself."""
        everyone, detection_rows, told = resolve(
            everyone, detection_rows, self.config.confirm_hits, self.config.max_misses
        )
        new = np.flatnonzero(everyone.parent_ids[old:] > 0) + old
        return everyone, detection_rows, with_new(told, everyone, new)


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


def _surprise(predicted: TrackerState, rows: Int64Array, centroids_px: Float64Array, sequence: int) -> float:
    """The running median of how far from where they were expected cells are seen, in diameters."""
    steady = (predicted.hits[rows] > 1) & (predicted.last_sequences[rows] == sequence - 1)
    number = int(steady.sum())
    if not number:
        return predicted.surprise_diameters
    rows = rows[steady]
    away = np.hypot(*(centroids_px[steady] - predicted.motion[rows, :2]).T)
    median = float(np.median(away / _diameters(predicted.areas_px[rows])))
    before = predicted.surprise_diameters or median
    return before + SURPRISE_SHARE * number / (number + SURPRISE_LINKS) * (median - before)


def _joined(old: TrackerState, new: TrackerState) -> TrackerState:
    if not len(new):
        return old
    arrays = {name: np.concatenate([getattr(old, name), getattr(new, name)]) for name in PER_TRACK}
    return msgspec.structs.replace(new, **arrays)


def _living(state: TrackerState) -> TrackerState:
    alive = state.status != TrackStatus.ENDED
    if alive.all():
        return state
    arrays = {name: getattr(state, name)[alive] for name in PER_TRACK}
    return msgspec.structs.replace(state, **arrays)


def _as_tracks(
    state: TrackerState,
    before: NDArray[np.uint8],
    detection_rows: Int64Array,
    detections: Detections,
    divisions: Divisions,
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
        generations=state.generations,
        centroids_px=centroids,
        velocities_px=state.motion[:, 2:].copy(),
        boxes_px=boxes,
        class_ids=classes.astype(np.int64),
        status=state.status,
        previous_status=before,
        detection_rows=detection_rows,
        sightings=state.hits,
        first_sequences=state.first_sequences,
        last_sequences=state.last_sequences,
        first_seen_ns=state.first_seen_ns,
        last_seen_ns=state.last_seen_ns,
        areas_px=state.areas_px,
        relative_areas=(state.areas_px / np.maximum(state.largest_areas_px, 1e-6)).astype(np.float32),
        divisions=divisions,
    )
