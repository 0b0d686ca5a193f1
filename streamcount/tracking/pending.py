"""Divisions on probation: two daughters prove that they are two cells, or what is left of them is the mother."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.tracking.state import PER_TRACK, TrackerState
from streamcount.types import Divisions, Int64Array, Stage, TrackStatus

# A daughter may be missed in one look, or each miss of the detector would undo a division.
ALLOWED_MISSES = 1
# A mother whose division was none goes on as the daughter that is left; the rest of her is her own.
_OF_SURVIVOR = (
    "motion",
    "spreads",
    "box_offsets_px",
    "areas_px",
    "intensities",
    "misses",
    "last_sequences",
    "last_seen_ns",
)


def on_probation(state: TrackerState) -> NDArray[np.bool_]:
    """(N,) bool: daughters of a division that is not certain yet."""
    waiting: NDArray[np.bool_] = (state.status == TrackStatus.TENTATIVE) & (state.parent_ids > 0)
    return waiting


def resolve(
    state: TrackerState, detection_rows: Int64Array, confirm_hits: int, max_misses: int
) -> tuple[TrackerState, Int64Array, Divisions]:
    """The tracks, their detections, and the divisions that are now certain or undone.

    state: all tracks after this frame's looks, in ascending order of id. detection_rows: (N,) int64, -1 where not
    seen. A division is certain once both daughters were seen `confirm_hits` times and are in sight; it is undone
    once one of them was missed twice in a row.
    """
    rows = _pairs(state, np.flatnonzero(on_probation(state)))
    misses = state.misses[rows]
    gone = misses > ALLOWED_MISSES
    undone = np.asarray(gone.any(axis=1))
    certain = ~undone & (misses == 0).all(axis=1) & (state.hits[rows] >= max(confirm_hits, 2)).all(axis=1)
    told = undone | certain
    divisions = _as_divisions(state, rows[told], undone[told])
    if not len(divisions):
        return state, detection_rows, divisions
    changed = PER_TRACK if undone.any() else ("status",)
    arrays = {name: getattr(state, name).copy() for name in changed}
    status, seen = arrays["status"], detection_rows.copy()
    mothers = np.searchsorted(state.track_ids, state.parent_ids[rows[:, 0]])
    status[rows[certain]] = TrackStatus.CONFIRMED
    status[mothers[certain]] = TrackStatus.ENDED
    if not undone.any():
        return msgspec.structs.replace(state, **arrays), detection_rows, divisions

    status[rows[undone]] = TrackStatus.ENDED
    arrays["parent_ids"][rows[undone]] = 0
    one_left = undone & (gone.sum(axis=1) == 1)
    none_left = mothers[gone.all(axis=1)]
    heirs, survivors = mothers[one_left], rows[one_left][~gone[one_left]]
    for name in _OF_SURVIVOR:
        arrays[name][heirs] = arrays[name][survivors]
    arrays["hits"][heirs] += arrays["hits"][survivors]
    arrays["class_sums"][heirs] += arrays["class_sums"][survivors]
    seen[heirs], seen[survivors] = detection_rows[survivors], -1
    arrays["misses"][none_left] = misses[gone.all(axis=1)].max(axis=1, initial=0)
    in_sight = seen[heirs] >= 0
    status[heirs] = np.where(in_sight, np.uint8(TrackStatus.CONFIRMED), np.uint8(TrackStatus.LOST))
    lost_too_long = arrays["misses"][none_left] > max_misses
    status[none_left] = np.where(lost_too_long, np.uint8(TrackStatus.ENDED), np.uint8(TrackStatus.LOST))
    return msgspec.structs.replace(state, **arrays), seen, divisions


def give_up(state: TrackerState) -> Divisions:
    """All divisions on probation, undone: none can be followed over so long a hole."""
    rows = _pairs(state, np.flatnonzero(on_probation(state)))
    return _as_divisions(state, rows, np.ones(len(rows), np.bool_))


def with_new(told: Divisions, state: TrackerState, daughters: Int64Array) -> Divisions:
    """The divisions told, and those that began with these rows."""
    if not len(daughters):
        return told
    rows = _pairs(state, daughters)
    mothers = np.concatenate([told.mother_ids, state.parent_ids[rows[:, 0]]])
    order = np.argsort(mothers)
    stages = np.concatenate([told.stages, np.full(len(rows), Stage.PROVISIONAL, np.uint8)])
    pairs = np.concatenate([told.daughter_ids, state.track_ids[rows]])
    return Divisions(mothers[order], pairs[order], stages[order])


def _pairs(state: TrackerState, daughters: Int64Array) -> Int64Array:
    """(D, 2) the rows of the daughters, each two of one mother, by mother and id."""
    return daughters[np.lexsort((daughters, state.parent_ids[daughters]))].reshape(-1, 2)


def _as_divisions(state: TrackerState, rows: Int64Array, undone: NDArray[np.bool_]) -> Divisions:
    """rows: (D, 2) daughters, by mother."""
    stages = np.where(undone, np.uint8(Stage.RETRACTED), np.uint8(Stage.CONFIRMED))
    return Divisions(state.parent_ids[rows[:, 0]], state.track_ids[rows], stages)
