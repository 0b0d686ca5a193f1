"""From a mask to single cells: touching ones split at their necks, each measured. No loop over cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import FrameError

Labels: TypeAlias = NDArray[np.uint16]
# A pass less than this lower than a peak is roughness of the outline, in pixels worked on.
LEAST_DROP = 0.5
# Heights are told apart to this part of a pixel.
HEIGHT_STEPS = 1024
NEIGHBOURS = np.ones((3, 3), np.uint8)
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
    # Without any background OpenCV calls it infinite.
    distance = np.minimum(distance, np.float32(max(mask.shape)))
    # A rim of background, so that each pixel of a cell has eight neighbours.
    inside = np.flatnonzero(_with_rim(mask) != 0)
    labels = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint16)
    if not len(inside):
        return labels[1:-1, 1:-1]
    heights = _with_rim(distance).ravel()[inside]
    tops = _summits(heights, inside, labels.shape)
    peaks = np.flatnonzero(tops == np.arange(len(tops)))
    numbers = np.empty(len(tops), np.int64)
    numbers[peaks] = np.arange(len(peaks))
    owners = numbers[tops]
    cells = _joined(heights[peaks], *_passes(heights, inside, owners, labels.shape), saddle)
    owners = cells[owners]
    if int(owners.max()) >= MAX_REGIONS:
        raise FrameError(
            "too-many-cells", f"more than {MAX_REGIONS} cells in one frame; raise min_diameter_px"
        )
    labels.ravel()[inside] = owners + 1
    return np.ascontiguousarray(labels[1:-1, 1:-1])


def _with_rim(image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0))


def _summits(
    heights: NDArray[np.float32], inside: NDArray[np.intp], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """(P,) place of the summit that steepest ascent leads to from each pixel inside.

    heights, inside: (P,) of the pixels inside, and their positions in the flat image of this shape.
    """
    # Height and position in one number (exact in float64): the highest neighbour's tells where it is, and of
    # equals there is one highest.
    places_number = 1 << (shape[0] * shape[1]).bit_length()
    packed = np.zeros(shape)
    packed.ravel()[inside] = np.floor(heights * np.float32(HEIGHT_STEPS)) * float(places_number) + inside
    cv2.dilate(packed, NEIGHBOURS, dst=packed)
    highest = packed.ravel()[inside].astype(np.int64) & (places_number - 1)
    # The same memory again: fresh memory of this size costs more than the work done in it.
    places = packed.view(np.int64).ravel()
    places[inside] = np.arange(len(inside))
    return _followed(places[highest])


def _followed(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The end of each chain of parents; the ends are their own."""
    while True:
        further = parents[parents]
        if (further == parents).all():
            return parents
        parents = further


def _passes(
    heights: NDArray[np.float32], inside: NDArray[np.intp], owners: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Where the areas of two peaks touch: both owners and the height of the pass, for each pair of pixels."""
    # Float32 holds every number up to 2 ** 24, and dilates quickly.
    owner_at = np.zeros(shape, np.float32)
    owner_at.ravel()[inside] = owners + 1
    # Of two pixels that touch, the one whose owner has the lower number sees the other.
    rim = np.flatnonzero(cv2.dilate(owner_at, NEIGHBOURS).ravel()[inside] > owners + 1)
    width = shape[1]
    steps = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    others = inside[rim] + steps[:, None]
    numbers = owner_at.ravel()[others].astype(np.int64) - 1
    step, here = np.nonzero(numbers > owners[rim])
    places = np.searchsorted(inside, others[step, here])
    passes = np.minimum(heights[rim[here]], heights[places]).astype(np.float64)
    return owners[rim[here]], numbers[step, here], passes


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
    # A pass too low for the lower of its peaks never joins: what the peaks become part of is higher still.
    near = passes >= np.minimum(needed[first], needed[second])
    first, second, passes = first[near], second[near], passes[near]
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
    kept = parents == np.arange(number)
    numbers: NDArray[np.int64] = (np.cumsum(kept) - 1)[parents]
    return numbers


@dataclass(frozen=True)
class Runs:
    """R stretches of equal pixels in the rows of an image, in raster order.

    values: (R,), of the image's dtype. rows, lefts, lengths: (R,) int64, in pixels. To measure a few hundred of
    these is far quicker than to measure as many pixels as they hold.
    """

    values: NDArray[Any]
    rows: NDArray[np.int64]
    lefts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def runs_of(image: NDArray[Any]) -> Runs:
    """The stretches of equal pixels of an image (H, W)."""
    flat, width = image.ravel(), image.shape[1]
    begins = np.empty(flat.size, np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::width] = True
    starts = np.flatnonzero(begins)
    rows, lefts = np.divmod(starts, width)
    return Runs(flat[starts], rows, lefts, np.diff(starts, append=flat.size))


def extents(runs: Runs, number: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Areas (number,) and boxes (number, 4), half-open, of the values below `number`; zeros for none."""
    areas = np.bincount(runs.values, weights=runs.lengths, minlength=number).astype(np.float64, copy=False)
    boxes = np.zeros((number, 4), np.int64)
    boxes[:, :2] = np.iinfo(np.int64).max
    # Rows ascend, so the first run of a value is its top and the last its bottom.
    boxes[runs.values[::-1], 0] = runs.rows[::-1]
    boxes[runs.values, 2] = runs.rows + 1
    lefts, rights = boxes[:, 1].copy(), np.zeros(number, np.int64)
    np.minimum.at(lefts, runs.values, runs.lefts)
    np.maximum.at(rights, runs.values, runs.lefts + runs.lengths)
    boxes[:, 1], boxes[:, 3] = lefts, rights
    boxes[areas == 0] = 0
    return areas, boxes


def measure(labels: Labels, *, min_area: float, max_area: float) -> Regions:
    """Measure the regions of a label image (H, W) uint16, without those outside of the areas, renumbered."""
    runs = runs_of(labels)
    number = int(runs.values.max()) + 1
    areas, boxes = extents(runs, number)
    keep = (areas >= min_area) & (areas <= max_area)
    keep[0] = False
    numbers = np.zeros(number, np.uint16)
    numbers[keep] = np.arange(1, int(keep.sum()) + 1)
    kept = np.repeat(numbers[runs.values], runs.lengths).reshape(labels.shape)
    sums_y = np.bincount(runs.values, weights=runs.rows * runs.lengths)
    sums_x = np.bincount(runs.values, weights=(runs.lefts + (runs.lengths - 1) / 2) * runs.lengths)
    centroids = np.stack([sums_y[keep], sums_x[keep]], axis=1) / areas[keep, None]
    return Regions(kept, centroids, boxes[keep].astype(np.float64), areas[keep])
