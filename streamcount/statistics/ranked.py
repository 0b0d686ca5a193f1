"""Medians and quantiles of the few hundred values that a frame has, in a small part of the time that NumPy's take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.floating]) -> float:
    """The same as NumPy's, of at least one number, none of them NaN, in a fifth of the time where they are few."""
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    low, high = np.partition(values, (half - 1, half))[half - 1 : half + 1]
    return float((low + high) / 2)


def medians(rows: NDArray[np.floating]) -> NDArray[Any]:
    """The median of each column of rows (N, ...), N at least 1 and without NaN, as np.median(rows, axis=0)."""
    ranked, half = np.sort(rows, axis=0), len(rows) // 2
    return np.asarray(ranked[half] if len(rows) % 2 else (ranked[half - 1] + ranked[half]) / 2)


def quantiles(rows: NDArray[np.floating], shares: Sequence[float]) -> NDArray[Any]:
    """(S, ...), of each column of rows (N, ...) the value below which each of S shares lies.

    N is at least 1. Between two values it is taken in proportion; a column with a NaN has none. As np.quantile.
    """
    ranked = np.sort(rows, axis=0)
    found = []
    for share in shares:
        place = share * (len(rows) - 1)
        low = int(place)
        one, next_one = ranked[low], ranked[min(low + 1, len(rows) - 1)]
        found.append(one + (next_one - one) * (place - low))
    return np.where(np.isnan(ranked[-1]), np.nan, np.asarray(found, rows.dtype))
