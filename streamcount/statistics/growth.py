"""Doubling time: a log-linear fit over the growth phase only.

The phase is where counts neither wait (lag) nor have stopped (plateau). Three straight pieces (level, rising, level)
are fitted to the logarithms at all pairs of corners at once. A corner is believed where it makes the fit better by
more than a search among so many would by chance. Growth that fades slowly has no corner; there the rising piece
is cut at its end while a parabola fits better than a line. The rate and its error are those of `fit_slope`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from streamcount.statistics.intervals import LEVEL, Estimate, Float64Array
from streamcount.statistics.series import NS_PER_S, S_PER_H, Series, coarse
from streamcount.statistics.slope import Slope, fit_slope

MOST_POINTS = 64
# Points that a phase has at least, of the coarse ones.
FEWEST_POINTS = 8
# By so much in chi-square each corner must make the fit better: over twice the logarithm of its possible places.
CORNER = 12.0
# So many standard errors of bend are more than chance; each cut takes this share of the phase away.
BENT, CUT, MOST_CUTS = 2.0, 1 / 8, 8
MEDIAN_ABSOLUTE = 0.6745


class Growth(NamedTuple):
    """How fast the cells of a camera multiply.

    doubling_time_h: None where the interval of the rate includes 0 or less: growth is not told from none.
    rate_per_h: of the mean count, in natural logarithms; negative where cells get fewer.
    phase_started_ns, phase_ended_ns: of the growth phase that was fitted, acquisition times.
    """

    doubling_time_h: Estimate | None
    rate_per_h: Estimate
    phase_started_ns: int
    phase_ended_ns: int


class _Points(msgspec.Struct, frozen=True, eq=False):
    times_h: Float64Array
    counts: Float64Array
    frames: Float64Array

    def within(self, start: int, stop: int) -> _Points:
        return _Points(self.times_h[start:stop], self.counts[start:stop], self.frames[start:stop])

    def __len__(self) -> int:
        return len(self.times_h)


def doubling_time(series: Series, level: float = LEVEL) -> Growth | None:
    """The growth of counts, None of fewer than 8 points or of a phase with hardly any cells.

    series: in order of time; more than 64 points are summed. level: of both intervals. Raises ValueError.
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not {level}: use 0.95 for 95 %")
    few = coarse(series, MOST_POINTS)
    points = _Points(few.times_h, few.counts, few.frames)
    # A logarithm wants cells: points before the first and after the last one are no part of any phase.
    some = np.flatnonzero(points.counts > 0)
    if not len(some):
        return None
    points = points.within(int(some[0]), int(some[-1]) + 1)
    if len(points) < FEWEST_POINTS or (points.counts > 0).mean() < 0.5:
        return None
    phase = points.within(*_rising(points))
    slope = fit_slope(phase.times_h, phase.counts, phase.frames)
    phase, slope = _straight(phase, slope)
    off = float(ndtri((1 + level) / 2)) * slope.error_per_h
    rate = Estimate(slope.rate_per_h, slope.rate_per_h - off, slope.rate_per_h + off)
    started, ended = (series.started_at_ns + round(h * S_PER_H * NS_PER_S) for h in phase.times_h[[0, -1]])
    return Growth(_doubling(rate), rate, started, ended)


def _doubling(rate: Estimate) -> Estimate | None:
    if rate.low <= 0:
        return None
    value, low, high = (float(np.log(2)) / each for each in (rate.value, rate.high, rate.low))
    return Estimate(value, low, high)


def _rising(points: _Points) -> tuple[int, int]:
    """[start, stop) of the points between the corners, all of them where no corner is believed."""
    count, times = len(points), points.times_h
    logs = np.log(np.maximum(points.counts, 0.5) / points.frames)
    starts, stops = np.triu_indices(count, FEWEST_POINTS - 1)
    clipped = np.clip(times, times[starts][:, None], times[stops][:, None])
    whitener = _whitener(points, logs)
    one, response, rising = whitener @ np.ones(count), whitener @ logs, clipped @ whitener.T
    # Least squares of two columns, for all pairs of corners at once.
    a, b, d = one @ one, rising @ one, np.square(rising).sum(axis=1)
    u, v = one @ response, rising @ response
    rates = (a * v - b * u) / (a * d - b * b)
    left = response @ response - u * u / a - np.square(v - b * u / a) / (d - b * b / a)
    corners = (starts > 0).astype(np.float64) + (stops < count - 1)
    # Scaled to what the freest fit leaves, since cells divide with less or more chance than the whitener supposes.
    spread = max(float(left.min()) / max(count - 4, 1), 1e-9)
    worth = left / spread + CORNER * corners
    whole = int(np.flatnonzero(corners == 0)[0])
    best = int(np.where((rates > 0) | (corners == 0), worth, np.inf).argmin())
    best = best if rates[best] > 0 else whole
    return int(starts[best]), int(stops[best]) + 1


def _whitener(points: _Points, logs: Float64Array) -> Float64Array:
    """(N, N), what makes the errors of the logarithms independent: those of a birth process, and of looking."""
    means = np.maximum(points.counts, 0.5) / points.frames
    risen = np.maximum(np.diff(np.maximum.accumulate(logs), prepend=logs[0]), 0.0)
    born = np.cumsum(risen / means)
    # Second differences leave looking alone: their variance is six times that of one point.
    second = np.abs(np.diff(logs, 2) * np.sqrt(points.counts[1:-1].clip(0.5)))
    looking = max(float(np.median(second)) / MEDIAN_ABSOLUTE, 1e-3) ** 2 / 6
    errors = np.minimum.outer(born, born) + np.diag(looking / np.maximum(points.counts, 0.5))
    result: Float64Array = np.linalg.inv(np.linalg.cholesky(errors))
    return result


def _straight(phase: _Points, slope: Slope) -> tuple[_Points, Slope]:
    """The phase without its end where growth fades."""
    for _ in range(MOST_CUTS):
        kept = len(phase) - max(1, int(CUT * len(phase)))
        if slope.bend > -BENT or slope.rate_per_h <= 0 or kept < FEWEST_POINTS:
            break
        phase = phase.within(0, kept)
        slope = fit_slope(phase.times_h, phase.counts, phase.frames)
    return phase, slope
