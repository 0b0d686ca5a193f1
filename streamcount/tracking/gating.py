"""Which pairs of track and detection are near enough to be thought of, and what each would cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamcount.tracking.motion import Float64Array
from streamcount.types import Int64Array

# Bands are as high as the largest radius; where that is so many times the usual one, a tree finds pairs sooner.
UNEVEN_RADII = 4.0


def pairs_within(
    points_px: Float64Array, radii_px: Float64Array, targets_px: Float64Array
) -> tuple[Int64Array, Int64Array, Float64Array]:
    """All pairs with a target within the radius of a point, sorted by point, then target.

    points_px: (N, 2). radii_px: (N,). targets_px: (M, 2). Returns rows, columns (P,) int64, distances (P,).
    """
    if not len(points_px) or not len(targets_px):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    height = max(float(radii_px.max()), 1e-3)
    if height > UNEVEN_RADII * float(np.median(radii_px)):
        return _pairs_by_tree(points_px, radii_px, targets_px)
    rows, columns = _beside(points_px, radii_px, targets_px, height)
    distances = np.hypot(*(targets_px[columns] - points_px[rows]).T)
    inside = distances <= radii_px[rows]
    rows, columns, distances = rows[inside], columns[inside], distances[inside]
    order = np.argsort(rows * len(targets_px) + columns)
    return rows[order], columns[order], distances[order]


def _beside(
    points_px: Float64Array, radii_px: Float64Array, targets_px: Float64Array, height: float
) -> tuple[Int64Array, Int64Array]:
    """Pairs not farther apart in x than the radius, in the same band of the image or in the ones beside it.

    The bands, laid one behind the other, make one line on which the targets are sorted.
    """
    left = min(float(targets_px[:, 1].min()), float((points_px[:, 1] - radii_px).min()))
    right = max(float(targets_px[:, 1].max()), float((points_px[:, 1] + radii_px).max()))
    length = right - left + 1.0
    line = np.floor(targets_px[:, 0] / height) * length + (targets_px[:, 1] - left)
    by_place = np.argsort(line, kind="stable")
    line = line[by_place]
    band = np.floor(points_px[:, 0] / height) + np.array([[-1.0], [0.0], [1.0]])
    start = band * length + (points_px[:, 1] - radii_px - left)
    firsts = np.searchsorted(line, start).ravel()
    numbers = np.searchsorted(line, start + 2 * radii_px, side="right").ravel() - firsts
    ends = np.cumsum(numbers)
    owners = np.repeat(np.tile(np.arange(len(points_px)), 3), numbers)
    places = np.arange(int(ends[-1])) + np.repeat(firsts - ends + numbers, numbers)
    return owners, by_place[places]


def _pairs_by_tree(
    points_px: Float64Array, radii_px: Float64Array, targets_px: Float64Array
) -> tuple[Int64Array, Int64Array, Float64Array]:
    tree = cKDTree(targets_px)
    # Tracks of like radius are asked together: one huge blob must not widen the search of all others.
    groups = np.ceil(np.log2(np.maximum(radii_px, 1e-3))).astype(np.int64)
    found: list[tuple[Int64Array, Int64Array, Float64Array]] = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        near = cKDTree(points_px[members]).sparse_distance_matrix(
            tree, float(radii_px[members].max()), output_type="ndarray"
        )
        row = members[near["i"]].astype(np.int64)
        inside = near["v"] <= radii_px[row]
        found.append((row[inside], near["j"][inside].astype(np.int64), near["v"][inside]))
    rows, columns, distances = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(rows * len(targets_px) + columns)
    return rows[order], columns[order], distances[order]


def overlaps(boxes: Float64Array, others: Float64Array) -> Float64Array:
    """(P,) intersection over union of boxes (P, 4) with others (P, 4), row by row; 0 for empty boxes."""
    top_left = np.maximum(boxes[:, :2], others[:, :2])
    bottom_right = np.minimum(boxes[:, 2:], others[:, 2:])
    shared_yx = np.maximum(bottom_right - top_left, 0.0)
    shared = shared_yx[:, 0] * shared_yx[:, 1]
    sizes, other_sizes = boxes[:, 2:] - boxes[:, :2], others[:, 2:] - others[:, :2]
    total = sizes[:, 0] * sizes[:, 1] + other_sizes[:, 0] * other_sizes[:, 1] - shared
    result: Float64Array = np.divide(shared, total, out=np.zeros_like(shared), where=total > 0)
    return result


def size_difference(areas: Float64Array, others: Float64Array) -> Float64Array:
    """(P,) 0 for equal areas, 1 where one is four times the other or more."""
    ratio = np.log(np.maximum(areas, 1e-6) / np.maximum(others, 1e-6))
    result: Float64Array = np.minimum(np.abs(ratio) / np.log(4.0), 1.0)
    return result


def class_difference(sums: Float64Array, probabilities: NDArray[np.floating]) -> Float64Array:
    """(P,) 1 less the overlap of two distributions over classes: 0 where they are the same, 1 where apart.

    A track of which no class is known yet (all sums 0) differs from nothing.
    """
    if sums.shape[1] < 2:
        return np.zeros(len(sums))
    weights = sums.sum(axis=1)
    means = sums / np.maximum(weights, 1e-9)[:, None]
    result: Float64Array = np.where(weights > 0, 1.0 - np.minimum(means, probabilities).sum(axis=1), 0.0)
    return np.maximum(result, 0.0)


def diameters_of(areas_px: NDArray[np.floating]) -> Float64Array:
    """Diameters of discs of these areas, at least one pixel."""
    result: Float64Array = np.sqrt(np.maximum(areas_px.astype(np.float64), np.pi / 4) * (4 / np.pi))
    return result


def twice(points: NDArray[Any]) -> NDArray[Any]:
    """(N, 4) each point (N, 2) beside itself: for both corners of a box."""
    return np.concatenate([points, points], axis=1)
