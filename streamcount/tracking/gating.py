"""Which pairs of track and detection are near enough to be thought of, and what each would cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamcount.statistics import median
from streamcount.tracking.motion import Float64Array
from streamcount.tracking.state import NOT_MEASURED
from streamcount.types import Int64Array
from streamcount.types.ranges import each_in

# Cells of the grid are as high as the largest radius; where that is so many times the usual one, a tree finds pairs
# sooner.
UNEVEN_RADII = 4.0
# Most rows and columns of the grid, so that its cells have short numbers, which are sorted in linear time; and most
# for the square root of the number of targets, so that few cells are empty.
MOST_ROWS, MOST_COLUMNS = 200, 300
ROWS_A_ROOT, COLUMNS_A_ROOT = 2, 3
# Where there are so many points for a target, the targets look for points.
MANY = 4
# What differs by less in its intensity than this does so by chance.
LEAST_CONTRAST = 0.02
# Shorter rows are summed column by column.
SHORT = 8
# Rounding may not hide a pair.
SLACK = 1e-9


def pairs_within(
    points_px: Float64Array, radii_px: Float64Array, targets_px: Float64Array
) -> tuple[Int64Array, Int64Array, Float64Array]:
    """All pairs with a target within the radius of a point, sorted by point, then target.

    points_px: (N, 2). radii_px: (N,). targets_px: (M, 2). Returns rows, columns (P,) int64, distances (P,).
    """
    if not len(points_px) or not len(targets_px):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    largest = max(float(radii_px.max()), 1e-3)
    if largest > UNEVEN_RADII * median(radii_px):
        return _pairs_by_tree(points_px, radii_px, targets_px)
    wide_px, widest_px = radii_px * (1 + SLACK), largest * (1 + SLACK)
    if len(points_px) > MANY * len(targets_px):
        columns, rows = _beside(targets_px, np.full(len(targets_px), widest_px), points_px, widest_px)
    else:
        rows, columns = _beside(points_px, wide_px, targets_px, widest_px)
    away_y = targets_px[columns, 0] - points_px[rows, 0]
    away_x = targets_px[columns, 1] - points_px[rows, 1]
    # Exact distances only of the few that are near.
    near = np.flatnonzero(away_y * away_y + away_x * away_x <= np.square(wide_px)[rows])
    rows, columns = rows[near], columns[near]
    distances = np.hypot(away_y[near], away_x[near])
    inside = np.flatnonzero(distances <= radii_px[rows])
    order = inside[by_number(columns[inside])]
    order = order[by_number(rows[order])]
    return rows[order], columns[order], distances[order]


def by_number(numbers: NDArray[np.integer]) -> NDArray[np.intp]:
    """The order of these numbers, none negative; of equals the first stays the first."""
    # Short ones are sorted by counting, in linear time.
    short = not len(numbers) or int(numbers.max()) <= np.iinfo(np.uint16).max
    return np.argsort(numbers.astype(np.uint16) if short else numbers, kind="stable")


def _beside(
    points_px: Float64Array, radii_px: Float64Array, targets_px: Float64Array, largest_px: float
) -> tuple[Int64Array, Int64Array]:
    """All pairs that are near enough, and others, from a grid over the targets.

    A cell is as high as the largest radius and half as wide. A point looks at its row and at the ones beside it,
    over as many columns as its own radius takes.
    """
    ys, xs = np.ascontiguousarray(targets_px.T)
    top, left, root = float(ys.min()), float(xs.min()), len(targets_px) ** 0.5
    height = max(largest_px, (float(ys.max()) - top) / min(MOST_ROWS, ROWS_A_ROOT * root))
    width = max(largest_px / 2, (float(xs.max()) - left) / min(MOST_COLUMNS, COLUMNS_A_ROOT * root))
    # Two rows more on each side, for points that lie outside.
    row, column = ((ys - top) / height).astype(np.int64) + 2, ((xs - left) / width).astype(np.int64)
    n_rows, n_columns = int(row.max()) + 3, int(column.max()) + 1
    numbers = row * n_columns + column
    by_cell = by_number(numbers)
    starts = np.zeros(n_rows * n_columns + 1, np.int64)
    np.cumsum(np.bincount(numbers, minlength=n_rows * n_columns), out=starts[1:])

    band = np.clip(np.floor((points_px[:, 0] - top) / height) + 2, 1, n_rows - 2).astype(np.int64)
    middle = points_px[:, 1] - left
    first = np.clip((middle - radii_px) / width, 0, n_columns).astype(np.int64)
    last = np.clip((middle + radii_px) / width + 1, 0, n_columns).astype(np.int64)
    line = (band[:, None] + np.array([-1, 0, 1])) * n_columns
    firsts = starts[line + first[:, None]].ravel()
    each = starts[line + last[:, None]].ravel() - firsts
    thirds, places = each_in(firsts, each)
    return thirds // 3, by_cell[places]


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
    # Column by column: NumPy takes long over rows of two or four.
    y0, x0, y1, x1 = boxes.T
    v0, u0, v1, u1 = others.T
    high = np.minimum(y1, v1) - np.maximum(y0, v0)
    wide = np.minimum(x1, u1) - np.maximum(x0, u0)
    shared = np.maximum(high, 0.0) * np.maximum(wide, 0.0)
    total = (y1 - y0) * (x1 - x0) + (v1 - v0) * (u1 - u0) - shared
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
    weights = _row_sums(sums)
    means = sums / np.maximum(weights, 1e-9)[:, None]
    result: Float64Array = np.where(weights > 0, 1.0 - _row_sums(np.minimum(means, probabilities)), 0.0)
    return np.maximum(result, 0.0)


def _row_sums(rows: Float64Array) -> Float64Array:
    """As rows.sum(axis=1), which takes long over short rows."""
    if rows.shape[1] >= SHORT:
        return np.asarray(rows.sum(axis=1))
    total = rows[:, 0].copy()
    for column in range(1, rows.shape[1]):
        total += rows[:, column]
    return total


def intensity_difference(
    intensities: NDArray[np.floating], others: NDArray[np.floating], contrast: float
) -> Float64Array:
    """(P,) 0 for equal intensities, 1 where they differ by the contrast or more; 0 where one of them is not known.

    intensities: of tracks, NOT_MEASURED where not known. others: of detections, NaN where not known.
    """
    result: Float64Array = np.minimum(np.abs(intensities.astype(np.float64) - others) / contrast, 1.0)
    result[(intensities == NOT_MEASURED) | np.isnan(others)] = 0.0
    return result


def usual_contrast(intensities: NDArray[np.floating]) -> float:
    """The median of how far intensities (N,), of which NaN are left out, are from the ground's, which is 0."""
    known = np.abs(intensities[~np.isnan(intensities)])
    return max(median(known), LEAST_CONTRAST) if len(known) else 1.0


def diameters_of(areas_px: NDArray[np.floating]) -> Float64Array:
    """Diameters of discs of these areas, at least one pixel."""
    result: Float64Array = np.sqrt(np.maximum(areas_px.astype(np.float64), np.pi / 4) * (4 / np.pi))
    return result


def twice(points: NDArray[Any]) -> NDArray[Any]:
    """(N, 4) each point (N, 2) beside itself: for both corners of a box."""
    return points.take((0, 1, 0, 1), axis=1)
