"""Divisions, frame by frame: which new detections are daughters, and of whom.

After linking, a second assignment looks for triples of a mother and two daughters among trusted tracks and the
detections that no track took, as the linking winner of the Cell Tracking Challenge does (Löffler et al. and its
successors, arXiv 2403.15011). A daughter near a mother is not enough: most cells that come into sight have a
neighbour. What a triple costs says how badly it fits what a division looks like. Two daughters lie on opposite
sides of the place where the mother was expected; they are about equally large, and together about as large as she;
neither is as large as she; and they stand beside each other. All in units of her own size, so that it holds at any
magnification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.tracking.gating import diameters_of, pairs_within
from streamcount.tracking.motion import Float64Array
from streamcount.types import Int64Array
from streamcount.types.ranges import each_in

# What scatters by as much as this costs 1. Lengths in diameters of the mother, areas as logarithms of a ratio.
MIDPOINT_SCATTER = 0.25
SYMMETRY_SCATTER = 0.45
TOTAL_SCATTER = 0.35
APART_SCATTER = 0.30
# Neither daughter stays where the mother was: nearer than this, in diameters of hers, it may be herself.
STAYED, STAYED_SCATTER = 0.25, 0.10
# A daughter of more than this share of her mother's area costs, and the more, the larger she is.
LARGEST_SHARE, SHARE_SCATTER = 0.70, 0.12
# Daughters' centres are about so far apart, in diameters of one daughter: side by side, or somewhat more.
NEAREST_APART, FARTHEST_APART = 0.8, 2.8


@dataclass(frozen=True)
class Mothers:
    """M tracks that may divide. places_px: (M, 2), where they are expected now. areas_px: (M,), before now.

    linked: (M,) int64, the detection that linking gave them, -1 for none.
    """

    places_px: Float64Array
    areas_px: Float64Array
    linked: Int64Array


@dataclass(frozen=True)
class Cells:
    """The detections of a frame. centroids_px: (N, 2). areas_px: (N,). free: (N,) bool, not linked to a track."""

    centroids_px: Float64Array
    areas_px: Float64Array
    free: NDArray[np.bool_]


@dataclass(frozen=True)
class Births:
    """D divisions. mothers: (D,) int64, ascending. daughters: (D, 2) detections, ascending."""

    mothers: Int64Array
    daughters: Int64Array


def find_births(mothers: Mothers, cells: Cells, reach_diameters: float, max_cost: float) -> Births:
    """The divisions that fit best; no mother, and no detection, is in two.

    reach_diameters: how far from where the mother is expected a daughter may be, in diameters of the mother.
    max_cost: what a division may cost at most.
    """
    free = np.flatnonzero(cells.free)
    if not len(free) or not len(mothers.linked):
        return _none()
    reach_px = reach_diameters * diameters_of(mothers.areas_px)
    near, ranks, _ = pairs_within(mothers.places_px, reach_px, cells.centroids_px.take(free, axis=0))
    one_linked = mothers.linked[near] >= 0
    both_free = _pairs_of_same(near[~one_linked], ranks[~one_linked])
    who = np.concatenate([near[one_linked], both_free[0]])
    first = np.concatenate([mothers.linked[near[one_linked]], free[both_free[1]]])
    second = np.concatenate([free[ranks[one_linked]], free[both_free[2]]])
    costs = division_costs(mothers.places_px[who], mothers.areas_px[who], cells, first, second)
    good = np.flatnonzero(costs < max_cost)
    chosen = good[_exclusive(costs[good], who[good], first[good], second[good])]
    chosen = chosen[np.argsort(who[chosen])]
    return Births(who[chosen], np.sort(np.stack([first[chosen], second[chosen]], axis=1), axis=1))


def division_costs(
    places_px: Float64Array, areas_px: Float64Array, cells: Cells, first: Int64Array, second: Int64Array
) -> Float64Array:
    """(P,) what each triple costs. places_px (P, 2), areas_px (P,): the mother. first, second: (P,) daughters."""
    one, other = cells.centroids_px[first], cells.centroids_px[second]
    area, other_area = np.maximum(cells.areas_px[first], 1.0), np.maximum(cells.areas_px[second], 1.0)
    areas_px, total = np.maximum(areas_px, 1.0), area + other_area
    # Of daughters that grew apart unequally the mass stays in the middle.
    middle = (one * area[:, None] + other * other_area[:, None]) / total[:, None]
    size = np.maximum(diameters_of(areas_px), diameters_of(total))
    off = np.hypot(*(middle - places_px).T) / size
    apart = np.hypot(*(one - other).T) / diameters_of(total / 2)
    too_near_or_far = np.maximum(np.maximum(NEAREST_APART - apart, apart - FARTHEST_APART), 0.0)
    stayed = np.minimum(np.hypot(*(one - places_px).T), np.hypot(*(other - places_px).T)) / size
    share = np.maximum(area, other_area) / areas_px
    costs: Float64Array = (
        np.square(off / MIDPOINT_SCATTER)
        + np.square(np.log(area / other_area) / SYMMETRY_SCATTER)
        + np.square(np.log(total / areas_px) / TOTAL_SCATTER)
        + np.square(np.maximum(share - LARGEST_SHARE, 0.0) / SHARE_SCATTER)
        + np.square(np.maximum(STAYED - stayed, 0.0) / STAYED_SCATTER)
        + np.square(too_near_or_far / APART_SCATTER)
    )
    return costs


def _pairs_of_same(owners: Int64Array, values: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Owner, first and second of each two values of one owner. owners: ascending."""
    starts = np.searchsorted(owners, owners, side="right")
    later = starts - np.arange(len(owners)) - 1
    first, second = each_in(np.arange(1, len(owners) + 1), later)
    return owners[first], values[first], values[second]


def _exclusive(costs: Float64Array, who: Int64Array, first: Int64Array, second: Int64Array) -> list[int]:
    """Positions, cheapest first, leaving out what shares a mother or a daughter with a cheaper one.

    Few triples are cheap enough to come here, a handful of a frame with hundreds of cells.
    """
    order = np.lexsort((second, first, who, costs))
    used_mothers: set[int] = set()
    used_cells: set[int] = set()
    chosen = []
    for position in order.tolist():
        mother, cells = int(who[position]), {int(first[position]), int(second[position])}
        if mother not in used_mothers and not cells & used_cells:
            used_mothers.add(mother)
            used_cells |= cells
            chosen.append(position)
    return chosen


def _none() -> Births:
    return Births(np.empty(0, np.int64), np.empty((0, 2), np.int64))
