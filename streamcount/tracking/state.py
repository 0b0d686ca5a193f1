"""What a tracker remembers between two frames: plain arrays, one row a living track."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types import Float32Array, Int64Array

# No intensity is below -1. Unlike NaN it is equal to itself, so that equal states are.
NOT_MEASURED = np.float32(-2.0)


class TrackerState(msgspec.Struct, frozen=True, eq=False):
    """N living tracks, in ascending order of id. Computed with in float64.

    next_track_id: the id that the next new track gets, from 1.
    class_names: the classes that the columns of `class_sums` stand for.
    surprise_diameters: how far from where they were expected cells were seen lately, the running median in
    diameters; 0 where that is not known yet. speed_products, speed_squares: of the cells of late the products of step
    and speed before it, and the squares of that speed, summed, in squared diameters.
    track_ids, parent_ids: (N,) int64; parent 0 for none.
    generations: (N,) int32. status: (N,) uint8 of TrackStatus, never ENDED.
    hits: (N,) int32, frames in which the track was seen.
    misses: (N,) int32, frames looked at in vain since it was last seen.
    motion: (N, 4) float32, filtered (y, x, vy, vx), pixels and pixels per frame.
    spreads: (N, 3) float16, standard deviations of position and velocity and their correlation; the same for
    both axes. box_offsets_px: (N, 4) float16, the last seen box less the centroid (y0, x0, y1, x1). areas_px:
    (N,) float32, smoothed area. largest_areas_px: (N,) float32, its largest so far. class_sums: (N, C)
    float32, class probabilities summed over the track's life. intensities: (N,) float32, smoothed, in parts of 2048,
    NOT_MEASURED where none was. first_sequences, last_sequences,
    first_seen_ns, last_seen_ns: (N,) int64, as in Tracks.
    """

    next_track_id: int
    class_names: tuple[str, ...]
    surprise_diameters: float
    track_ids: Int64Array
    parent_ids: Int64Array
    generations: NDArray[np.int32]
    status: NDArray[np.uint8]
    hits: NDArray[np.int32]
    misses: NDArray[np.int32]
    motion: Float32Array
    spreads: NDArray[np.float16]
    box_offsets_px: NDArray[np.float16]
    areas_px: Float32Array
    largest_areas_px: Float32Array
    class_sums: Float32Array
    intensities: Float32Array
    first_sequences: Int64Array
    last_sequences: Int64Array
    first_seen_ns: Int64Array
    last_seen_ns: Int64Array
    speed_products: float = 0.0
    speed_squares: float = 0.0

    def __len__(self) -> int:
        return len(self.track_ids)


_SINGLE = ("next_track_id", "class_names", "surprise_diameters", "speed_products", "speed_squares")
PER_TRACK = tuple(name for name in TrackerState.__struct_fields__ if name not in _SINGLE)


def empty_state() -> TrackerState:
    """No tracks, the first id still to be given."""
    return TrackerState(
        next_track_id=1,
        class_names=(),
        surprise_diameters=0.0,
        track_ids=np.empty(0, np.int64),
        parent_ids=np.empty(0, np.int64),
        generations=np.empty(0, np.int32),
        status=np.empty(0, np.uint8),
        hits=np.empty(0, np.int32),
        misses=np.empty(0, np.int32),
        motion=np.empty((0, 4), np.float32),
        spreads=np.empty((0, 3), np.float16),
        box_offsets_px=np.empty((0, 4), np.float16),
        areas_px=np.empty(0, np.float32),
        largest_areas_px=np.empty(0, np.float32),
        class_sums=np.empty((0, 0), np.float32),
        intensities=np.empty(0, np.float32),
        first_sequences=np.empty(0, np.int64),
        last_sequences=np.empty(0, np.int64),
        first_seen_ns=np.empty(0, np.int64),
        last_seen_ns=np.empty(0, np.int64),
    )


def with_classes(state: TrackerState, class_names: tuple[str, ...]) -> TrackerState:
    """The same tracks under another model's classes.

    What was believed of classes that both models know by the same name is kept with the weight of a single
    sighting; the rest starts anew. A track of which nothing is kept has class 0 until it is seen again.
    """
    if class_names == state.class_names:
        return state
    sums = np.zeros((len(state), len(class_names)), np.float64)
    for column, name in enumerate(class_names):
        if name in state.class_names:
            sums[:, column] = state.class_sums[:, state.class_names.index(name)]
    weights = np.maximum(state.class_sums.sum(axis=1, dtype=np.float64), 1.0) if len(state) else np.ones(0)
    return msgspec.structs.replace(
        state, class_names=class_names, class_sums=(sums / weights[:, None]).astype(np.float32)
    )
