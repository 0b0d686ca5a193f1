"""The covariance of counts of one growing population."""

from __future__ import annotations

import numpy as np
import pytest

from bench.intervals import DOUBLING_H, divisions
from streamcount.statistics.births import OF_CYCLES, Sizes, birth_covariance, covariance_of, sizes_of

CLOCK = np.linspace(0, 3, 25)


def test_cells_without_age_are_yules_process():
    found = birth_covariance(CLOCK, 1.0)
    assert found == pytest.approx(1 - np.exp(-np.minimum.outer(CLOCK, CLOCK)))
    assert birth_covariance(CLOCK, 10.0) == pytest.approx(10 * found)


@pytest.mark.parametrize("dispersion", [OF_CYCLES, 0.3, 1.0, 30.0])
def test_a_covariance_has_no_negative_variance(dispersion):
    found = birth_covariance(CLOCK, dispersion)
    assert np.linalg.eigvalsh(found).min() > -1e-12
    assert found[0] == pytest.approx(0)


def test_simulated_populations_err_as_it_says():
    rng = np.random.default_rng(2)
    clock = np.log(2) * np.array([0.25, 1.0, 1.5, 2.0])
    hours, first = clock / np.log(2) * DOUBLING_H, 30
    counts = np.array(
        [first + np.searchsorted(divisions(first, hours[-1] + 1, 0.25, rng), hours) for _ in range(400)]
    )
    found = np.cov(counts / counts.mean(axis=0), rowvar=False) * first
    expected = birth_covariance(clock, OF_CYCLES)
    # Variances from 400 populations err by 7 %; the covariance is a form with three parts for what has sixteen.
    assert np.diag(found) == pytest.approx(np.diag(expected), rel=0.3)
    assert found[0, 3] == pytest.approx(expected[0, 3], abs=0.02)


@pytest.mark.parametrize("sizes", [Sizes(OF_CYCLES, 0.1), Sizes(10.0, 0.1), Sizes(100.0, 5.0)])
def test_sizes_are_found_again(sizes):
    rng = np.random.default_rng(4)
    means = 100 * np.exp(CLOCK)
    triangle = np.linalg.cholesky(covariance_of(CLOCK, means, means, sizes))
    columns = np.stack([np.ones_like(CLOCK), CLOCK], axis=1)
    found = [
        sizes_of(CLOCK, means, means, columns, triangle @ rng.normal(size=len(CLOCK))) for _ in range(40)
    ]
    noise = np.median([each.noise for each in found])
    assert noise == pytest.approx(sizes.noise, rel=0.6)
    assert np.median([each.dispersion for each in found]) == pytest.approx(sizes.dispersion, rel=0.75)
