"""Doubling time: a log-linear fit over the growth phase only.

The phase is where counts neither wait (lag) nor have stopped (plateau). The logarithm of the count is a line over a
clock that runs in the phase alone (`phase`); growth that fades has a clock that slows down. The likeliest of some
hundred phases is the beginning of a Gauss-Newton search for rate, corners and width at once, by generalised least
squares with the covariance of a growing population that is looked at (`births`), as a quasi-likelihood with a
logarithmic link (Zeger, Biometrika 75, 1988). The interval is that of the rate with corners and width unknown.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from streamcount.statistics.births import OF_CYCLES, Sizes, covariance_of, sizes_of
from streamcount.statistics.intervals import LEVEL, Estimate, Float64Array
from streamcount.statistics.phase import FEWEST_POINTS, SHORTEST, Phase, clock_of, likeliest
from streamcount.statistics.series import NS_PER_S, S_PER_H, Series, coarse

MOST_POINTS = 48
MEDIAN_ABSOLUTE = 0.6745
STEPS = 6
# Both kinds of chance are measured before this step; until then looking has the noise of neighbouring points.
MEASURED = 2
# Shares of a step that are tried until one makes the fit better.
HALVINGS = (1.0, 0.5, 0.2, 0.05)
# A series that does not grow has a covariance too: as if it grew by this factor, in logarithms, over its span.
LEAST_RISE = 0.1
# What is known of a width before looking: this share of the span, give or take a factor e.
USUAL_WIDTH = 0.1
# A step of fewer squared standard errors is the last.
CLOSE = 1e-3
A, RATE, LAG, END, LOG_WIDTH = range(5)


class Growth(NamedTuple):
    """How fast the cells of a camera multiply.

    doubling_time_h: None where the interval of the rate includes 0 or less: growth is not told from none.
    rate_per_h: of the mean count, in natural logarithms; negative where cells get fewer.
    phase_started_ns, phase_ended_ns: of the growth phase that was fitted, acquisition times. Growth that fades has
        ended where its rate is half of what it was.
    """

    doubling_time_h: Estimate | None
    rate_per_h: Estimate
    phase_started_ns: int
    phase_ended_ns: int


class _Points(msgspec.Struct, frozen=True, eq=False):
    times_h: Float64Array
    counts: Float64Array
    frames: Float64Array

    @property
    def means(self) -> Float64Array:
        return self.counts / self.frames

    @property
    def span_h(self) -> float:
        return float(self.times_h[-1] - self.times_h[0])


class _Model(NamedTuple):
    """Of one set of parameters: mean counts (N,), derivatives of their logarithms (N, 5), hours of the clock (N,)."""

    means: Float64Array
    columns: Float64Array
    clock: Float64Array


def doubling_time(series: Series, level: float = LEVEL) -> Growth | None:
    """The growth of counts, None of fewer than 8 points, of hardly any cells, or of counts that leap so that no
    growth can be fitted.

    series: in order of time; more than 48 points are summed. level: of both intervals. Raises ValueError.
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not {level}: use 0.95 for 95 %")
    few = coarse(series, MOST_POINTS)
    # A logarithm wants cells: points before the first and after the last one are no part of any phase.
    some = np.flatnonzero(few.counts > 0)
    if not len(some):
        return None
    kept = slice(int(some[0]), int(some[-1]) + 1)
    points = _Points(few.times_h[kept], few.counts[kept], few.frames[kept])
    if len(points.counts) < FEWEST_POINTS or (points.counts > 0).mean() < 0.5:
        return None
    try:
        parameters, error = _fitted(points)
    except np.linalg.LinAlgError:
        return None  # Counts without order leave nothing to be inverted; the frame still counts.
    off = float(ndtri((1 + level) / 2)) * error
    rate = Estimate(float(parameters[RATE]), float(parameters[RATE]) - off, float(parameters[RATE]) + off)
    phase_h = np.clip(parameters[[LAG, END]], points.times_h[0], points.times_h[-1])
    started, ended = (series.started_at_ns + round(h * S_PER_H * NS_PER_S) for h in phase_h.tolist())
    return Growth(_doubling(rate), rate, started, ended)


def _doubling(rate: Estimate) -> Estimate | None:
    if rate.low <= 0:
        return None
    value, low, high = (float(np.log(2)) / each for each in (rate.value, rate.high, rate.low))
    return Estimate(value, low, high)


def _fitted(points: _Points) -> tuple[Float64Array, float]:
    """(a, rate per hour, lag, end, logarithm of width) and the standard error of the rate."""
    parameters, sizes = _first(points)
    free = np.isfinite(parameters)
    model = _model(points, parameters)
    for step in range(STEPS):
        means, columns = model.means, model.columns[:, free]
        looks, response = means * points.frames, points.means / means - 1
        clock = _grown(points, parameters, model)
        if step == MEASURED:
            sizes = sizes_of(clock, means, looks, columns, response)
        whitener = np.linalg.inv(np.linalg.cholesky(covariance_of(clock, means, looks, sizes)))
        columns, left = whitener @ columns, whitener @ response
        # Only the width has a prior.
        prior = (np.flatnonzero(free) == LOG_WIDTH).astype(np.float64)
        covariance = np.linalg.inv(columns.T @ columns + np.diag(prior))
        pull = prior * (np.log(USUAL_WIDTH * points.span_h) - parameters[free])
        move = np.zeros(5)
        move[free] = covariance @ (columns.T @ left + pull)
        for share in HALVINGS:
            moved = _legal(points, parameters + share * move)
            moved_model = _model(points, moved)
            off = whitener @ ((points.means - moved_model.means) / means)
            pulled = pull - prior * (moved[free] - parameters[free])
            if off @ off + pulled @ pulled <= left @ left + pull @ pull:
                parameters, model = moved, moved_model
                break
        else:
            break
        if step > MEASURED and np.square(move[free]) @ (1 / np.diag(covariance)) < CLOSE:
            break
    return parameters, float(np.sqrt(covariance[1, 1]))


def _first(points: _Points) -> tuple[Float64Array, Sizes]:
    """Parameters to begin with, -inf or inf for what the growth does not have; and how large chance seems."""
    means = np.maximum(points.counts, 0.5) / points.frames
    looks, logs = means * points.frames, np.log(means)
    # Second differences leave looking alone: their variance is six times that of one point.
    second = np.abs(np.diff(logs, 2) * np.sqrt(looks[1:-1]))
    noise = max(float(np.median(second)) / MEDIAN_ABSOLUTE, 1e-3) ** 2 / 6
    risen = np.maximum.accumulate(logs) - logs[0]
    sizes = Sizes(OF_CYCLES, noise)
    covariance = covariance_of(risen, means, looks, sizes)
    phase, rate = likeliest(points.times_h, logs, covariance)
    level = float(np.average(logs - rate * clock_of(points.times_h, phase), weights=looks))
    width = float(np.log(phase.width_h)) if phase.width_h else -np.inf
    return np.array([level, rate, phase.lag_h, phase.end_h, width]), sizes


def _legal(points: _Points, parameters: Float64Array) -> Float64Array:
    """The nearest parameters that a phase can have, and that keep the exponential finite."""
    times_h, span_h = points.times_h, points.span_h
    _, rate, lag, end, width = parameters
    if np.isfinite(lag):
        lag = np.clip(lag, times_h[1], times_h[-4])
    if np.isfinite(end):
        end = np.clip(end, max(lag, times_h[0]) + SHORTEST * span_h, times_h[-1] + span_h)
    if np.isfinite(width):
        width = np.clip(width, np.log(0.01 * span_h), np.log(span_h))
    return np.array(
        [np.clip(parameters[A], -50, 50), np.clip(rate, -50 / span_h, 50 / span_h), lag, end, width]
    )


def _model(points: _Points, parameters: Float64Array) -> _Model:
    level, rate, lag_h, end_h, log_width = parameters
    times_h, width_h = points.times_h, np.exp(log_width)
    clock = clock_of(times_h, Phase(lag_h, end_h, width_h))
    begun = np.maximum(times_h, lag_h)
    if width_h > 0:
        away = (begun - end_h) / width_h
        speed = 1 / (1 + np.exp(np.clip(away, -500, 500)))
        widening = clock - end_h - (begun - end_h) * speed
    else:
        speed, widening = (begun < end_h).astype(np.float64), np.zeros_like(times_h)
    columns = (
        np.ones_like(times_h),
        clock,
        rate * speed * (times_h < lag_h),
        rate * (1 - speed),
        rate * widening,
    )
    means = np.exp(np.clip(level + rate * clock, -100, 100))
    return _Model(means, np.stack(columns, axis=1), clock)


def _grown(points: _Points, parameters: Float64Array, model: _Model) -> Float64Array:
    rate = max(abs(float(parameters[RATE])), LEAST_RISE / points.span_h)
    result: Float64Array = rate * (model.clock - model.clock[0])
    return result
