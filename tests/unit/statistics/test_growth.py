"""Doubling times of counts whose growth is known."""

from __future__ import annotations

import numpy as np
import pytest

from bench.intervals import DOUBLING_H, counts_of
from streamcount.statistics import Series, doubling_time

HOUR_NS = 3_600_000_000_000


def counts(first, doubling_h, lag_h=0.0, end_h=48.0, frames=200):
    times_h = np.linspace(0, 48, frames)
    grown_h = np.clip(times_h, lag_h, end_h) - lag_h
    return Series(7 * HOUR_NS, times_h, np.round(first * 2 ** (grown_h / doubling_h)), np.ones(frames))


@pytest.mark.parametrize(("lag_h", "end_h"), [(0, 48), (12, 48), (0, 36), (8, 40)])
def test_lag_and_plateau_are_left_out(lag_h, end_h):
    growth = doubling_time(counts(200, 12, lag_h, end_h))
    told = growth.doubling_time_h
    assert told.value == pytest.approx(12, rel=0.02)
    assert told.low < 12 < told.high
    assert growth.phase_started_ns == pytest.approx((7 + lag_h) * HOUR_NS, abs=2 * HOUR_NS)
    assert growth.phase_ended_ns == pytest.approx((7 + end_h) * HOUR_NS, abs=2 * HOUR_NS)


def test_a_doubling_time_is_its_rate():
    growth = doubling_time(counts(200, 12))
    rate, told = growth.rate_per_h, growth.doubling_time_h
    assert (told.value, told.low, told.high) == pytest.approx(
        tuple(np.log(2) / each for each in (rate.value, rate.high, rate.low))
    )
    wider = doubling_time(counts(200, 12), 0.99).doubling_time_h
    assert wider.low < told.low < told.high < wider.high


@pytest.mark.parametrize("doubling_h", [np.inf, -12])
def test_cells_that_do_not_grow_have_a_rate_and_no_doubling_time(doubling_h):
    growth = doubling_time(counts(200, doubling_h))
    assert growth.doubling_time_h is None
    assert growth.rate_per_h.low <= np.log(2) / doubling_h <= growth.rate_per_h.high


@pytest.mark.parametrize("series", [counts(100, 12, frames=7), counts(0, 12)], ids=["few", "no cells"])
def test_too_little_to_tell(series):
    assert doubling_time(series) is None


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError):
        doubling_time(counts(100, 12), level)


@pytest.mark.parametrize(
    ("kind", "most_off"), [("growth", 0.03), ("lag and plateau", 0.05), ("lag and fade", 0.08)]
)
def test_intervals_of_simulated_populations_hold_the_truth(kind, most_off):
    rng = np.random.default_rng(11)
    told = [doubling_time(counts_of(100, kind, rng)).doubling_time_h for _ in range(60)]
    off = np.median([abs(each.value / DOUBLING_H - 1) for each in told])
    held = sum(each.low <= DOUBLING_H <= each.high for each in told)
    assert off < most_off
    # At 95 %, 50 or fewer of 60 happen once in a thousand times.
    assert held >= 51
    # Of a normal error the interval is 5.8 median errors wide: it is not wide enough to hold anything.
    assert np.median([(each.high - each.low) / each.value for each in told]) < 12 * off


def test_fading_growth_ends_where_it_is_half_as_fast():
    times_h = np.linspace(0, 96, 200)
    rate, half_h, width_h = np.log(2) / 12, 48.0, 6.0
    clock_h = half_h - width_h * np.log1p(np.exp((half_h - times_h) / width_h))
    growth = doubling_time(Series(0, times_h, np.round(4000 * np.exp(rate * clock_h)), np.ones(200)))
    assert growth.doubling_time_h.value == pytest.approx(12, rel=0.02)
    assert growth.phase_ended_ns == pytest.approx(half_h * HOUR_NS, abs=2 * HOUR_NS)


@pytest.mark.parametrize("seed", [1, 209, 516, 1202])
def test_counts_that_leap_without_order_end_nothing(seed):
    counts = np.round(np.abs(np.random.default_rng(seed).standard_cauchy(200)) * 1e5)
    growth = doubling_time(Series(0, np.linspace(0, 10, 200), counts, np.ones(200)))
    assert growth is None or np.isfinite(growth.rate_per_h).all()
