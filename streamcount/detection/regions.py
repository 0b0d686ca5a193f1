"""From a mask to single cells: touching ones split at their necks, each measured. No loop over cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import FrameError

Labels: TypeAlias = NDArray[np.uint16]
# A pass less than this lower than a peak is roughness of the outline, in pixels worked on.
LEAST_DROP = 0.5
# As many as the label image has numbers.
MAX_REGIONS = 65_534


@dataclass(frozen=True)
class Regions:
    """N regions of a label image, region i having the value i + 1.

    labels: (H, W) uint16. centroids: (N, 2). boxes: (N, 4), half-open. areas: (N,). Float64, in pixels.
    """

    labels: Labels
    centroids: NDArray[np.float64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]


def split_touching(mask: NDArray[np.uint8], saddle: float) -> Labels:
    """(H, W) uint16 label image of a mask (H, W) uint8, touching cells apart.

    A watershed of the distance transform (Beucher and Lantuéjoul 1979) in the form of Couprie et al., 2005:
    every pixel belongs to the peak that steepest ascent leads to. A peak is taken as part of a higher
    neighbour where the pass between them is at least `saddle` times as high, or hardly lower. OpenCV's own
    watershed floods by differences of colour, not by height, and so does not split at the necks of a distance
    transform. Raises FrameError ("too-many-cells") above 65,534.
    """
    # Beside the image's edge the distance is that to the background within it: a cell cut by the edge
    # counts as going on.
    distance = cv2.GaussianBlur(cv2.distanceTransform(mask, cv2.DIST_L2, 5), (0, 0), 1.0)
    width = mask.shape[1] + 2
    heights = np.pad(np.where(mask > 0, distance, np.float32(0.0)), 1).ravel()
    inside = np.flatnonzero(heights)
    labels = np.zeros(mask.shape, np.uint16)
    if not len(inside):
        return labels
    places = np.zeros(len(heights), np.int64)
    places[inside] = np.arange(len(inside))
    tops = _summits(heights, inside, places, width)
    peaks = np.flatnonzero(tops == np.arange(len(tops)))
    numbers = np.empty(len(tops), np.int64)
    numbers[peaks] = np.arange(len(peaks))
    owners = numbers[tops]
    cells = _joined(heights[inside[peaks]], *_passes(heights, inside, owners, width), saddle)
    owners = cells[owners]
    if int(owners.max()) >= MAX_REGIONS:
        raise FrameError(
            "too-many-cells", f"more than {MAX_REGIONS} cells in one frame; raise min_diameter_px"
        )
    rows, columns = np.divmod(inside, width)
    labels[rows - 1, columns - 1] = owners + 1
    return labels


def _summits(
    heights: NDArray[np.float32], inside: NDArray[np.intp], places: NDArray[np.int64], width: int
) -> NDArray[np.int64]:
    """(P,) place of the summit that steepest ascent leads to from each pixel inside."""
    best = heights[inside]
    goal = inside.copy()
    for step in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        other = heights[inside + step]
        higher = other > best
        np.copyto(best, other, where=higher)
        np.copyto(goal, inside + step, where=higher)
    return _followed(places[goal])


def _followed(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The end of each chain of parents; the ends are their own."""
    while True:
        further = parents[parents]
        if np.array_equal(further, parents):
            return parents
        parents = further


def _passes(
    heights: NDArray[np.float32], inside: NDArray[np.intp], owners: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Where the areas of two peaks touch: both owners and the height of the pass, for each pair of pixels."""
    owner_at = np.full(len(heights), -1, np.int64)
    owner_at[inside] = owners
    first, second, passes = [], [], []
    for step in (1, width - 1, width, width + 1):
        other = owner_at[inside + step]
        here = np.flatnonzero((other >= 0) & (other != owners))
        first.append(owners[here])
        second.append(other[here])
        passes.append(np.minimum(heights[inside[here]], heights[inside[here] + step]).astype(np.float64))
    return np.concatenate(first), np.concatenate(second), np.concatenate(passes)


def _joined(
    peak_heights: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    passes: NDArray[np.float64],
    saddle: float,
) -> NDArray[np.int64]:
    """(P,) number from 0 of the cell that each peak belongs to, peaks without a neck between them being one.

    A peak joins the higher one across its highest pass, round by round, so that a bump in the neck of two
    cells joins one of them and not both to each other.
    """
    number = len(peak_heights)
    parents = np.arange(number, dtype=np.int64)
    # By rank no two peaks are equally high.
    ranks = np.empty(number, np.int64)
    ranks[np.argsort(peak_heights, kind="stable")] = np.arange(number)
    needed = np.minimum(saddle * peak_heights, peak_heights - LEAST_DROP).astype(np.float64)
    while len(passes):
        low = np.where(ranks[first] < ranks[second], first, second)
        high = np.where(ranks[first] < ranks[second], second, first)
        order = np.lexsort((ranks[high], passes, low))
        last = np.ones(len(order), np.bool_)
        last[:-1] = low[order][1:] != low[order][:-1]
        best = order[last]
        joins = best[passes[best] >= needed[low[best]]]
        if not len(joins):
            break
        step = np.arange(number, dtype=np.int64)
        step[low[joins]] = high[joins]
        parents = _followed(step)[parents]
        first, second = parents[first], parents[second]
        apart = first != second
        first, second, passes = first[apart], second[apart], passes[apart]
    numbers: NDArray[np.int64] = np.unique(parents, return_inverse=True)[1]
    return numbers


def measure(labels: Labels, *, min_area: float, max_area: float) -> Regions:
    """Measure the regions of a label image (H, W) uint16, without those outside of the areas, renumbered."""
    areas = np.bincount(labels.ravel())
    keep = (areas >= min_area) & (areas <= max_area)
    keep[0] = False
    numbers = np.zeros(len(areas), np.uint16)
    numbers[keep] = np.arange(1, int(keep.sum()) + 1)
    kept = numbers[labels]
    places = np.flatnonzero(kept)
    if not len(places):
        return Regions(kept, np.empty((0, 2)), np.empty((0, 4)), np.empty(0))
    owners = kept.ravel()[places]
    # A stable sort by region keeps the order of rows within it: the first pixel is its top, the last its
    # bottom.
    order = np.argsort(owners, kind="stable")
    rows, columns = np.divmod(places[order], labels.shape[1])
    sizes = areas[keep].astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(areas[keep])[:-1]])
    ends = np.cumsum(areas[keep]) - 1
    lowest, highest = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts)
    boxes = np.stack([rows[starts], lowest, rows[ends] + 1, highest + 1], axis=1).astype(np.float64)
    sums = np.stack([np.add.reduceat(rows, starts), np.add.reduceat(columns, starts)], axis=1)
    return Regions(kept, sums / sizes[:, None], boxes, sizes)
