"""From the maps of an instance model to outlines: every foreground pixel votes for its own cell's centre.

The clustering of Neven et al. (arXiv 1906.11109) in one step: a pixel's offset leads to a place, and the pixel
belongs to the peak nearest to that place. "Nearest" is looked up in a label image of the peaks' Voronoi cells, so
that nothing loops over cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.postprocess import STRIDE_PX, Cells, Maps
from streamcount.detection.regions import extents, runs_of
from streamcount.types import Float32Array

FOREGROUND = 0.5
# A vote may miss its peak by this share of the cell's longer half side, and by so many map cells more.
REACH_SIDES, REACH_CELLS = 0.8, 1.5
# A piece of a cell apart from its largest piece is kept from this share of its area on.
PIECE_SHARE = 0.25


@dataclass(frozen=True)
class Instances:
    """N cells with their pixels, at the map's resolution.

    cells: as decoded, but with boxes about their pixels. centroids_px (N, 2) and areas_px (N,): of the pixels,
    weighed by how much of each is cell, in pixels of the net's input. foreground_px: their sum. peaks: the look-up of
    places, for outlines at a finer resolution.
    """

    cells: Cells
    centroids_px: Float32Array
    areas_px: Float32Array
    foreground_px: float
    peaks: Peaks


@dataclass(frozen=True)
class Peaks:
    """Which of N peaks is nearest to a place, and how far a vote for it may miss.

    owners: (h, w) int32, the number from 0 of the peak nearest to each map cell's middle. torn: (h, w) bool, whether
    the cell, the next to the right and those below have several. places: (N, 2), reach: (N,), in map cells.
    """

    owners: NDArray[np.int32]
    torn: NDArray[np.bool_]
    places: Float32Array
    reach: Float32Array

    def of(self, rows: Float32Array, columns: Float32Array) -> NDArray[np.int64]:
        """(P,) the peak that votes (P,) for places in map cells are for; -1 where none is near enough."""
        height, width = self.owners.shape
        top = np.clip((rows - 0.5).astype(np.int32), 0, height - 1)
        left = np.clip((columns - 0.5).astype(np.int32), 0, width - 1)
        here = top * width + left
        owners = np.asarray(self.owners.take(here), np.int64)
        # The nearest of all is that of one of the four map cells around the place, which mostly have one peak.
        torn = np.flatnonzero(self.torn.take(here))
        if len(torn):
            y = np.minimum(top[torn] + np.array([0, 0, 1, 1])[:, None], height - 1)
            x = np.minimum(left[torn] + np.array([0, 1, 0, 1])[:, None], width - 1)
            candidates = np.asarray(self.owners.take(y * width + x), np.int64)
            best = self._miss(candidates, rows[torn], columns[torn]).argmin(axis=0)
            owners[torn] = np.take_along_axis(candidates, best[None], axis=0)[0]
        owners[self._miss(owners, rows, columns) > (self.reach**2).take(owners)] = -1
        return owners

    def _miss(self, owners: NDArray[np.int64], rows: Float32Array, columns: Float32Array) -> Float32Array:
        """Squared distances of places to peaks, map cells."""
        y, x = np.ascontiguousarray(self.places.T)
        return np.asarray((rows - y.take(owners)) ** 2 + (columns - x.take(owners)) ** 2, np.float32)


def find_peaks(cells: Cells, shape: tuple[int, int]) -> Peaks:
    """The look-up for the cells' centres; shape: (h, w) of the maps."""
    places = np.asarray(cells.centres_px / STRIDE_PX, np.float32)
    at = np.clip(places.astype(np.int64), 0, np.array(shape) - 1)
    seeds = np.ones(shape, np.uint8)
    seeds[at[:, 0], at[:, 1]] = 0
    _, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # OpenCV numbers the seeds in its own order; of two peaks in one map cell, the stronger has it.
    number = np.zeros(int(nearest.max()) + 1, np.int32)
    number[nearest[at[::-1, 0], at[::-1, 1]]] = np.arange(len(at) - 1, -1, -1)
    sides = cells.boxes_px[:, 2:] - cells.boxes_px[:, :2]
    reach = REACH_SIDES * sides.max(axis=1, initial=0) / 2 / STRIDE_PX + REACH_CELLS
    owners = number.take(np.asarray(nearest, np.int32))
    return Peaks(owners, _torn(owners), places, reach.astype(np.float32))


def _torn(owners: NDArray[np.int32]) -> NDArray[np.bool_]:
    torn = np.zeros(owners.shape, np.bool_)
    torn[:-1] = owners[:-1] != owners[1:]
    torn[:, :-1] |= owners[:, :-1] != owners[:, 1:]
    torn[:-1, :-1] |= owners[:-1, :-1] != owners[1:, 1:]
    return torn


def gather(cells: Cells, maps: Maps, shape_px: tuple[int, int], least_area_px: float = 0.0) -> Instances:
    """Give every foreground pixel of the maps to its cell; cells without any, or of a smaller area, are left out.

    shape_px: (height, width) of the image within the net's input.
    """
    height, width = -(-shape_px[0] // STRIDE_PX), -(-shape_px[1] // STRIDE_PX)
    coverage = maps.foreground.values(height, width)[..., 0]
    if not len(cells):
        nothing = np.zeros(0, np.float32)
        peaks = Peaks(np.zeros((1, 1), np.int32), np.zeros((1, 1), np.bool_), nothing.reshape(0, 2), nothing)
        return Instances(
            cells, nothing.reshape(0, 2), nothing, float(_solid(coverage).sum()) * STRIDE_PX**2, peaks
        )
    peaks = find_peaks(cells, (height, width))
    # A border pixel is less than half covered, and still counts for the area by its share.
    pixels = np.flatnonzero(coverage > 0.25)
    rows, columns = (part.astype(np.float32) for part in np.divmod(pixels, width))
    offset = maps.offset.flat(height, width).of_cells(pixels)
    owners = peaks.of(rows + offset[0], columns + offset[1])
    member = owners >= 0
    pixels, rows, columns, owners = pixels[member], rows[member], columns[member], owners[member]
    share = coverage.take(pixels)
    number = len(cells)
    sums = np.stack(
        [np.bincount(owners, share * part, number) for part in (1.0, rows + 0.5, columns + 0.5)], axis=1
    )
    labels = np.zeros((height, width), np.int32)
    core = share > FOREGROUND
    labels.ravel()[pixels[core]] = owners[core] + 1
    areas, boxes = extents(runs_of(labels), number + 1)
    keep = (areas[1:] > 0) & (sums[:, 0] * STRIDE_PX**2 >= least_area_px)
    kept, sums = cells.take(keep), sums[keep]
    low, high = boxes[1:][keep, :2] * STRIDE_PX, boxes[1:][keep, 2:] * STRIDE_PX
    return Instances(
        replace(kept, boxes_px=_boxes(kept, low, high, shape_px)),
        (sums[:, 1:] / np.maximum(sums[:, :1], 1e-6) * STRIDE_PX).astype(np.float32),
        (sums[:, 0] * STRIDE_PX**2).astype(np.float32),
        float(sums[:, 0].sum()) * STRIDE_PX**2,
        peaks if keep.all() else find_peaks(kept, (height, width)),
    )


def _boxes(
    cells: Cells, low: NDArray[np.int64], high: NDArray[np.int64], shape_px: tuple[int, int]
) -> Float32Array:
    """(N, 4) boxes: their middles by the pixels' extents (N, 2), their sides by the net, finer than a map cell."""
    middle = (low + high) / 2
    half = (cells.boxes_px[:, 2:] - cells.boxes_px[:, :2]) / 2
    limits = np.array(shape_px, np.float32)
    boxes = np.hstack([np.clip(middle - half, 0, limits), np.clip(middle + half, 0, limits)])
    return np.asarray(boxes, np.float32)


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
    owners = found.peaks.of(y.astype(np.float32), x.astype(np.float32))
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
