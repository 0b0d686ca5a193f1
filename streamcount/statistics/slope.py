"""The rate of exponential growth of counts that follow each other, and how far it can be trusted.

Successive frames show the same cells, so a count errs where the one before it erred. Two things make a count
differ from exp(a + r t), and the covariance of the relative deviations is the sum of both:

- Growth itself is chance. Of a pure birth process (Yule's; Kendall, J. R. Stat. Soc. B 11, 1949) the number over its
  mean is a martingale with variance (1 - exp(-r t)) / N0 after t, and covariance that of the earlier time. That is
  `births`, taken `dispersion` times: 1 for the pure birth process, more where cells also die, come and go.
- Looking is chance: cells missed and invented anew in each frame, with variance `noise` / mean.

It is a log-linear model with a Poisson-like mean-variance relation (a quasi-likelihood; Zeger, Biometrika 75, 1988),
solved by iterated generalised least squares, both sizes by restricted maximum likelihood. Dispersion is 1 unless the
counts contradict it, and never less: cells that divide in step vary less than that, and the interval is then too
wide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamcount.statistics.intervals import Float64Array

NOISES = np.geomspace(1e-3, 100.0, 26)
DISPERSIONS = np.geomspace(1.0, 1000.0, 13)
# Half of the 95 % quantile of chi-square with one degree of freedom.
CONTRADICTED = 1.92
ITERATIONS = 6
# A series that does not grow has a covariance too: as if it grew by this factor, in logarithms, over its span.
LEAST_RISE = 0.1


class Slope(NamedTuple):
    """rate_per_h and its standard error; dispersion and noise as above; bend: how many standard errors of a
    parabola's square term the log counts need, negative where growth slows down; fitted: (N,) mean counts of the
    model."""

    rate_per_h: float
    error_per_h: float
    dispersion: float
    noise: float
    bend: float
    fitted: Float64Array


class _Rotated(NamedTuple):
    """A regression in the axes in which both covariances are diagonal: `births` there, and 1 for the noise."""

    births: Float64Array
    columns: Float64Array
    response: Float64Array


def fit_slope(times_h: Float64Array, counts: Float64Array, frames: Float64Array) -> Slope:
    """The slope of log mean counts over time. (N,) each, N at least 4, counts summed over `frames`, some above 0."""
    means = counts / frames
    times = times_h - times_h[0]
    span = times[-1]
    columns = np.stack([np.ones_like(times), times, np.square(times - span / 2)], axis=1)
    line = _first_line(columns[:, :2], means, counts)
    for _ in range(ITERATIONS):
        fitted = np.exp(columns[:, :2] @ line)
        rotated = _rotated(columns, means, fitted, frames, max(abs(line[1]), LEAST_RISE / span))
        dispersion, noise = _sizes(rotated._replace(columns=rotated.columns[:, :2]))
        weights = 1 / (dispersion * rotated.births + noise)
        line, covariance = _least_squares(rotated.columns[:, :2], rotated.response, weights)
        # Counts that jump can throw a step far off; exp must stay finite.
        line = (
            np.clip(line, -50, 50)
            if span == 0
            else np.array([line[0], np.clip(line[1], -50 / span, 50 / span)])
        )
    curve, errors = _least_squares(rotated.columns, rotated.response, weights)
    return Slope(
        rate_per_h=float(line[1]),
        error_per_h=float(np.sqrt(covariance[1, 1])),
        dispersion=dispersion,
        noise=noise,
        bend=float(curve[2] / np.sqrt(errors[2, 2])),
        fitted=np.exp(columns[:, :2] @ line),
    )


def _first_line(columns: Float64Array, means: Float64Array, weights: Float64Array) -> Float64Array:
    logs = np.log(np.maximum(means, 0.5 * means[means > 0].min()))
    return _least_squares(columns, logs, np.maximum(weights, 0.5))[0]


def _rotated(
    columns: Float64Array, means: Float64Array, fitted: Float64Array, frames: Float64Array, rate_per_h: float
) -> _Rotated:
    """columns: (N, 3), of which the second is time from the first point on."""
    times = columns[:, 1]
    since_first = rate_per_h * np.concatenate([[0.0], np.cumsum(np.diff(times) * _between(fitted))])
    births = np.minimum.outer(since_first, since_first)
    scale = np.sqrt(fitted * frames)
    values, axes = np.linalg.eigh(births * np.outer(scale, scale))
    # Working response of a logarithmic link: the tangent at the fitted mean.
    response = np.log(fitted) + (means - fitted) / fitted
    return _Rotated(np.maximum(values, 0.0), axes.T @ (columns * scale[:, None]), axes.T @ (response * scale))


def _between(fitted: Float64Array) -> Float64Array:
    """Mean of 1 / N between points, exact for exponential growth."""
    step = np.diff(np.log(fitted))
    small = np.abs(step) < 1e-6
    safe = np.where(small, 1.0, step)
    return np.where(small, 1.0, -np.expm1(-safe) / safe) / fitted[:-1]


def _sizes(rotated: _Rotated) -> tuple[float, float]:
    """Dispersion and noise; the dispersion is 1 unless a larger one is told apart from it."""
    alone, noise = _best(rotated, np.ones(1))
    free, free_noise, dispersion = *_best(rotated, DISPERSIONS), 1.0
    if free - alone > CONTRADICTED:
        grid = _likelihood(rotated, DISPERSIONS, np.array([free_noise]))
        dispersion, noise = float(DISPERSIONS[int(grid.argmax())]), free_noise
    return dispersion, noise


def _best(rotated: _Rotated, dispersions: Float64Array) -> tuple[float, float]:
    """The greatest likelihood, and the noise that gives it."""
    grid = _likelihood(rotated, dispersions, NOISES)
    _, column = np.unravel_index(int(grid.argmax()), grid.shape)
    return float(grid.max()), float(NOISES[column])


def _likelihood(rotated: _Rotated, dispersions: Float64Array, noises: Float64Array) -> Float64Array:
    """(D, S) restricted log likelihood (Patterson and Thompson, Biometrika 58, 1971), of a line."""
    variances = dispersions[:, None, None] * rotated.births + noises[:, None]
    weights = 1 / variances
    one, two = rotated.columns.T
    a, b, d = weights @ (one * one), weights @ (one * two), weights @ (two * two)
    u, v = weights @ (one * rotated.response), weights @ (two * rotated.response)
    determinant = np.maximum(a * d - b * b, 1e-300)
    explained = (d * u * u - 2 * b * u * v + a * v * v) / determinant
    left = np.maximum(weights @ np.square(rotated.response) - explained, 0.0)
    result: Float64Array = -0.5 * (np.log(variances).sum(axis=-1) + np.log(determinant) + left)
    return result


def _least_squares(
    columns: Float64Array, response: Float64Array, weights: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Coefficients and their covariance."""
    weighted = columns * weights[:, None]
    covariance = np.linalg.inv(weighted.T @ columns).astype(np.float64)
    return covariance @ (weighted.T @ response), covariance
