"""The figures of a window: sums that groups of cameras add up, and what follows from them.

Everything a camera measures is told as a sum, or a mean per frame, that adds over cameras ("additive"). All other
figures are made from those alone, by `figures_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from streamcount.statistics import (
    CountRule,
    diameter_um,
    mean_interval,
    poisson_interval,
    weighted_poisson_interval,
    wilson_interval,
)
from streamcount.types import Figure
from streamcount.types.figures import FIGURES

# Each is a number of independent events, so its interval is Poisson's.
EVENTS = (
    "births",
    "deaths",
    "divisions",
    "entries",
    "appeared",
    "exits",
    "lost",
    "crossings_forward",
    "crossings_backward",
)
SHARES = {"dead": "viability", "mitotic": "mitotic_index", "abnormal": "abnormal_fraction"}


class Key(NamedTuple):
    """Which figure: its name, and the zone and class it holds for ("" for all)."""

    name: str
    zone: str = ""
    class_name: str = ""


Sums: TypeAlias = Mapping[Key, float]


class Rule(NamedTuple):
    """How intervals are made: their level, within (0, 1), and the rule for counts."""

    level: float = 0.95
    counts: CountRule = "exact"


def figures_of(sums: Sums, rule: Rule) -> tuple[Figure, ...]:
    """The sums and all that follows from them, sorted by zone, class and name."""
    found = [_additive(key, value, sums, rule) for key, value in sums.items()]
    for zone, class_name in sorted({(key.zone, key.class_name) for key in sums if key.name == "cells"}):
        found += _densities(sums, zone, class_name, rule)
        found += _sizes(sums, zone, class_name, rule)
    for zone in sorted({key.zone for key in sums}):
        found += _shares(sums, zone, rule)
        found += _dwell(sums, zone)
    found += _confluence(sums, rule)
    return tuple(sorted(found, key=lambda one: (one.zone, one.class_name, one.name)))


def figure(key: Key, value: float, interval: tuple[float, float] | None = None) -> Figure:
    """A figure in the unit of its name."""
    low, high = (None, None) if interval is None else (float(interval[0]), float(interval[1]))
    return Figure(
        name=key.name,
        value=float(value),
        unit=FIGURES[key.name].unit,
        zone=key.zone,
        class_name=key.class_name,
        low=low,
        high=high,
    )


def _additive(key: Key, value: float, sums: Sums, rule: Rule) -> Figure:
    interval = None
    if key.name in EVENTS:
        interval = _count_interval(value, rule, 2.0 if key.name == "births" else 1.0)
    elif key.name == "cells":
        interval = _cells_interval(sums, key.zone, key.class_name, rule)
    return figure(key, value, interval)


def _count_interval(value: float, rule: Rule, step: float) -> tuple[float, float]:
    """Of a count whose events each bring `step`: births come in pairs."""
    low, high = poisson_interval(value / step, rule.level, rule=rule.counts)
    return step * low, step * high


def _cells_interval(sums: Sums, zone: str, class_name: str, rule: Rule) -> tuple[float, float] | None:
    """Of the mean number of cells a frame: a sum of cells, each weighted by the share of the frames it was there.

    Frames that follow each other show the same cells, so the sum over frames is no sample of so many cells. What was
    sampled are the different cells. Cells that all stay throughout give the interval of one frame's count; cells that
    come and go give a narrower one.
    """
    cells = sums[Key("cells", zone, class_name)]
    variance = sums.get(Key("cells_variance", zone, class_name))
    if variance is None:
        return None
    return weighted_poisson_interval(cells, variance, 1.0, rule.level, rule=rule.counts)


def _densities(sums: Sums, zone: str, class_name: str, rule: Rule) -> list[Figure]:
    """Cells per area and per volume; of the whole field, of the cells that count by the rule for its edges.

    Where each stands for several, the squares of the weights add up to about the number of cells in sight, since what
    cuts some makes the others stand for them; to more where more are counted than are in sight.
    """
    cells, variance = sums[Key("cells", zone, class_name)], sums.get(Key("cells_variance", zone, class_name))
    if variance is None:
        return []
    counted = sums.get(Key("cells_counted", zone, class_name), cells)
    share = counted / cells if cells else 0.0
    squares = variance * (share if share < 1 else share**2)
    low, high = weighted_poisson_interval(counted, squares, 1.0, rule.level, rule=rule.counts)
    return [
        figure(Key(name, zone, class_name), counted / size, (low / size, high / size))
        for name, extent in (("cells_per_mm2", "field_mm2"), ("cells_per_ml", "volume_ml"))
        if (size := sums.get(Key(extent, zone), 0.0)) > 0
    ]


def _sizes(sums: Sums, zone: str, class_name: str, rule: Rule) -> list[Figure]:
    """The mean area, with Student's interval of as many independent cells as the mean count stands for."""
    sized = sums.get(Key("cells_sized", zone, class_name), 0.0)
    if not sized:
        return []
    area = sums[Key("cell_area_um2", zone, class_name)] / sized
    squares = sums.get(Key("cell_area_squares_um4", zone, class_name))
    variance = sums.get(Key("cells_variance", zone, class_name))
    bounds = None
    if squares is not None and variance:
        independent = sized * sums[Key("cells", zone, class_name)] / variance
        bounds = mean_interval(area, max(squares / sized - area**2, 0.0), independent, rule.level)
    in_um = None if bounds is None else (float(diameter_um(bounds[0])), float(diameter_um(bounds[1])))
    return [
        figure(Key("area_um2", zone, class_name), area, bounds),
        figure(Key("diameter_um", zone, class_name), float(diameter_um(area)), in_um),
    ]


def _shares(sums: Sums, zone: str, rule: Rule) -> list[Figure]:
    """Fractions of the cells, with Wilson's interval of as many independent cells as the share stands for."""
    cells, variance = sums.get(Key("cells", zone), 0.0), sums.get(Key("cells_variance", zone), 0.0)
    if not cells or not variance:
        return []
    found = []
    for role, name in SHARES.items():
        part = sums.get(Key(f"{role}_cells", zone))
        if part is None:
            continue
        share = min(part / cells, 1.0)
        independent = _independent(sums, zone, role, share)
        if name == "viability":
            share = 1.0 - share
        bounds = wilson_interval(share * independent, independent, rule.level)
        found.append(figure(Key(name, zone), share, bounds))
    return found


def _independent(sums: Sums, zone: str, role: str, share: float) -> float:
    """Of how many independent cells, each of which is or is not of the role, the share would vary as much.

    The variance of a ratio of two sums over cells (Cochran, Sampling Techniques, 1977, section 2.11): where cell i
    brings m of w, it is sum (m - share w)^2 / (sum w)^2. Cells that are of the role throughout or never give the
    independent cells of the mean count; where each is for a while, and others after it, there are more.
    """
    cells, variance = sums[Key("cells", zone)], sums[Key("cells_variance", zone)]
    if 0 < share < 1:
        throughout = sums[Key(f"{role}_cells", zone)] * variance / cells
        of_role = sums.get(Key(f"{role}_variance", zone), throughout)
        both = sums.get(Key(f"{role}_covariance", zone), of_role)
        spread = of_role - 2 * share * both + share**2 * variance
        if spread > 0:
            return share * (1 - share) * cells**2 / spread
    return cells * cells / variance


def _dwell(sums: Sums, zone: str) -> list[Figure]:
    total_s, left = sums.get(Key("dwell_total_s", zone)), sums.get(Key("exits", zone), 0.0)
    return [figure(Key("dwell_s", zone), total_s / left)] if total_s is not None and left else []


def _confluence(sums: Sums, rule: Rule) -> list[Figure]:
    """The share of the field that cells cover; of a group the mean over its cameras.

    Its interval is that of as many independent patches as cells would fill the field. A pixel is no sample: a cell
    covers all of its pixels at once. Of grains that lie independently the variance of the share is p (1 - p) times
    the integral range over the field's area (Lantuéjoul, J. Microsc. 161, 1991); the range is at most the
    area-weighted mean area of the cells, which is taken, times the index of dispersion of ninths of the field where
    cells gather. Cells that keep apart vary less, and the interval is too wide; of colonies that are large beside a
    ninth it is too narrow.
    """
    fields = sums.get(Key("fields"), 0.0)
    if not fields:
        return []
    share = min(sums[Key("foreground")] / fields, 1.0)
    patches = sums[Key("patches")]
    return [figure(Key("confluence"), share, wilson_interval(share * patches, patches, rule.level))]
