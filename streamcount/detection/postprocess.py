"""From the maps of the dense net to cells, in a few array operations at the net's resolution.

The maps and their meaning are those of "Objects as Points" (Zhou et al., arXiv 1904.07850): a peak in a
class's centre map is a cell; its size and sub-cell position are read from the other maps at the peak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.types import Float32Array, Int64Array

STRIDE_PX = 4
ACROSS_CLASSES_IOU = 0.7  # two classes at one place are one cell
ROUNDING = 1.001  # for 1: no pair that overlaps just enough is lost by the last digit
SLACK_CELLS = 1.5  # how far, in map cells, a centre may lie from its peak


@dataclass(frozen=True)
class QuantisedMap:
    """One output of the net, (h, w, channels): value = scale * (raw - zero)."""

    raw: NDArray[np.uint8] | Float32Array
    scale: float = 1.0
    zero: int = 0

    def values(self, rows: int, columns: int) -> Float32Array:
        """(rows, columns, channels) float32 values of the map's top left part."""
        part = self.raw[:rows, :columns].astype(np.float32)
        part -= self.zero
        part *= self.scale
        return np.asarray(part, np.float32)

    def flat(self, rows: int, columns: int) -> QuantisedMap:
        """The map's top left part with its cells in one row: (rows * columns, channels)."""
        part = self.raw[:rows, :columns].reshape(rows * columns, -1)
        return QuantisedMap(part, self.scale, self.zero)

    def of_cells(self, index: NDArray[np.intp]) -> Float32Array:
        """(N, channels) float32 values at the map cells of an index (N,), counted row by row."""
        # `take` is many times as fast as an index of two axes.
        values = self.raw.reshape(-1, self.raw.shape[-1]).take(index, axis=0).astype(np.float32)
        values -= self.zero
        values *= self.scale
        return values

    def raw_level(self, value: float) -> float:
        """The raw number that stands for `value`."""
        return value / self.scale + self.zero


@dataclass(frozen=True)
class Maps:
    """The net's four outputs at a quarter of its input's resolution.

    centre: (h, w, C) probability of a centre; log_size: (h, w, 2) natural log of (height, width) over the
    net's cell diameter; offset: (h, w, 2) centre (y, x) from the map cell's corner, in map cells;
    foreground: (h, w, 1) probability of being cell.
    """

    centre: QuantisedMap
    log_size: QuantisedMap
    offset: QuantisedMap
    foreground: QuantisedMap


@dataclass(frozen=True)
class Cells:
    """N cells in pixels of the net's input, strongest first.

    boxes_px (N, 4) float32 [y0, x0, y1, x1], class_ids (N,), scores (N,) of that class, and probabilities
    (N, C): the row's largest is the score; what a row lacks to 1 is the probability of no cell. centres_px (N, 2):
    where the peak says that the centre is; a clipped box's middle lies elsewhere.
    """

    boxes_px: Float32Array
    class_ids: Int64Array
    scores: Float32Array
    probabilities: Float32Array
    centres_px: Float32Array

    def __len__(self) -> int:
        return len(self.boxes_px)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Cells:
        """The cells of an index or mask."""
        return Cells(
            self.boxes_px[index],
            self.class_ids[index],
            self.scores[index],
            self.probabilities[index],
            self.centres_px[index],
        )


@dataclass(frozen=True)
class Rules:
    """How peaks become cells.

    thresholds: (C,) least probability; temperatures: (C,) that log-odds are divided by first; diameter_px: the cell
    diameter that log_size refers to; nms_iou: of two boxes of one class that overlap at least so much, the weaker is
    dropped.
    """

    thresholds: Float32Array
    temperatures: Float32Array
    diameter_px: float
    nms_iou: float


def decode(maps: Maps, rules: Rules, shape_px: tuple[int, int]) -> Cells:
    """Return the cells whose centre probability reaches their class's threshold.

    shape_px: (height, width) of the image within the input, to which boxes are clipped.
    """
    raw, thresholds = maps.centre.raw, rules.thresholds
    odds = np.log(thresholds / (1 - np.minimum(thresholds, 1 - 1e-6))) * rules.temperatures
    levels = np.array([maps.centre.raw_level(t) for t in 1 / (1 + np.exp(-odds))], np.float32)
    if raw.dtype == np.uint8:  # whole numbers compare the same, without a float copy of the map
        levels = np.clip(np.ceil(levels), 0, 255).astype(np.uint8)
    # dilate treats channels apart and outside as lowest: a 3x3 maximum filter per class in one call.
    highest = cv2.dilate(raw, np.ones((3, 3), np.uint8)).reshape(raw.shape)
    # nonzero of a three-dimensional array takes four times as long.
    above = np.flatnonzero(raw >= levels)
    above = above[raw.ravel().take(above) == highest.ravel().take(above)]
    rows, columns, class_ids = np.unravel_index(above, raw.shape)
    inside = (rows * STRIDE_PX < shape_px[0]) & (columns * STRIDE_PX < shape_px[1])
    rows, columns, class_ids = rows[inside], columns[inside], class_ids[inside]
    places = rows * raw.shape[1] + columns
    probabilities = tempered(maps.centre.of_cells(places), rules.temperatures)
    scores = probabilities[np.arange(len(rows)), class_ids]
    offset = _between(maps.offset.of_cells(places), -SLACK_CELLS, 1 + SLACK_CELLS)
    centres = (np.stack([rows, columns], axis=1) + offset) * STRIDE_PX
    half = rules.diameter_px / 2 * np.exp(_between(maps.log_size.of_cells(places), -4, 2))
    boxes = _between(np.hstack([centres - half, centres + half]), 0, np.array([*shape_px] * 2, np.float32))
    cells = Cells(
        boxes.astype(np.float32),
        class_ids,
        scores.astype(np.float32),
        probabilities,
        centres.astype(np.float32),
    )
    # Rank by the margin over the own class's threshold, so that a rare class is not judged by a common one's.
    margin = cells.scores / thresholds[class_ids]
    order = np.lexsort((cells.boxes_px[:, 1], cells.boxes_px[:, 0], -cells.scores, -margin))
    wide = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    cells = cells.take(order[wide[order]])
    return _with_clear_winner(cells.take(unsuppressed(cells.boxes_px, cells.class_ids, rules.nms_iou)))


def _between(values: NDArray[Any], least: float, most: float | Float32Array) -> NDArray[Any]:
    # As np.clip, which takes longer than the rest of a row of operations on some hundred cells.
    return np.asarray(np.minimum(np.maximum(values, least), most))


def tempered(probabilities: Float32Array, temperatures: Float32Array) -> Float32Array:
    """Probabilities (N, C) whose log-odds are divided by the temperatures (C,) (Guo et al., arXiv 1706.04599)."""
    chance = _between(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(1 / (1 + (1 / chance - 1) ** (1 / temperatures)), np.float32)


def tempered_shares(shares: Float32Array, temperature: float) -> Float32Array:
    """(N, K) probabilities that sum to 1, as by a softmax of logits divided by the temperature."""
    powered = np.maximum(shares, 1e-6) ** (1 / temperature)
    return np.asarray(powered / powered.sum(axis=1, keepdims=True), np.float32)


def unsuppressed(boxes_px: Float32Array, class_ids: Int64Array, nms_iou: float) -> NDArray[np.bool_]:
    """(N,) bool, greedy non-maximum suppression of boxes given strongest first."""
    keep = [True] * len(boxes_px)
    first, second = _near_pairs(boxes_px, min(nms_iou, ACROSS_CLASSES_IOU))
    limit = np.where(class_ids[first] == class_ids[second], nms_iou, ACROSS_CLASSES_IOU)
    clash = _pair_iou(boxes_px[first], boxes_px[second]) >= limit
    for i, j in sorted(zip(first[clash].tolist(), second[clash].tolist(), strict=True)):
        keep[j] = keep[j] and not keep[i]
    return np.array(keep, np.bool_)


def _near_pairs(boxes_px: Float32Array, iou: float) -> tuple[Int64Array, Int64Array]:
    """Pairs i < j, among them all that overlap by `iou`.

    Such boxes share that part of the longer side along each axis, so their middles are off by no more than (1 - iou)
    of it. Each is held against those on its right in a strip of that height, and those below in the next, so that the
    work does not grow with the square of the cells.
    """
    number = len(boxes_px)
    if not number:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    sides = boxes_px[:, 2:] - boxes_px[:, :2]
    reach = max((ROUNDING - iou) * float(sides.max()), 1e-3)
    y, x = (boxes_px[:, :2] + boxes_px[:, 2:]).astype(np.float64).T / 2
    # One number for strip and place in it, with more room between the strips than any box reaches.
    step = float(np.ptp(x)) + 3 * reach
    places = np.floor(y / reach) * step + x
    order = places.argsort(kind="stable")
    places = places[order]
    low = np.append(np.arange(1, number + 1), places.searchsorted(places + (step - reach)))
    high = places.searchsorted(np.append(places + reach, places + (step + reach)), side="right")
    times = np.maximum(high - low, 0)
    ends = times.cumsum()
    one = order[np.arange(2 * number).repeat(times) % number]
    other = order[np.arange(ends[-1]) + (low - ends + times).repeat(times)]
    return np.minimum(one, other), np.maximum(one, other)


def _pair_iou(a: Float32Array, b: Float32Array) -> Float32Array:
    """(P,) intersection over union of boxes (P, 4) with boxes (P, 4)."""
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    one, other = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    both = one[:, 0] * one[:, 1] + other[:, 0] * other[:, 1]
    inter = sides[:, 0] * sides[:, 1]
    return np.asarray(inter / np.maximum(both - inter, 1e-9), np.float32)


def iou_matrix(a: Float32Array, b: Float32Array) -> Float32Array:
    """(N, M) float32 intersection over union of boxes [y0, x0, y1, x1]."""
    height = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    width = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    inter = np.maximum(height, 0) * np.maximum(width, 0)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return np.asarray(inter / np.maximum(area_a[:, None] + area_b[None] - inter, 1e-9), np.float32)


def typical_diameter(
    cells: Cells, reference_class: int, relative_diameters: Float32Array, shape_px: tuple[int, int]
) -> float | None:
    """The reference cell's diameter in px, or None where nothing tells it.

    The median over whole cells of the reference class, or, with fewer than three of them, over all whole
    cells by their class's usual size relative to it.
    """
    boxes, sides = cells.boxes_px, np.sqrt((cells.boxes_px[:, 2:] - cells.boxes_px[:, :2]).prod(axis=1))
    limits = np.array(shape_px, np.float32)
    whole = (boxes[:, :2] > STRIDE_PX).all(axis=1) & (boxes[:, 2:] < limits - STRIDE_PX).all(axis=1)
    reference = whole & (cells.class_ids == reference_class)
    if reference.sum() >= 3:
        return float(np.median(sides[reference]))
    if whole.any():
        return float(np.median(sides[whole] / relative_diameters[cells.class_ids[whole]]))
    return None


def label_image(
    boxes_px: Float32Array, foreground: Float32Array, shape_px: tuple[int, int]
) -> NDArray[np.uint16]:
    """(H, W) uint16: pixels of cell i have the value i + 1.

    A pixel belongs to the cell whose ellipse's centre is nearest, measured in that ellipse's half axes, if
    it lies in the ellipse, or just around it (1.15) where `foreground` (h, w, in [0, 1], any resolution)
    says cell.
    """
    height, width = shape_px
    labels = np.zeros((height, width), np.uint16)
    nearest = np.full((height, width), np.inf, np.float32)
    cell = cv2.resize(foreground, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    for index, (y0, x0, y1, x1) in enumerate(boxes_px):
        cy, cx, ry, rx = (y0 + y1) / 2, (x0 + x1) / 2, max((y1 - y0) / 2, 0.5), max((x1 - x0) / 2, 0.5)
        top, left = max(0, int(cy - 1.15 * ry)), max(0, int(cx - 1.15 * rx))
        bottom, right = min(height, int(cy + 1.15 * ry) + 1), min(width, int(cx + 1.15 * rx) + 1)
        dy = (np.arange(top, bottom, dtype=np.float32) + 0.5 - cy) / ry
        dx = (np.arange(left, right, dtype=np.float32) + 0.5 - cx) / rx
        distance = dy[:, None] ** 2 + dx[None] ** 2
        window = np.s_[top:bottom, left:right]
        own = (distance < nearest[window]) & ((distance <= 1) | ((distance <= 1.15**2) & cell[window]))
        nearest[window][own] = distance[own]
        labels[window][own] = index + 1
    return labels


def _with_clear_winner(cells: Cells) -> Cells:
    """Scale the other classes of each row so that the found class leads and the row sums to at most 1."""
    rows = np.arange(len(cells))
    others = cells.probabilities.copy()
    others[rows, cells.class_ids] = 0
    others = np.minimum(others, 0.99 * cells.scores[:, None])
    rest = others.sum(axis=1)
    others *= np.minimum(1, (1 - cells.scores) / np.maximum(rest, 1e-9))[:, None]
    others[rows, cells.class_ids] = cells.scores
    return replace(cells, probabilities=others.astype(np.float32))
