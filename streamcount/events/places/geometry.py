"""Plane geometry of polygons and polylines; points are (y, x) rows of float64, in any unit."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float64Array: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
TINY = float(np.finfo(np.float64).tiny)


def closed_edges(corners: Float64Array) -> Float64Array:
    """(S, 2, 2) the edges of a polygon (S, 2): start, end; the last one closes it."""
    edges: Float64Array = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    return edges


def open_segments(points: Float64Array) -> Float64Array:
    """(S - 1, 2, 2) the segments of a polyline (S, 2): start, end."""
    segments: Float64Array = np.stack([points[:-1], points[1:]], axis=1)
    return segments


def area(corners: Float64Array) -> float:
    """Area of a simple polygon (S, 2), whichever way round it is drawn (the shoelace formula)."""
    if len(corners) < 3:
        return 0.0
    y, x = (corners - corners[0]).T
    return float(abs(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2)


def crosses_itself(corners: Float64Array) -> bool:
    """Whether two edges of a polygon (S, 2) have a point in common, beside the corner of neighbours."""
    edges = closed_edges(corners)
    number = len(edges)
    one, other = np.triu_indices(number, 1)
    neighbours = (other - one == 1) | ((one == 0) & (other == number - 1))
    far_one, far_other = edges[one[~neighbours]], edges[other[~neighbours]]
    if _touch(far_one, far_other).any():
        return True
    # Neighbours share a corner; more than it they share where the edge turns straight back.
    along, onward = edges[:, 1] - edges[:, 0], np.roll(edges[:, 1] - edges[:, 0], -1, axis=0)
    straight = along[:, 0] * onward[:, 1] - along[:, 1] * onward[:, 0] == 0
    return bool((straight & ((along * onward).sum(axis=1) <= 0)).any())


def _touch(one: Float64Array, other: Float64Array) -> BoolArray:
    """(P,) whether segments (P, 2, 2) have a point in common, ends included."""
    (a, b), (c, d) = one.transpose(1, 0, 2), other.transpose(1, 0, 2)
    sides = [np.sign(right_of(*three)) for three in ((c, a, b), (d, a, b), (a, c, d), (b, c, d))]
    apart = (sides[0] * sides[1] > 0) | (sides[2] * sides[3] > 0)
    # On one straight line all four are 0, and the boxes around them decide.
    least, most = np.minimum(a, b), np.maximum(a, b)
    apart |= ((np.maximum(c, d) < least) | (np.minimum(c, d) > most)).any(axis=1)
    return ~apart


def right_of(points: Float64Array, starts: Float64Array, ends: Float64Array) -> Float64Array:
    """Above 0 where a point lies to the right, looking from start to end with y downwards; shapes broadcast."""
    along, away = ends - starts, points - starts
    cross: Float64Array = along[..., 1] * away[..., 0] - along[..., 0] * away[..., 1]
    return cross


def upward(edges: Float64Array) -> Float64Array:
    """The edges (S, 2, 2), each with its end of smaller y first, as `within` wants them."""
    swap = edges[:, 0, 0] > edges[:, 1, 0]
    turned: Float64Array = np.where(swap[:, None, None], edges[:, ::-1], edges)
    return turned


def within(points: Float64Array, edges: Float64Array, starts: NDArray[np.intp]) -> BoolArray:
    """(N, Z) whether each point (N, 2) is in each polygon.

    edges: (S, 2, 2), those of one polygon after those of another, from `upward`. starts: (Z,), where each polygon's
    begin. By the number of edges that a ray to the right meets. Edges are half-open, and those that two polygons
    share are computed alike, so that of polygons that tile the plane each point is in exactly one; of a rectangle
    the upper and left edges belong to it.
    """
    if not len(starts):
        return np.zeros((len(points), 0), np.bool_)
    y, x = points[:, :1], points[:, 1:]
    (y0, x0), (y1, x1) = edges[:, 0].T, edges[:, 1].T
    slopes = (x1 - x0) / np.where(y1 > y0, y1 - y0, 1.0)
    met = (y0 <= y) & (y < y1) & (x < x0 + (y - y0) * slopes)
    inside: BoolArray = np.logical_xor.reduceat(met, starts, axis=1)
    return inside


def distances(points: Float64Array, segments: Float64Array) -> Float64Array:
    """(N,) from each point (N, 2) to the nearest point of the segments (S, 2, 2), or (N, S, 2, 2) of each its own."""
    starts, along = segments[..., 0, :], segments[..., 1, :] - segments[..., 0, :]
    away = points[:, None] - starts
    lengths = np.maximum((along**2).sum(axis=-1), TINY)
    shares = np.clip((away * along).sum(axis=2) / lengths, 0.0, 1.0)
    least: Float64Array = np.sqrt(np.square(away - shares[..., None] * along).sum(axis=2).min(axis=1))
    return least


def changing_sides(befores: Float64Array, afters: Float64Array, segments: Float64Array) -> NDArray[np.intp]:
    """(n,) which straight paths end on another side of any of the segments (S, 2, 2), be it far off: hardly any does.

    befores, afters: (N, 2), the ends of the paths.
    """
    starts, ends = segments[:, 0], segments[:, 1]
    before, after = (right_of(place[:, None], starts, ends) >= 0 for place in (befores, afters))
    return np.flatnonzero((before != after).any(axis=1))


def signed_crossings(befores: Float64Array, afters: Float64Array, points: Float64Array) -> NDArray[np.int64]:
    """(N,) how often each straight path met a polyline (S, 2) from its left to its right, less the ways back.

    befores, afters: (N, 2), the ends of the paths. What lies on the line counts as right of it, so that two paths in
    a row that meet on the line cross it once together.
    """
    starts, ends = points[:-1], points[1:]
    right = [right_of(place[:, None], starts, ends) >= 0 for place in (befores, afters)]
    steps = right[1].astype(np.int64) - right[0]
    # Of each vertex one side for both its segments: a path through it cannot slip between them.
    beyond = right_of(points[None], befores[:, None], afters[:, None]) >= 0
    return np.asarray((steps * (beyond[:, :-1] != beyond[:, 1:])).sum(axis=1), np.int64)


def clipped_area(corners: Float64Array, shape: tuple[int, int]) -> float:
    """Area of the part of a polygon (S, 2) that is within (0, 0) and `shape`.

    After Sutherland and Hodgman, Communications of the ACM 17 (1974) 32: half-plane by half-plane. Parts that fall
    asunder stay joined by edges there and back, which have no area.
    """
    for axis in (0, 1):
        for sign, limit in ((1.0, 0.0), (-1.0, -float(shape[axis]))):
            corners = _above(corners, axis, sign, limit)
    return area(corners)


def _above(corners: Float64Array, axis: int, sign: float, limit: float) -> Float64Array:
    """The part of a polygon where sign × coordinate is at least `limit`."""
    kept: list[Float64Array] = []
    for start, end in closed_edges(corners):
        before, after = sign * start[axis] - limit, sign * end[axis] - limit
        if before >= 0:
            kept.append(start)
        if (before >= 0) != (after >= 0):
            kept.append(start + (end - start) * (before / (before - after)))
    return np.array(kept, np.float64).reshape(-1, 2)
