"""The camera's own cells of each class: what is usual among them, robustly and from a bounded sample."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.statistics import quantiles
from streamcount.types import Float32Array, Int64Array

# What is known of a cell: natural logarithms of its area and of its elongation, and its intensity, where
# negative as a density.
FEATURES = ("size", "shape", "intensity")
# Distance from the median to a quartile of a normal distribution, times this, is its standard deviation.
NORMAL_PER_QUARTILE = 1.4826
MAD_VARIANCE = 1.36
# A smaller spread is chance: of logarithms of areas and elongations, and of intensities.
LEAST_SPREAD = np.array([0.05, 0.07, 0.01], np.float32)
QUARTILES = (0.25, 0.5, 0.75)


class Population(msgspec.Struct, frozen=True, eq=False):
    """The last K cells of each of C classes that were looked at, and what is usual among them.

    samples: (C, K, 3) float16, one row a cell, of FEATURES; the oldest is overwritten.
    learned: (C,) int64, rows ever written. cells: (C,) int64, different tracks among them.
    quartiles: (C, 3, 3) float32, of each class and feature the lower quartile, the median, the upper one; NaN before
        the first cell, and where a feature was not measured.
    """

    samples: NDArray[np.float16]
    learned: Int64Array
    cells: Int64Array
    quartiles: Float32Array


def empty_population(classes: int = 0, size: int = 0) -> Population:
    """No cell was looked at yet. size: most cells of a class that are kept."""
    return Population(
        samples=np.zeros((classes, size, len(FEATURES)), np.float16),
        learned=np.zeros(classes, np.int64),
        cells=np.zeros(classes, np.int64),
        quartiles=np.full((classes, len(FEATURES), len(QUARTILES)), np.nan, np.float32),
    )


def learned(
    population: Population, class_ids: Int64Array, features: Float32Array, first: NDArray[np.bool_]
) -> Population:
    """The population with n more cells. class_ids, first: (n,); features: (n, 3), of FEATURES.

    first: whether the cell was never taken in before. Unusual cells are taken in like all others: up to a quarter of
    outliers on one side leave the quartiles where they belong.
    """
    if not len(class_ids):
        return population
    size, classes = population.samples.shape[1], len(population.learned)
    order = np.argsort(class_ids, kind="stable")
    ids, numbers = class_ids[order], np.bincount(class_ids, minlength=classes)
    ranks = np.arange(len(ids)) - np.searchsorted(ids, ids, "left")
    samples, quartiles = population.samples.copy(), population.quartiles.copy()
    # Of two rows for one place the later stays, as NumPy promises.
    samples[ids, (population.learned[ids] + ranks) % size] = features[order]
    total = population.learned + numbers
    for class_id in np.flatnonzero(numbers).tolist():
        rows = samples[class_id, : min(int(total[class_id]), size)].astype(np.float32)
        quartiles[class_id] = quantiles(rows, QUARTILES).T
    return Population(
        samples=samples,
        learned=total,
        cells=population.cells + np.bincount(class_ids[first], minlength=classes),
        quartiles=quartiles,
    )


def deviations(population: Population, class_ids: Int64Array, features: Float32Array) -> Float32Array:
    """(n, 3) float32: robust standard deviations from the median of the cell's class, negative below it.

    The spread is 1.4826 times half the distance of the quartiles, which is the median absolute deviation of what is
    symmetric; or the distance of the median to the quartile on the cell's side, where that is longer: sizes and
    elongations are skewed. Two standard errors of a spread from so few cells are added (Rousseeuw and Croux, J. Am.
    Stat. Assoc. 88, 1993: the MAD's variance is 1.36 / n). NaN where nothing is known. class_ids: (n,).
    features: (n, 3).
    """
    quartiles = population.quartiles[class_ids]
    low, middle, high = quartiles[..., 0], quartiles[..., 1], quartiles[..., 2]
    away = features - middle
    side = np.where(away > 0, high - middle, middle - low)
    spread = np.maximum(side, (high - low) / 2) * np.float32(NORMAL_PER_QUARTILE)
    # One cell looked at again and again is still one.
    known = np.minimum(population.cells, population.samples.shape[1])[class_ids]
    doubt = 1 + 2 * np.sqrt(MAD_VARIANCE / np.maximum(known, 1))
    return np.asarray(away / np.maximum(spread * doubt[:, None], LEAST_SPREAD), np.float32)
