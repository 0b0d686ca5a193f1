"""From a label map to one closed line a cell: 24 points around it, as `Detections.outlines` keeps them.

A line of points that goes all around serves cells of any shape. Distances from the centroid in equal directions, the
star-convex form of StarDist (Schmidt et al., MICCAI 2018), do not: adherent cells are long, bent and branched, and a
ray leaves them and comes back. docs/models.md has both in figures.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.types import OUTLINE_POINTS, Float32Array, UInt8Array, outlines_in_boxes

HALFWAY = np.float32(0.5)
# A line of fewer pixels encloses nothing.
LEAST_PIXELS = 4
AROUND = np.ones((3, 3), np.uint8)
# Where the points lie along a line, with the last before the first and the first after the last.
SHARES = np.arange(-1, OUTLINE_POINTS + 1) % OUTLINE_POINTS / OUTLINE_POINTS


def outlines_of(
    labels: NDArray[np.uint16] | Float32Array,
    boxes: NDArray[np.floating[Any]],
    coverage: Float32Array | None = None,
) -> UInt8Array:
    """(N, 24, 2) uint8 outlines of a label map (h, w), cell i having the value i + 1; see `Detections.outlines`.

    boxes: (N, 4), in map cells. coverage: (h, w) how much of each map cell is cell, above a half where there is a
    label; the line runs where it is a half, between the middles of map cells. Without, it runs on the edges of the
    pixels. Of a cell in pieces, the piece with the longest line. All zero for a cell of a line below four pixels.
    """
    outlines = np.zeros((len(boxes), OUTLINE_POINTS, 2), np.uint8)
    # With a rim all pixels of cells have eight neighbours.
    rimmed: NDArray[Any] = cv2.copyMakeBorder(labels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    # Where cells touch, the one of the lower number gives way: OpenCV traces masks many times as fast as labels.
    apart = (rimmed == cv2.dilate(rimmed, AROUND)) & (rimmed > 0)
    lines, _ = cv2.findContours(apart.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not lines:
        return outlines
    chain = np.concatenate(lines).reshape(-1, 2)
    lengths = np.fromiter(map(len, lines), np.intp, len(lines))
    begins = np.cumsum(lengths) - lengths
    values = rimmed[chain[begins, 1], chain[begins, 0]]
    main = _longest(values, lengths)
    begins, lengths, values = begins[main], lengths[main], values[main]
    # The pixels of a line follow each other, so that every n-th is about as far from the next.
    points = begins[:, None] + (lengths[:, None] * SHARES).astype(np.intp)
    x, y = (np.ascontiguousarray(chain[:, axis]).take(points) for axis in (0, 1))
    border = _border(y, x, rimmed, values, coverage)
    rows = values.astype(np.intp) - 1
    outlines[rows] = outlines_in_boxes(*border, boxes.take(rows, axis=0))
    return outlines


def _longest(values: NDArray[Any], lengths: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of each value, the index of the longest line that encloses something."""
    order = np.lexsort((lengths, values))
    last = np.append(values[order[1:]] != values[order[:-1]], True)
    last &= lengths[order] >= LEAST_PIXELS
    return np.asarray(order[last], np.intp)


def _border(
    y: NDArray[np.int32],
    x: NDArray[np.int32],
    labels: NDArray[Any],
    values: NDArray[Any],
    coverage: Float32Array | None,
) -> tuple[Float32Array, Float32Array]:
    """(N, 24) y and x of the border beside outermost pixels (N, 26) of labels with a rim; from the map's corner.

    Of the pixels, the first is the last but one again, and the last is the second.
    """
    # OpenCV goes around with the cell on the left, in an image with y downwards.
    down, right = x[:, 2:] - x[:, :-2], y[:, :-2] - y[:, 2:]
    y, x = y[:, 1:-1], x[:, 1:-1]
    # To that of the four neighbours which lies outwards: coverage falls towards it, while a pixel and the next across
    # its corner share what a slanting border covers.
    upright = np.abs(down) > np.abs(right)
    down, right = np.sign(down) * upright, np.sign(right) * ~upright
    width = labels.shape[1]
    here = y * width + x
    there = here + down * width + right
    other = labels.ravel().take(there)
    far: NDArray[np.float32] | np.float32 = HALFWAY
    if coverage is not None:
        rim = cv2.copyMakeBorder(coverage, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0).ravel()
        inside = rim.take(here)
        far = (inside - HALFWAY) / (inside - np.minimum(rim.take(there), HALFWAY))
    # The next cell's border is this one's, and a pixel that gave way is the cell's own.
    far = np.where(other > 0, (other == values[:, None]) + HALFWAY, far).astype(np.float32, copy=False)
    # Less the rim, and from a pixel's corner.
    across = down.astype(np.float32) * far, right.astype(np.float32) * far
    return across[0] + (y.astype(np.float32) - HALFWAY), across[1] + (x.astype(np.float32) - HALFWAY)
