"""Motion of the stage: the shift that all cells have in common, removed before anything is linked.

The shift is where the cross-correlation of the cells' expected places with their found ones has its peak: of all
displacements between a cell and the detections around it, the one most agree on. It is phase correlation on the cells
in place of the pixels, so that it needs no image, costs the same at any image size, and is not misled by dust on the
optics, which does not move with the specimen. The peak is refined to the mean of those that agree, a fraction of a
pixel. A shift is believed only where it explains the frame much better than none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.tracking.gating import pairs_within
from streamcount.tracking.motion import Float64Array
from streamcount.types.ranges import each_in

# In usual diameters: how far the stage may jump in a frame; a bin of the correlation; what agrees with a shift.
FARTHEST, BIN, AGREES = 3.0, 0.25, 0.35
# So many cells tell the shift as well as all of them.
ENOUGH_CELLS = 400
FEWEST_CELLS = 8
# Of fewer, half may lie on others by chance somewhere in the picture.
FEWEST_FAR = 20
# Where so many cells, taken anywhere, are found about where they were expected, there is nothing to look for.
SAMPLE, AT_REST = 32, 0.15
# The mean misfit must fall to this share for a shift to be real.
REAL_SHARE = 0.5


def common_shift(
    expected_px: Float64Array,
    found_px: Float64Array,
    diameter_px: float,
    view_px: tuple[int, int] | None = None,
) -> Float64Array:
    """(2,) pixels, the shift (y, x) from where cells were expected to where they are; zeros if there is none.

    expected_px: (N, 2). found_px: (M, 2), soonest done where y ascends. diameter_px: of a usual cell. view_px:
    (height, width) of the picture, to look as far as half of it, and not for cells that are outside then; it takes
    longer.
    """
    farthest = FARTHEST if view_px is None else min(view_px) / 2 / diameter_px
    none = np.zeros(2)
    if len(expected_px) < FEWEST_CELLS or len(found_px) < FEWEST_CELLS:
        return none
    heights = found_px[:, 0]
    if (heights[1:] < heights[:-1]).any():
        found_px = found_px.take(np.argsort(heights), axis=0)
    sample = expected_px[:: -(-len(expected_px) // SAMPLE)]
    # Whatever lies farther away than this misfits alike.
    rows, columns = _beside(sample, AGREES * diameter_px, found_px)
    distances_px = np.hypot(*(found_px[columns] - sample[rows]).T)
    if _misfit(distances_px, rows, len(sample), diameter_px) < AT_REST:
        return none
    points = expected_px[:: -(-len(expected_px) // ENOUGH_CELLS)]
    rows, columns, _ = pairs_within(points, np.full(len(points), farthest * diameter_px), found_px)
    if not len(rows):
        return none
    away = found_px[columns] - points[rows]
    shift = _refined(_peak(away, diameter_px, farthest), away, diameter_px)
    before, after = (
        _misfit(np.hypot(*(away - by).T), rows, len(points), diameter_px) for by in (none, shift)
    )
    if view_px is not None:
        gone = np.count_nonzero(((points + shift < 0) | (points + shift >= view_px)).any(axis=1))
        if len(points) - gone < FEWEST_FAR:
            return none
        after = (after * len(points) - gone) / (len(points) - gone)
    return shift if after < REAL_SHARE * before else none


def _beside(
    points_px: Float64Array, reach_px: float, found_px: Float64Array
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of a point and a find that is not more than the reach above or below it. found_px: ascending in y."""
    heights = np.ascontiguousarray(found_px[:, 0])
    firsts = np.searchsorted(heights, points_px[:, 0] - reach_px)
    each = np.searchsorted(heights, points_px[:, 0] + reach_px, side="right") - firsts
    return each_in(firsts, each)


def _peak(away: Float64Array, diameter_px: float, farthest: float) -> Float64Array:
    """The middle of the bin that has, with its neighbours, most displacements."""
    half = int(np.ceil(farthest / BIN)) + 1
    bins = np.floor(away / (BIN * diameter_px)).astype(np.int64) + half
    votes = np.zeros((2 * half + 2, 2 * half + 2))
    np.add.at(votes, (bins[:, 0], bins[:, 1]), 1.0)
    smooth = votes.copy()
    for axis in (0, 1):
        smooth = smooth + np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis)
    best = np.array(np.unravel_index(int(smooth.argmax()), smooth.shape))
    peak: Float64Array = np.asarray((best - half + 0.5) * BIN * diameter_px, np.float64)
    return peak


def _refined(shift: Float64Array, away: Float64Array, diameter_px: float) -> Float64Array:
    for _ in range(3):
        agreeing = np.hypot(*(away - shift).T) < AGREES * diameter_px
        if not agreeing.any():
            break
        shift = away[agreeing].mean(axis=0).astype(np.float64)
    return shift


def _misfit(distances_px: Float64Array, rows: NDArray[np.int64], points: int, diameter_px: float) -> float:
    """Mean over the points of the squared distance to the nearest find, in what agrees, and 1 at most."""
    nearest = np.full(points, np.inf)
    np.minimum.at(nearest, rows, distances_px)
    return float(np.minimum(np.square(nearest / (AGREES * diameter_px)), 1.0).mean())
