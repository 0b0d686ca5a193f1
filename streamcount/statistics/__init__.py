"""Intervals, rates and units: what a count is worth."""

from streamcount.statistics.growth import Growth, doubling_time
from streamcount.statistics.intervals import (
    LEVEL,
    CountRule,
    Estimate,
    mean_interval,
    poisson_interval,
    weighted_poisson_interval,
    wilson_interval,
)
from streamcount.statistics.ranked import median, medians, quantiles
from streamcount.statistics.series import GrowthState, Series, coarse, no_counts, observe, series_of
from streamcount.statistics.units import IMAGE_EDGE_PX, counted_in, counted_in_image, diameter_um, stand_for

__all__ = [
    "IMAGE_EDGE_PX",
    "LEVEL",
    "CountRule",
    "Estimate",
    "Growth",
    "GrowthState",
    "Series",
    "coarse",
    "counted_in",
    "counted_in_image",
    "diameter_um",
    "doubling_time",
    "mean_interval",
    "median",
    "medians",
    "no_counts",
    "observe",
    "poisson_interval",
    "quantiles",
    "series_of",
    "stand_for",
    "weighted_poisson_interval",
    "wilson_interval",
]
