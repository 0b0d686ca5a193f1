"""Medians and quantiles are NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.statistics import medians, quantiles

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize("rows", [1, 2, 7, 30, 601])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_are_those_of_numpy(rows: int, dtype: type) -> None:
    values = np.random.default_rng(rows).normal(0, 5, (rows, 4)).astype(dtype)
    np.testing.assert_array_equal(medians(values), np.median(values, axis=0))
    found = quantiles(values, SHARES)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.quantile(values, SHARES, axis=0), rtol=1e-6, atol=1e-6)
    assert float(medians(values[:, 0])) == np.median(values[:, 0])


def test_a_column_with_a_nan_has_no_quantile() -> None:
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [3.0, 4.0]], np.float32)
    np.testing.assert_array_equal(quantiles(values, [0.5]), [[np.nan, 3.0]])
