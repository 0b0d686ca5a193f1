"""What the net should answer: target maps drawn from boxes or from a label image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.training.net import STRIDE_PX

SLIVER_PX, SLIVER_SHARE = 5.0, 0.2  # a cell cut to less by a crop is neither asked for nor punished
UNSURE = 0.95  # a centre target that is no positive, and costs almost nothing as a negative
FINER = 4  # discs are drawn so many times finer than the map, for the share of a map cell that they cover


@dataclass(frozen=True)
class Targets:
    """Maps at a quarter of the canvas, (h, w, channels) float32.

    centre: C channels, 1 at a cell's centre, falling off as a bell. regress: log h and log w over the net's cell
    diameter, offset y and x in map cells, then the weights of size and of offset. foreground: the share of each map
    cell that is cell.
    """

    centre: NDArray[np.float32]
    regress: NDArray[np.float32]
    foreground: NDArray[np.float32]


@dataclass(frozen=True)
class Placed:
    """N cells on a canvas, in pixels: centres (N, 2), sides (N, 2) of the visible part, class_ids (N,), and
    ignored (N,) bool for those of which too little is seen to ask for them."""

    centres_px: NDArray[np.float32]
    sides_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    ignored: NDArray[np.bool_]


def box_targets(
    boxes: NDArray[np.float32],
    clipped: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    classes: int,
    canvas_px: int,
    diameter_px: float,
) -> Targets:
    """Targets of boxes (N, 4) [y0, x0, y1, x1] before and after clipping to what the canvas shows."""
    sides = clipped[:, 2:] - clipped[:, :2]
    full = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3)
    visible = (np.maximum(sides, 0) / full).prod(axis=1)
    shown = sides.min(axis=1, initial=1e9) >= 1
    placed = Placed((clipped[:, :2] + clipped[:, 2:])[shown] / 2, sides[shown], class_ids[shown],
                    _barely_seen(sides, visible)[shown])  # fmt: skip
    targets = _drawn(placed, classes, canvas_px, diameter_px)
    return Targets(targets.centre, targets.regress, _discs(placed, canvas_px))


def instance_targets(
    labels: NDArray[np.uint16],
    full_areas_px: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    classes: int,
    diameter_px: float,
) -> Targets:
    """Targets of a label image (S, S) in which cell i has the value i + 1.

    full_areas_px: (N,) area of each whole cell at the canvas's scale. The centre that a pixel's offset leads to is
    the cell's centroid, or the pixel of the cell nearest to it.
    """
    canvas_px = labels.shape[0]
    areas, centres, sides = _measured(labels, len(class_ids))
    shown = areas > 0
    visible = areas / np.maximum(full_areas_px, 1)
    placed = Placed(centres[shown], sides[shown], class_ids[shown], _barely_seen(sides, visible)[shown])
    targets = _drawn(placed, classes, canvas_px, diameter_px)
    side = canvas_px // STRIDE_PX
    blocks = labels.reshape(side, STRIDE_PX, side, STRIDE_PX)
    foreground = (blocks > 0).mean(axis=(1, 3)).astype(np.float32)
    owners = blocks[:, STRIDE_PX // 2, :, STRIDE_PX // 2].astype(np.int64)
    member = owners > 0
    rows, columns = np.nonzero(member)
    goal = centres[owners[member] - 1] / STRIDE_PX
    regress = targets.regress
    regress[rows, columns, 2:4] = goal - np.stack([rows, columns], axis=1)
    regress[..., 5] = member
    return Targets(targets.centre, regress, foreground[..., None])


def _barely_seen(sides: NDArray[np.float32], visible: NDArray[np.floating]) -> NDArray[np.bool_]:
    small = (sides.min(axis=1, initial=1e9) < SLIVER_PX) | (visible < SLIVER_SHARE)
    return np.asarray((visible < 0.98) & small, np.bool_)


def _measured(
    labels: NDArray[np.uint16], number: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Areas (N,), centres (N, 2) within the cell, and sides (N, 2) of the box of each cell, pixels."""
    rows, columns = np.nonzero(labels)
    ids = labels[rows, columns].astype(np.int64) - 1
    areas = np.bincount(ids, minlength=number).astype(np.float32)
    points = np.stack([rows, columns], axis=1) + 0.5
    sums = [np.bincount(ids, weights=points[:, axis], minlength=number) for axis in range(2)]
    centres = np.asarray(np.stack(sums, axis=1) / np.maximum(areas, 1)[:, None], np.float32)
    low, high = np.full((number, 2), np.inf), np.full((number, 2), -np.inf)
    for axis in range(2):
        np.minimum.at(low[:, axis], ids, points[:, axis] - 0.5)
        np.maximum.at(high[:, axis], ids, points[:, axis] + 0.5)
    at = np.clip(centres.astype(int), 0, labels.shape[0] - 1)
    outside = np.flatnonzero((areas > 0) & (labels[at[:, 0], at[:, 1]] != np.arange(1, number + 1)))
    for index in outside:
        own = points[ids == index]
        centres[index] = own[((own - centres[index]) ** 2).sum(axis=1).argmin()]
    sides = np.asarray(np.where(areas[:, None] > 0, high - low, 0), np.float32)
    return areas, centres, sides


def _drawn(placed: Placed, classes: int, canvas_px: int, diameter_px: float) -> Targets:
    """Bells of the centres, and sizes and offsets where a bell is high."""
    side_cells = canvas_px // STRIDE_PX
    centre = np.zeros((side_cells, side_cells, classes), np.float32)
    regress = np.zeros((side_cells, side_cells, 6), np.float32)
    highest = np.zeros((side_cells, side_cells), np.float32)
    middles = placed.centres_px / STRIDE_PX
    for middle, side, class_id, ignored in zip(
        middles, placed.sides_px, placed.class_ids, placed.ignored, strict=True
    ):
        cell = np.minimum(middle.astype(int), side_cells - 1)
        sigma = np.maximum(0.1 * side / STRIDE_PX, 0.55)
        reach = np.ceil(3 * sigma).astype(int)
        y0, x0 = np.maximum(cell - reach, 0)
        y1, x1 = np.minimum(cell + reach + 1, side_cells)
        dy, dx = np.arange(y0, y1)[:, None] - cell[0], np.arange(x0, x1)[None] - cell[1]
        bell = np.exp(-(dy**2) / (2 * sigma[0] ** 2) - dx**2 / (2 * sigma[1] ** 2))
        if ignored:
            bell = UNSURE * (bell > 0.05)
        window = centre[y0:y1, x0:x1, class_id]
        np.maximum(window, bell, out=window)
        if ignored:
            continue
        area, top = regress[y0:y1, x0:x1], highest[y0:y1, x0:x1]
        better = (bell > top) & (bell > 0.2)
        top[better] = bell[better]
        area[better, 4:] = bell[better, None]
        area[better, :2] = np.log(side / diameter_px)
        area[..., 2][better] = np.broadcast_to(middle[0] - cell[0] - dy, bell.shape)[better]
        area[..., 3][better] = np.broadcast_to(middle[1] - cell[1] - dx, bell.shape)[better]
    return Targets(centre, regress, np.empty(0, np.float32))


def _discs(placed: Placed, canvas_px: int) -> NDArray[np.float32]:
    """(h, w, 1) share of each map cell covered by the ellipses in the boxes."""
    side = canvas_px // STRIDE_PX
    fine = np.zeros((side * FINER, side * FINER), np.uint8)
    per_px = FINER / STRIDE_PX
    for (y, x), (height, width) in zip(placed.centres_px * per_px, placed.sides_px * per_px, strict=True):
        # OpenCV counts from pixel centres and paints its outline's pixels too: hence half a pixel less.
        axes = (max(round((width / 2 - 0.5) * 256), 1), max(round((height / 2 - 0.5) * 256), 1))
        at = (round((float(x) - 0.5) * 256), round((float(y) - 0.5) * 256))
        cv2.ellipse(fine, at, axes, 0, 0, 360, 255, -1, cv2.LINE_AA, shift=8)
    share = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(share[..., None] / 255, np.float32)
