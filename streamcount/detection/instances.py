"""From the maps of an instance model to outlines: every foreground pixel votes for its own cell's centre.

The clustering of Neven et al. (arXiv 1906.11109) in one step: a pixel's offset leads to a place, and the pixel
belongs to the peak nearest to that place. "Nearest" is looked up in a label image of the peaks' Voronoi cells, so
that nothing loops over cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.contours import outlines_of
from streamcount.detection.postprocess import STRIDE_PX, Cells, Maps
from streamcount.types import OUTLINE_POINTS, Float32Array, UInt8Array

FOREGROUND = 0.5
# A vote may miss its peak by this share of the cell's longer half side, and by so many map cells more.
REACH_SIDES, REACH_CELLS = 0.8, 1.5
# A piece of a cell apart from its largest piece is kept from this share of its area on.
PIECE_SHARE = 0.25
# To write the peaks' numbers all around them is quicker than a distance transform up to so many map cells, of all.
NEAR_SHARE = 4.0


@dataclass(frozen=True)
class Instances:
    """N cells with their pixels, at the map's resolution.

    cells: as decoded, but with boxes about their pixels. centroids_px (N, 2) and areas_px (N,): of the pixels,
    weighed by how much of each is cell, in pixels of the net's input. foreground_px: their sum. decoded: the cells
    with the boxes that they were decoded with, for outlines at a finer resolution. outlines: (N, 24, 2) points around
    the cells, see `Detections.outlines`; None where nobody asked for them.
    """

    cells: Cells
    centroids_px: Float32Array
    areas_px: Float32Array
    foreground_px: float
    decoded: Cells
    outlines: UInt8Array | None = None


@dataclass(frozen=True)
class Peaks:
    """Which of N peaks is nearest to a place, and how far a vote for it may miss.

    owners: (h + 2 rim, w + 2 rim) intp, the number from 0 of the peak nearest to each map cell and to those around
    the map, -1 where none is near enough for any vote. places: (N + 1, 2), reach: (N + 1,), in map cells; the last
    is nobody's, far away.
    """

    owners: NDArray[np.intp]
    rim: int
    places: Float32Array
    reach: Float32Array

    def of(self, rows: Float32Array, columns: Float32Array) -> NDArray[np.intp]:
        """(P,) the peak that votes (P,) for places in map cells are for; -1 where none is near enough."""
        height, width = self.owners.shape
        top = ((rows + np.float32(self.rim - 0.5)).astype(np.intp)).clip(0, height - 2)
        left = ((columns + np.float32(self.rim - 0.5)).astype(np.intp)).clip(0, width - 2)
        top *= width
        top += left
        # The nearest of all is that of one of the four map cells around the place, which mostly have one peak.
        flat = self.owners.ravel()
        owners, *others = (flat[step:].take(top) for step in (0, 1, width, width + 1))
        torn = np.flatnonzero((owners != others[0]) | (owners != others[1]) | (owners != others[2]))
        if len(torn):
            candidates = np.stack([one.take(torn) for one in (owners, *others)])
            best = self._miss(candidates, rows[torn], columns[torn]).argmin(axis=0)
            owners[torn] = np.take_along_axis(candidates, best[None], axis=0)[0]
        owners[self._miss(owners, rows, columns) > (self.reach**2).take(owners)] = -1
        return owners

    def _miss(self, owners: NDArray[np.intp], rows: Float32Array, columns: Float32Array) -> Float32Array:
        """Squared distances of places to peaks, map cells."""
        y, x = np.ascontiguousarray(self.places.T)
        return np.asarray((rows - y.take(owners)) ** 2 + (columns - x.take(owners)) ** 2, np.float32)


def find_peaks(cells: Cells, shape: tuple[int, int]) -> Peaks:
    """The look-up for the cells' centres; shape: (h, w) of the maps."""
    places = np.asarray(cells.centres_px / STRIDE_PX, np.float32)
    sides = cells.boxes_px[:, 2:] - cells.boxes_px[:, :2]
    reach = REACH_SIDES * np.maximum(sides[:, 0], sides[:, 1]) / 2 / STRIDE_PX + REACH_CELLS
    at = np.minimum(np.maximum(places.astype(np.intp), 0), np.array(shape) - 1)
    # Neither a place nor its peak is farther from the middle of its map cell than that from its corner.
    around = _disc(int((reach.max() + np.sqrt(2)) ** 2))
    if len(at) * len(around) < NEAR_SHARE * shape[0] * shape[1]:
        owners, rim = _near(at, shape, around)
    else:
        owners, rim = _everywhere(at, shape), 1
    nobody = np.full((1, 2), np.inf, np.float32)
    return Peaks(owners, rim, np.append(places, nobody, axis=0), np.append(reach, 0).astype(np.float32))


def _near(
    at: NDArray[np.intp], shape: tuple[int, int], around: NDArray[np.intp]
) -> tuple[NDArray[np.intp], int]:
    """The number of the seed, of those at map cells (N, 2), that is nearest and not farther than `around`, or -1; and
    the rim."""
    rim = int(around.max())
    stride = np.array([shape[1] + 2 * rim, 1])
    owners = np.full((shape[0] + 2 * rim, shape[1] + 2 * rim), -1, np.intp)
    # What is written later stays: the near after the far, and of two peaks as near the stronger.
    steps, middles = around @ stride, (at[::-1] + rim) @ stride
    owners.ravel()[(steps[:, None] + middles).ravel()] = np.tile(np.arange(len(at) - 1, -1, -1), len(steps))
    return owners, rim


@lru_cache(maxsize=64)
def _disc(square: int) -> NDArray[np.intp]:
    """(K, 2) all steps by map cells of a squared length up to this, the longest first."""
    radius = int(np.sqrt(square))
    steps = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1).T
    squares = (steps**2).sum(axis=1)
    order = np.argsort(-squares, kind="stable")
    return np.asarray(steps[order[squares[order] <= square]], np.intp)


def _everywhere(at: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.intp]:
    """As `_near` with a rim of 1, however far: by a distance transform, whose work does not grow with the peaks."""
    seeds = np.ones(shape, np.uint8)
    seeds[at[:, 0], at[:, 1]] = 0
    _, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # OpenCV numbers the seeds in its own order; of two peaks in one map cell, the stronger has it.
    number = np.zeros(len(at) + 1, np.intp)
    number[nearest[at[::-1, 0], at[::-1, 1]]] = np.arange(len(at) - 1, -1, -1)
    return np.pad(number.take(np.asarray(nearest, np.int32)), 1, mode="edge")


def gather(
    cells: Cells,
    maps: Maps,
    shape_px: tuple[int, int],
    least_area_px: float = 0.0,
    *,
    outlined: bool = False,
) -> Instances:
    """Give every foreground pixel of the maps to its cell; cells without any, or of a smaller area, are left out.

    shape_px: (height, width) of the image within the net's input. outlined: with points around the cells.
    """
    height, width = -(-shape_px[0] // STRIDE_PX), -(-shape_px[1] // STRIDE_PX)
    coverage = maps.foreground.values(height, width)[..., 0]
    if not len(cells):
        nothing = np.zeros(0, np.float32)
        covered = float(_solid(coverage).sum()) * STRIDE_PX**2
        none = np.zeros((0, OUTLINE_POINTS, 2), np.uint8) if outlined else None
        return Instances(cells, nothing.reshape(0, 2), nothing, covered, cells, none)
    # A border pixel is less than half covered, and still counts for the area by its share.
    pixels = np.flatnonzero(coverage > 0.25)
    row = pixels // width
    rows, columns = row.astype(np.float32), (pixels - row * width).astype(np.float32)
    offset = maps.offset.flat(height, width).of_cells(pixels)
    owners = find_peaks(cells, (height, width)).of(rows + offset[:, 0], columns + offset[:, 1])
    share = coverage.take(pixels)
    # Nobody's pixels are counted first, and left out.
    bins, number = owners + 1, len(cells) + 1
    weights = (share, share * (rows + 0.5), share * (columns + 0.5))
    sums = np.stack([np.bincount(bins, weight, number)[1:] for weight in weights])
    solid = np.where(share > FOREGROUND, owners, -1)
    low, high = _extents(solid, pixels, row, (len(cells), width))
    keep = (high[:, 0] > 0) & (sums[0] * STRIDE_PX**2 >= least_area_px)
    if not keep.all():
        cells, sums, low, high = cells.take(keep), sums[:, keep], low[keep], high[keep]
    boxes = _boxes(cells, low * STRIDE_PX, high * STRIDE_PX, shape_px)
    lines = None
    if outlined:
        # Of one number more than there are cells, so that nobody's, -1, is the last.
        numbers = np.append(np.cumsum(keep) * keep, 0).astype(np.float32)
        labels = np.zeros(coverage.shape, np.float32)
        labels.ravel()[pixels] = numbers.take(solid, mode="wrap")
        lines = outlines_of(labels, boxes / STRIDE_PX, coverage)
    return Instances(
        replace(cells, boxes_px=boxes),
        (sums[1:] / np.maximum(sums[0], 1e-6) * STRIDE_PX).T.astype(np.float32, order="C"),
        (sums[0] * STRIDE_PX**2).astype(np.float32),
        float(sums[0].sum()) * STRIDE_PX**2,
        cells,
        lines,
    )


def _extents(
    owners: NDArray[np.intp], pixels: NDArray[np.intp], rows: NDArray[np.intp], sizes: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(N, 2) first pixel, and last pixel plus one, by row and column, of the pixels (P,) of each of N owners.

    owners: from 0, negative for nobody. pixels: ascending places in the flat map; rows: theirs. sizes: N, and the
    map's width. Zeros for an owner of no pixel.
    """
    number, width = sizes
    low, high = np.full((number, 2), np.iinfo(np.intp).max), np.zeros((number, 2), np.intp)
    # Of an owner's pixels one after the other in a row, only the first and the last are asked.
    ends = np.flatnonzero((owners[1:] != owners[:-1]) | (rows[1:] != rows[:-1]))
    first, last = np.append(0, ends + 1)[: len(owners)], np.append(ends, len(owners) - 1)[: len(owners)]
    owned = np.flatnonzero(owners.take(first) >= 0)
    first, last = first.take(owned), last.take(owned)
    whose, row = owners.take(first), rows.take(first)
    # Rows ascend, so the first run of an owner is its top and the last its bottom.
    low[whose[::-1], 0] = row[::-1]
    high[whose, 0] = row + 1
    left, right = low[:, 1].copy(), high[:, 1].copy()
    np.minimum.at(left, whose, pixels.take(first) - row * width)
    np.maximum.at(right, whose, pixels.take(last) - row * width + 1)
    low[:, 1], high[:, 1] = left, right
    low[high[:, 0] == 0] = 0
    return low, high


def _boxes(
    cells: Cells, low: NDArray[np.intp], high: NDArray[np.intp], shape_px: tuple[int, int]
) -> Float32Array:
    """(N, 4) boxes: their middles by the pixels' extents (N, 2), their sides by the net, finer than a map cell."""
    middle = (low + high) / 2
    half = (cells.boxes_px[:, 2:] - cells.boxes_px[:, :2]) / 2
    limits = np.array(shape_px, np.float32)
    boxes = np.hstack([middle - half, middle + half])
    return np.minimum(np.maximum(boxes, 0), np.tile(limits, 2)).astype(np.float32)


def _solid(coverage: Float32Array) -> Float32Array:
    return np.where(coverage > FOREGROUND, coverage, 0)


def outlines(
    found: Instances, maps: Maps, shape_px: tuple[int, int], frame_shape_px: tuple[int, int]
) -> NDArray[np.uint16]:
    """(H, W) uint16 label image at the frame's resolution: pixels of cell i have the value i + 1.

    Foreground and offsets are interpolated between map cells, so outlines are smooth.
    """
    labels = np.zeros(frame_shape_px, np.uint16)
    if not len(found.cells):
        return labels
    height, width = shape_px[0] / STRIDE_PX, shape_px[1] / STRIDE_PX
    scale = np.array([frame_shape_px[0] / height, frame_shape_px[1] / width])
    coverage = _at_frame(
        maps.foreground.values(int(np.ceil(height)), int(np.ceil(width))), scale, frame_shape_px
    )
    rows, columns = np.nonzero(coverage > FOREGROUND)
    offset = _at_frame(maps.offset.values(int(np.ceil(height)), int(np.ceil(width))), scale, frame_shape_px)
    # An offset is from its map cell's corner, and was interpolated between the cells' middles.
    y = (rows + 0.5) / scale[0] - 0.5 + offset[rows, columns, 0]
    x = (columns + 0.5) / scale[1] - 0.5 + offset[rows, columns, 1]
    peaks = find_peaks(found.decoded, (int(np.ceil(height)), int(np.ceil(width))))
    owners = peaks.of(y.astype(np.float32), x.astype(np.float32))
    labels[rows, columns] = (owners + 1).astype(np.uint16)
    return _main_pieces(labels)


def _at_frame(values: Float32Array, scale: NDArray[np.float64], shape: tuple[int, int]) -> Float32Array:
    matrix = np.array([[1 / scale[1], 0, 0.5 / scale[1] - 0.5], [0, 1 / scale[0], 0.5 / scale[0] - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(values, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _main_pieces(labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Without the pieces of a cell that are small and apart from its largest."""
    number = int(labels.max())
    # Two cells that touch are two pieces: cut them apart where the label changes.
    solid = (labels > 0).astype(np.uint8)
    change = np.zeros_like(solid)
    for axis in range(2):
        here = np.moveaxis(labels, axis, 0)
        differs = (here[1:] != here[:-1]) & (here[1:] > 0) & (here[:-1] > 0)
        np.moveaxis(change, axis, 0)[1:] |= differs.astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(solid & (1 - change), connectivity=4)
    if count - 1 <= number:
        return labels
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    owner = np.zeros(count, np.int64)
    owner[pieces.ravel()] = labels.ravel()
    owner[0] = 0
    largest = np.zeros(number + 1)
    np.maximum.at(largest, owner[1:], areas[1:])
    keep = areas >= PIECE_SHARE * largest[owner]
    drop = (~keep[pieces]) & (pieces > 0)
    cleaned = labels.copy()
    cleaned[drop] = 0
    return cleaned
