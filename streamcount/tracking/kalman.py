"""The Kalman tracker: predicts each cell, and links frame by frame at the least total cost."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.statistics import median
from streamcount.tracking.config import KalmanConfig
from streamcount.tracking.divisions import Births, Cells, Mothers, find_births
from streamcount.tracking.drift import common_shift
from streamcount.tracking.gating import diameters_of, twice
from streamcount.tracking.hiding import hidden_tracks
from streamcount.tracking.linking import link, persistence_of, persisting, surprise_of
from streamcount.tracking.motion import Float64Array, MotionModel, as_covariances, as_spreads
from streamcount.tracking.pending import ALLOWED_MISSES, give_up, on_probation, resolve, with_new
from streamcount.tracking.state import NOT_MEASURED, PER_TRACK, TrackerState, empty_state, with_classes
from streamcount.types import Detections, Divisions, Float32Array, Int64Array, Tracks, TrackStatus

# A change of velocity, in usual surprises, and its bounds in diameters.
ACCELERATION_SURPRISES, ACCELERATIONS = 1.5, (0.02, 0.5)
# Share of a newly seen area in the smoothed one.
AREA_SHARE = 0.5
# The same of an intensity, and how finely it is kept.
INTENSITY_SHARE, PER_INTENSITY = 0.5, 2048


class KalmanTracker:
    """Online linking with a Kalman filter per cell and sparse assignment.

    A frame that nobody saw is not a miss: no one looked. Over a hole of `missed_frames` every track is
    predicted frame by frame, its uncertainty grows and its gate widens; the first frame after the hole counts
    as one look. After a hole longer than `max_gap_frames` no link can be trusted, so all tracks end and new
    ones begin. A tentative track ends when it is missed twice in a row; a confirmed one is lost until it is
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
        places_px = detections.centroids_px.take(order, axis=0).astype(np.float64)
        if missed_frames > self.config.max_gap_frames:
            return self._start_anew(state, detections, order)
        predicted = self._on_stage(self._predict(state, missed_frames), places_px)
        rows, ranks = link(self.config, predicted, detections, order, places_px)
        births = self._divide(predicted, places_px, detections.areas_px[order], (rows, ranks))
        if len(births.mothers):
            divides = np.zeros(len(predicted), np.bool_)
            divides[births.mothers] = True
            faithful = ~divides[rows]
            rows, ranks = rows[faithful], ranks[faithful]
        old, seen = self._continue(state, predicted, detections, (rows, order[ranks]))
        products, squares = persisting(state, predicted, rows, places_px[ranks], detections.metadata.sequence)
        old = msgspec.structs.replace(old, speed_products=products, speed_squares=squares)
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
        model, motion = self._motion_now(state), state.motion.astype(np.float64)
        # What is out of sight keeps the speed of its last sighting, which its end is judged by.
        motion[:, 2:] *= (model.persistence**state.misses)[:, None]
        motion, covariances = model.predict(
            motion,
            as_covariances(state.spreads),
            diameters_of(state.areas_px),
            missed_frames + 1,
        )
        return msgspec.structs.replace(
            state, motion=motion.astype(np.float32), spreads=as_spreads(covariances)
        )

    def _on_stage(self, predicted: TrackerState, found_px: Float64Array) -> TrackerState:
        """The predictions, moved by what the stage has moved. found_px: (M, 2), where cells are."""
        if not self.config.remove_stage_drift or not len(predicted):
            return predicted
        trusted = np.flatnonzero(predicted.status == TrackStatus.CONFIRMED)
        usual_px = median(diameters_of(predicted.areas_px))
        places = predicted.motion.take(trusted, axis=0)[:, :2].astype(np.float64)
        shift = common_shift(places, found_px, usual_px)
        if not shift.any():
            return predicted
        motion = predicted.motion.copy()
        motion[:, :2] += shift.astype(np.float32)
        return msgspec.structs.replace(predicted, motion=motion)

    def _motion_now(self, state: TrackerState) -> MotionModel:
        """The motion model with its noise fitted to what these cells do."""
        if not state.surprise_diameters:
            return self._motion
        least, most = ACCELERATIONS
        noise = min(max(ACCELERATION_SURPRISES * state.surprise_diameters, least), most)
        return replace(
            self._motion, acceleration=noise, persistence=persistence_of(state, self.config.persistence)
        )

    def _divide(
        self,
        predicted: TrackerState,
        found_px: Float64Array,
        areas_px: Float32Array,
        links: tuple[Int64Array, Int64Array],
    ) -> Births:
        """Divisions that this frame shows: mothers are rows of the tracks, daughters ranks of detections.

        found_px (M, 2), areas_px (M,): the detections by rank.
        """
        linked = np.full(len(predicted), -1, np.int64)
        linked[links[0]] = links[1]
        free = np.ones(len(found_px), np.bool_)
        free[links[1]] = False
        trusted = predicted.status == TrackStatus.CONFIRMED
        trusted |= (predicted.status == TrackStatus.LOST) & (predicted.misses <= ALLOWED_MISSES)
        rows = np.flatnonzero(trusted)
        mothers = Mothers(
            predicted.motion.take(rows, axis=0)[:, :2].astype(np.float64),
            predicted.areas_px[rows].astype(np.float64),
            linked[rows],
        )
        cells = Cells(found_px, areas_px.astype(np.float64), free)
        reach, limit = self.config.division_reach_diameters, self.config.division_max_cost
        births = find_births(mothers, cells, reach, limit)
        return Births(rows[births.mothers], births.daughters)

    def _continue(
        self,
        before: TrackerState,
        predicted: TrackerState,
        detections: Detections,
        links: tuple[Int64Array, Int64Array],
    ) -> tuple[TrackerState, Int64Array]:
        """The old tracks after this frame, and the detection's row of each, -1 where not seen.

        links: rows of tracks, and of the detections that they are.
        """
        rows, found = links
        seen = np.full(len(predicted), -1, np.int64)
        seen[rows] = found
        centroids = detections.centroids_px.take(found, axis=0).astype(np.float64)
        areas = predicted.areas_px.copy()
        areas[rows] += np.float32(AREA_SHARE) * (detections.areas_px[found] - areas[rows])
        largest = np.maximum(predicted.largest_areas_px, areas)
        motion, spreads = predicted.motion.copy(), predicted.spreads.copy()
        motion[:, 2:] = before.motion[:, 2:]
        motion[rows], covariances = self._motion.correct(
            predicted.motion.take(rows, axis=0).astype(np.float64),
            as_covariances(predicted.spreads.take(rows, axis=0)),
            centroids,
            diameters_of(areas[rows]),
        )
        spreads[rows] = as_spreads(covariances)
        offsets = predicted.box_offsets_px.copy()
        offsets[rows] = detections.boxes_px.take(found, axis=0) - twice(
            detections.centroids_px.take(found, axis=0)
        )
        sums = predicted.class_sums.copy()
        sums[rows] = sums.take(rows, axis=0) + detections.class_probabilities.take(found, axis=0)
        intensities = predicted.intensities
        if detections.intensities is not None:
            intensities = intensities.copy()
            intensities[rows] = _smoothed(intensities[rows], detections.intensities[found])
        hits, misses = predicted.hits.copy(), predicted.misses + np.int32(1)
        hits[rows] += 1
        misses[rows] = 0
        hidden = hidden_tracks(predicted, detections, (rows, found), self.config.max_hidden_frames)
        misses[hidden] = 0
        # Its speed before says nothing of what the two do together.
        motion[hidden, 2:] = 0.0
        last_sequences, last_seen_ns = predicted.last_sequences.copy(), predicted.last_seen_ns.copy()
        last_sequences[rows] = detections.metadata.sequence
        last_seen_ns[rows] = detections.metadata.acquired_at_ns
        return msgspec.structs.replace(
            predicted,
            surprise_diameters=surprise_of(predicted, rows, centroids, detections.metadata.sequence),
            status=self._next_status(predicted, seen >= 0, hits, misses, detections.metadata.acquired_at_ns),
            hits=hits,
            misses=misses,
            motion=motion,
            spreads=spreads,
            box_offsets_px=offsets,
            areas_px=areas,
            largest_areas_px=largest,
            class_sums=sums,
            intensities=intensities,
            last_sequences=last_sequences,
            last_seen_ns=last_seen_ns,
        ), seen

    def _next_status(
        self,
        before: TrackerState,
        seen: NDArray[np.bool_],
        hits: NDArray[np.int32],
        misses: NDArray[np.int32],
        now_ns: int,
    ) -> NDArray[np.uint8]:
        """Statuses after a look, but for daughters on probation and their mothers, who stay as they are."""
        tentative = before.status == TrackStatus.TENTATIVE
        longest_s = self.config.max_unseen_s
        if longest_s is None:
            over = tentative | (misses > self.config.max_misses)
        else:
            over = tentative | ((misses > 0) & (now_ns - before.last_seen_ns > longest_s * 1e9))
        result = np.where(over, np.uint8(TrackStatus.ENDED), np.uint8(TrackStatus.LOST))
        result[seen] = TrackStatus.CONFIRMED
        result[seen & tentative & (hits < self.config.confirm_hits)] = TrackStatus.TENTATIVE
        patient = tentative & ~seen & (misses <= min(ALLOWED_MISSES, self.config.max_misses))
        waiting = patient | on_probation(before) | (before.status == TrackStatus.DIVIDING)
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
        unknown = np.full(number, NOT_MEASURED)
        return TrackerState(
            next_track_id=old.next_track_id + number,
            class_names=detections.model.class_names,
            surprise_diameters=old.surprise_diameters,
            speed_products=old.speed_products,
            speed_squares=old.speed_squares,
            track_ids=old.next_track_id + np.arange(number, dtype=np.int64),
            parent_ids=parents,
            generations=generations,
            status=np.where(trusted, np.uint8(TrackStatus.CONFIRMED), np.uint8(TrackStatus.TENTATIVE)),
            hits=np.ones(number, np.int32),
            misses=np.zeros(number, np.int32),
            motion=np.concatenate([centroids, np.zeros_like(centroids)], axis=1).astype(np.float32),
            spreads=as_spreads(self._motion.start(diameters_of(areas))),
            box_offsets_px=(detections.boxes_px[found] - twice(centroids)).astype(np.float16),
            areas_px=areas,
            largest_areas_px=areas,
            class_sums=detections.class_probabilities[found].astype(np.float32),
            intensities=unknown
            if detections.intensities is None
            else _smoothed(unknown, detections.intensities[found]),
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
    order = np.argsort(detections.centroids_px[:, 0])
    heights = detections.centroids_px[order, 0]
    same = heights[1:] == heights[:-1]
    if not same.any():
        return order
    # Only those of one height are in doubt, and they lie beside each other.
    places = np.flatnonzero(np.append(same, False) | np.append(False, same))
    doubtful = order[places]
    columns = [
        detections.centroids_px[doubtful],
        detections.boxes_px[doubtful],
        detections.areas_px[doubtful, None],
        detections.class_probabilities[doubtful],
    ]
    if detections.intensities is not None:
        columns.append(np.nan_to_num(detections.intensities[doubtful, None]))
    order[places] = doubtful[np.lexsort(np.concatenate(columns, axis=1).T[::-1])]
    return order


def _smoothed(before: Float32Array, now: Float32Array) -> Float32Array:
    """(N,) intensities of tracks after one more look; on a grid, to be stored in half the bytes.

    now: NaN where not measured.
    """
    mean = before + np.float32(INTENSITY_SHARE) * (now - before)
    mean = np.where(np.isnan(now), before, np.where(before == NOT_MEASURED, now, mean))
    steps = np.float32(PER_INTENSITY)
    return np.asarray(np.rint(mean * steps) / steps, np.float32)


def _joined(old: TrackerState, new: TrackerState) -> TrackerState:
    if not len(new):
        return old
    arrays = {name: np.concatenate([getattr(old, name), getattr(new, name)]) for name in PER_TRACK}
    return msgspec.structs.replace(new, **arrays)


def _living(state: TrackerState) -> TrackerState:
    alive = np.flatnonzero(state.status != TrackStatus.ENDED)
    if len(alive) == len(state):
        return state
    arrays = {name: getattr(state, name).take(alive, axis=0) for name in PER_TRACK}
    return msgspec.structs.replace(state, **arrays)


def _as_tracks(
    state: TrackerState,
    before: NDArray[np.uint8],
    detection_rows: Int64Array,
    detections: Detections,
    divisions: Divisions,
) -> Tracks:
    seen = np.flatnonzero(detection_rows >= 0)
    found = detection_rows[seen]
    centroids = state.motion[:, :2].copy()
    boxes = state.box_offsets_px + twice(centroids)
    centroids[seen] = detections.centroids_px.take(found, axis=0)
    boxes[seen] = detections.boxes_px.take(found, axis=0)
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
