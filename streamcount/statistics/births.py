"""How counts of one growing population err together: births are chance, and looking is chance.

Successive frames show the same cells, so a count errs where the one before it erred. The covariance of the
relative deviations from the mean count is the sum of two:

- Births. A cell's cycle varies, but far less than an exponential time: generation times have a coefficient of
  variation of 0.2 to 0.3 (Powell, J. Gen. Microbiol. 15, 1956), which cycles of 16 stages with exponential times have
  (Kendall, Biometrika 35, 1948). Of such a population in steady growth `birth_covariance` has the three parts that
  matter: what the first cells' ages bring within a cycle and leave for good, births that are independent within a
  cycle and made good after it, and what remains of each birth, the martingale of branching (Kendall, J. R. Stat.
  Soc. B 11, 1949). The last is the `dispersion`: 1 for Yule's process of cells without age, more where cells also
  die, come and go.
- Looking: cells missed and invented anew in each frame, with variance `noise` / mean.

Both sizes are found by restricted maximum likelihood (Patterson and Thompson, Biometrika 58, 1971). The dispersion is
that of cycles unless the counts contradict it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamcount.statistics.intervals import Float64Array

# Fitted to the exact covariance of 16 stages; clocks are in natural logarithms of growth.
OF_CYCLES, OF_AGES, OF_BIRTHS, FORGETS = 0.028, 0.053, 0.067, 13.5
MORE = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
NOISES = np.geomspace(1e-3, 100.0, 26)
# One more parameter must make the logarithm of the likelihood greater by this (Akaike, see `phase`).
WORTH = 1.0


class Sizes(NamedTuple):
    """Of both kinds of chance, as above."""

    dispersion: float
    noise: float


def birth_covariance(clock: Float64Array, dispersion: float) -> Float64Array:
    """(N, N) covariance of relative deviations of a population that grew from one cell.

    clock: (N,) logarithm of the factor by which the mean has grown, 0 or more. Divide by the first number of cells.
    """
    earlier = np.minimum.outer(clock, clock)
    left = np.exp(-earlier)
    lasting = min(dispersion, 1.0)
    covariance = lasting * (1 - left)
    if lasting < 1:
        faded = np.exp(-FORGETS * earlier)
        apart = np.exp(-FORGETS * np.abs(clock[:, None] - clock))
        covariance += (1 - lasting) * (OF_AGES * (1 - faded) + OF_BIRTHS * left * apart * (1 - faded * faded))
    result: Float64Array = covariance * max(dispersion, 1.0)
    return result


def covariance_of(
    clock: Float64Array, means: Float64Array, looks: Float64Array, sizes: Sizes
) -> Float64Array:
    """(N, N) of the relative deviations of counts. means: per frame; looks: mean counts summed over frames."""
    births = birth_covariance(clock, sizes.dispersion) / means[0]
    result: Float64Array = births + np.diag(sizes.noise / looks)
    return result


def sizes_of(
    clock: Float64Array,
    means: Float64Array,
    looks: Float64Array,
    columns: Float64Array,
    response: Float64Array,
) -> Sizes:
    """The sizes under which the response (N,) is likeliest, of a regression on columns (N, P)."""
    scale = np.sqrt(looks)
    columns, response = columns * scale[:, None], response * scale
    each_cell = np.outer(scale, scale) / means[0]

    def profile(dispersion: float) -> tuple[float, float]:
        values, axes = np.linalg.eigh(birth_covariance(clock, dispersion) * each_cell)
        variances = np.maximum(values, 0.0) + NOISES[:, None]
        grid = _likelihood(variances, axes.T @ columns, axes.T @ response)
        best = int(grid.argmax())
        return float(grid[best]), float(NOISES[best])

    alone, noise = profile(OF_CYCLES)
    usual, found, greatest = Sizes(OF_CYCLES, noise), Sizes(OF_CYCLES, noise), alone
    for dispersion in MORE:
        likelihood, noise = profile(dispersion)
        if likelihood <= greatest:
            break
        greatest, found = likelihood, Sizes(dispersion, noise)
    return found if greatest - alone > WORTH else usual


def _likelihood(variances: Float64Array, columns: Float64Array, response: Float64Array) -> Float64Array:
    """(S,) restricted log likelihood for each row of variances (S, N)."""
    weights = 1 / variances
    normal = (weights[:, None, :] * columns.T) @ columns
    moments = (weights * response) @ columns
    explained = (moments * np.linalg.solve(normal, moments[..., None])[..., 0]).sum(axis=1)
    left = np.maximum(weights @ np.square(response) - explained, 0.0)
    result: Float64Array = -0.5 * (np.log(variances).sum(axis=1) + np.linalg.slogdet(normal)[1] + left)
    return result
