"""Intervals, rates and units: what a count is worth."""

from streamcount.statistics.growth import Growth, doubling_time
from streamcount.statistics.intervals import (
    LEVEL,
    Estimate,
    Rule,
    counted,
    fraction,
    mean_count,
    poisson_interval,
    weighted_poisson_interval,
    wilson_interval,
)
from streamcount.statistics.series import GrowthState, Series, coarse, no_counts, observe, series_of
from streamcount.statistics.units import (
    cells_per_ml,
    cells_per_mm2,
    confluence,
    counted_in,
    diameter_um,
    field_area_um2,
    viability,
)

__all__ = [
    "LEVEL",
    "Estimate",
    "Growth",
    "GrowthState",
    "Rule",
    "Series",
    "cells_per_ml",
    "cells_per_mm2",
    "coarse",
    "confluence",
    "counted",
    "counted_in",
    "diameter_um",
    "doubling_time",
    "field_area_um2",
    "fraction",
    "mean_count",
    "no_counts",
    "observe",
    "poisson_interval",
    "series_of",
    "viability",
    "weighted_poisson_interval",
    "wilson_interval",
]
