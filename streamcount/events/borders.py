"""Where a cell stands with regard to the edge of the field of view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.types import Float32Array

# Ellipses in boxes that overlap by a smaller share of the sum of their half-axes may lie apart as cells.
OVERLAP = 0.2


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
    boxes = boxes_px.astype(np.float64)
    order = np.argsort(boxes[:, 0], kind="stable")
    tops = boxes[order, 0]
    # Each pair once: the other box begins between this one's top and bottom.
    after = np.searchsorted(tops, boxes[order, 2], "right") - np.arange(1, len(order) + 1)
    first = np.repeat(np.arange(len(order)), after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    left, right = boxes[order, 1], boxes[order, 3]
    beside = (left[first] < right[second]) & (left[second] < right[first])
    first, second = first[beside], second[beside]
    one, other = boxes[order[first]], boxes[order[second]]
    between = (one[:, :2] + one[:, 2:] - other[:, :2] - other[:, 2:]) / 2
    reaches = (one[:, 2:] - one[:, :2] + other[:, 2:] - other[:, :2]) / 2
    near = np.square(between / np.maximum(reaches, 1e-6)).sum(axis=1) < (1 - OVERLAP) ** 2
    touching = np.zeros(len(boxes), np.bool_)
    touching[order[first[near]]] = True
    touching[order[second[near]]] = True
    return touching[rows]


def outside(centroids_px: Float32Array, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) bool: centroids (N, 2) beyond the image."""
    beyond = (centroids_px < 0) | (centroids_px >= np.array(image_shape))
    return np.logical_or(beyond[:, 0], beyond[:, 1])
