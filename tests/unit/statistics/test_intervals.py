"""Intervals against printed tables, and what must hold of any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.statistics import (
    mean_interval,
    poisson_interval,
    weighted_poisson_interval,
    wilson_interval,
)

# Garwood 1936; the table of many textbooks, such as Altman's, to three digits.
GARWOOD = {
    0: (0.0, 3.689),
    1: (0.0253, 5.572),
    2: (0.2422, 7.225),
    3: (0.6187, 8.767),
    5: (1.623, 11.668),
    10: (4.795, 18.390),
    20: (12.217, 30.888),
    50: (37.111, 65.918),
    100: (81.364, 121.627),
}
# Newcombe, Stat. Med. 17, 1998, table I, method 3.
WILSON = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0, 0.1611),
    (1, 29): (0.0061, 0.1718),
}
COUNTS = st.integers(0, 100_000)
LEVELS = st.floats(0.5, 0.999)


@pytest.mark.parametrize(("count", "bounds"), GARWOOD.items())
def test_exact_is_garwoods(count, bounds):
    assert poisson_interval(count) == pytest.approx(bounds, rel=1e-3)


@pytest.mark.parametrize(("pair", "bounds"), WILSON.items())
def test_wilson_is_newcombes(pair, bounds):
    assert wilson_interval(*pair) == pytest.approx(bounds, abs=5e-5)


@given(COUNTS, LEVELS)
@settings(max_examples=60, deadline=None)
def test_the_bounds_of_mid_p_give_half_of_what_was_seen_to_each_tail(count, level):
    from scipy.special import gammaln, pdtr

    low, high = poisson_interval(float(count), level, rule="mid-p")

    def half_at(mean):
        return 0.5 * np.exp(count * np.log(mean) - mean - gammaln(count + 1))

    assert pdtr(count, high) - half_at(high) == pytest.approx((1 - level) / 2, rel=1e-6)
    if count:
        assert 1 - pdtr(count, low) + half_at(low) == pytest.approx((1 - level) / 2, rel=1e-6)
    else:
        assert low == 0


@given(COUNTS, LEVELS)
@settings(max_examples=60, deadline=None)
def test_mid_p_lies_within_exact_and_the_count_within_both(count, level):
    exact, middle = (poisson_interval(float(count), level, rule=rule) for rule in ("exact", "mid-p"))
    assert exact[0] <= middle[0] <= count <= middle[1] <= exact[1]


@given(st.integers(0, 1000), st.integers(0, 1000), LEVELS)
@settings(max_examples=60, deadline=None)
def test_a_fraction_mirrors_and_lies_within_its_interval(part, other, level):
    low, high = wilson_interval(part, part + other, level)
    mirrored = wilson_interval(other, part + other, level)
    if part + other:
        assert 0 <= low <= part / (part + other) + 1e-12 <= high + 2e-12 <= 1 + 2e-12
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-12)


@pytest.mark.parametrize("rule", ["exact", "mid-p"])
def test_arrays_give_what_each_of_them_gives_alone(rule):
    counts = np.array([[0.0, 1.0, 7.0], [50.0, 1e4, 1e6]])
    low, high = poisson_interval(counts, exposure=4.0, rule=rule)
    for at in np.ndindex(counts.shape):
        assert poisson_interval(counts[at], rule=rule) == pytest.approx(
            (4 * low[at], 4 * high[at]), rel=1e-12
        )


def test_weights_of_one_size_are_a_count_in_that_unit():
    low, high = poisson_interval(12.0)
    assert weighted_poisson_interval(12 * 2.5, 12 * 2.5**2, 2.5) == pytest.approx((2.5 * low, 2.5 * high))


def test_no_cells_tell_nothing_of_a_fraction():
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: poisson_interval(-1),
        lambda: poisson_interval(float("nan")),
        lambda: poisson_interval(3, 95),
        lambda: poisson_interval(3, exposure=0),
        lambda: weighted_poisson_interval(3, 3, 0),
        lambda: wilson_interval(5, 4),
        lambda: wilson_interval(-1, 4),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError):
        call()


def test_a_percentage_for_a_level_is_told_how_to_be_written():
    with pytest.raises(ValueError, match=r"use 0\.95"):
        poisson_interval(3, 95)


def test_the_interval_of_a_mean_is_students():
    # Five with a mean of 10 and a sample standard deviation of 2; t of 4 degrees of freedom is 2.776 at 97.5 %.
    low, high = mean_interval(10.0, 4.0 * 4 / 5, 5.0)
    assert (low, high) == pytest.approx((10 - 2.776 * 2 / 5**0.5, 10 + 2.776 * 2 / 5**0.5), abs=1e-3)
    assert mean_interval(1.0, 100.0, 3.0)[0] == 0
    assert mean_interval(1.0, 1.0, 1.9) is None
    with pytest.raises(ValueError, match="not negative"):
        mean_interval(1.0, -1.0, 5.0)
