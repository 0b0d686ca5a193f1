"""Where a cell stands with regard to the edge of the field of view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.types import Float32Array
from streamcount.types.ranges import each_in

# Ellipses in boxes that overlap by a smaller share of the sum of their half-axes may lie apart as cells.
OVERLAP = 0.2
# Stripes are so many times as wide as the usual box, and so many at most.
STRIPE, MOST_STRIPES = 2.0, 10_000


def touched_edges(
    boxes_px: Float32Array, image_shape: tuple[int, int], margin_px: float
) -> NDArray[np.bool_]:
    """(N, 4) bool: boxes (N, 4) within the margin of the top, left, bottom, right edge."""
    height, width = image_shape
    limits = np.array([margin_px, margin_px, margin_px - height, margin_px - width])
    signs = np.array([1.0, 1.0, -1.0, -1.0])
    result: NDArray[np.bool_] = boxes_px.astype(np.float64) * signs <= limits
    return result


def moves_out(
    boxes_px: Float32Array,
    velocities_px: Float32Array,
    image_shape: tuple[int, int],
    margin_px: float,
    outward_diameters: float,
) -> NDArray[np.bool_]:
    """(N,) bool: touches an edge and moves towards that edge, faster than a share of its own size a frame.

    boxes_px: (N, 4). velocities_px: (N, 2), pixels a frame.
    """
    boxes = boxes_px.astype(np.float64)
    sizes = np.sqrt(np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1.0))
    outward = np.concatenate([-velocities_px, velocities_px], axis=1).astype(np.float64)
    fast = outward > outward_diameters * sizes[:, None]
    out = touched_edges(boxes_px, image_shape, margin_px) & fast
    result: NDArray[np.bool_] = out[:, 0] | out[:, 1] | out[:, 2] | out[:, 3]
    return result


def touched_neighbours(boxes_px: Float32Array, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(n,) bool: which of these rows of boxes (N, 4) touch another box's cell, as ellipses in their boxes would.

    Two ellipses of one shape that lie alike touch where the distance of their middles is the sum of their half-axes,
    in units of these. Boxes are drawn with a margin, or turned against each other, and most cells of a smear have a
    neighbour at once: only what overlaps by `OVERLAP` of that distance or more is told.
    """
    touching = np.zeros(len(boxes_px), np.bool_)
    if not len(boxes_px):
        return touching[rows]
    boxes = boxes_px.astype(np.float64)
    first, second = _beside(boxes)
    one, other = boxes.take(first, axis=0), boxes.take(second, axis=0)
    between = (one[:, :2] + one[:, 2:] - other[:, :2] - other[:, 2:]) / 2
    reaches = (one[:, 2:] - one[:, :2] + other[:, 2:] - other[:, :2]) / 2
    parts = np.square(between / np.maximum(reaches, 1e-6))
    near = parts[:, 0] + parts[:, 1] < (1 - OVERLAP) ** 2
    touching[first[near]] = True
    touching[second[near]] = True
    return touching[rows]


def _beside(boxes: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each two of the boxes (N, 4) that overlap, once or more often, the one that begins higher first.

    Boxes are sorted by their tops in each of the stripes of the image that they lie in; the stripes, laid one below
    the other, are one column.
    """
    top, left, bottom, right = np.ascontiguousarray(boxes.T)
    begins, middle = float(left.min()), len(boxes) // 2
    usual = float(np.partition(right - left, middle)[middle])
    width = max(STRIPE * usual, (float(right.max()) - begins) / MOST_STRIPES, 1e-3)
    begin = ((left - begins) / width).astype(np.int64)
    stripes = ((right - begins) / width).astype(np.int64) - begin + 1
    who, stripe = each_in(begin, stripes)
    highest = float(top.min())
    shift = stripe * (float(bottom.max()) - highest + 1.0) - highest
    tops = top[who] + shift
    order = np.argsort(tops)
    who, tops, bottoms = who[order], tops[order], (bottom[who] + shift)[order]
    # Each pair once: the other box begins between this one's top and bottom.
    after = np.maximum(np.searchsorted(tops, bottoms, "right") - np.arange(1, len(order) + 1), 0)
    first, second = each_in(np.arange(1, len(order) + 1), after)
    first, second = who[first], who[second]
    overlap = (left[first] < right[second]) & (left[second] < right[first])
    return first[overlap], second[overlap]


def outside(centroids_px: Float32Array, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) bool: centroids (N, 2) beyond the image."""
    beyond = (centroids_px < 0) | (centroids_px >= np.array(image_shape))
    return np.logical_or(beyond[:, 0], beyond[:, 1])
