"""When cells grow: a clock that waits through the lag, runs through the growth phase and stops at the plateau.

On such a clock growth is a straight line: log N = a + rate x clock. It begins with a corner and ends with one, or
slows down as theta-logistic growth does (Richards, J. Exp. Bot. 10, 1959): dN/dt = r N (1 - (N/K)^theta) has the
clock end - width log(1 + exp((end - t) / width)), with width = 1 / (r theta), which runs at half its speed at `end`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from streamcount.statistics.intervals import Float64Array

# Points from one place that is tried for a corner to the next.
EVERY = 3
# A phase lasts at least this share of what was seen, and has so many points.
SHORTEST, FEWEST_POINTS = 0.15, 8
# Widths that are tried, and how long after the last frame growth may have slowed down; in shares of what was seen.
WIDTHS, AFTER = (0.05, 0.12, 0.3), (0.1, 0.3)
# A rate that changes gradually is not tried with fewer points.
FEWEST_FOR_WIDTH = 16
# By so much in chi-square each must make the fit better than without: a corner, over twice the logarithm of its
# possible places, and a width, as one more parameter (Akaike, IEEE Trans. Autom. Control 19, 1974).
CORNER, WIDTH = 12.0, 2.0


class Phase(NamedTuple):
    """lag_h: growth begins, -inf where it had begun. end_h: it ends, inf where it does not. width_h: 0 for a corner.

    Floats, or arrays that broadcast.
    """

    lag_h: ArrayLike
    end_h: ArrayLike
    width_h: ArrayLike


def clock_of(times_h: Float64Array, phase: Phase) -> Float64Array:
    """The clock at all times (N,), in hours."""
    begun = np.maximum(times_h, phase.lag_h)
    soft = np.asarray(phase.width_h) > 0
    if not soft.any():
        return np.minimum(begun, phase.end_h)
    width = np.where(soft, phase.width_h, 1.0)
    end = np.where(soft, phase.end_h, 0.0)
    slowing = end - width * np.logaddexp(0.0, (end - begun) / width)
    return np.where(soft, slowing, np.minimum(begun, phase.end_h))


def tried(times_h: Float64Array) -> tuple[Phase, Float64Array]:
    """M phases to begin with, arrays (M, 1), the first of them without corners; and the price of each (M,)."""
    first, span = times_h[0], times_h[-1] - times_h[0]
    places = times_h[EVERY : 1 - EVERY : EVERY]
    lags = np.append(-np.inf, places)
    ends = [(np.inf, 0.0), *((end, 0.0) for end in places)]
    if len(times_h) >= FEWEST_FOR_WIDTH:
        late = np.append(places[len(places) // 3 :], times_h[-1] + span * np.array(AFTER))
        ends += [(end, width * span) for width in WIDTHS for end in late]
    end, width = np.array(ends).T
    lag, end = (each.ravel() for each in np.meshgrid(lags, end, indexing="ij"))
    width = np.tile(width, len(lags))
    stops, begins = np.minimum(end, times_h[-1]), np.maximum(lag, first)
    points = np.searchsorted(times_h, stops, "right") - np.searchsorted(times_h, begins)
    long_enough = (stops - begins >= SHORTEST * span) & (points >= min(FEWEST_POINTS, len(times_h)))
    lag, end, width = lag[long_enough], end[long_enough], width[long_enough]
    price = CORNER * (np.isfinite(lag).astype(np.float64) + np.isfinite(end)) + WIDTH * (width > 0)
    return Phase(lag[:, None], end[:, None], width[:, None]), price


def likeliest(times_h: Float64Array, logs: Float64Array, covariance: Float64Array) -> tuple[Phase, float]:
    """The phase on whose clock the logarithms (N,) are nearest to a rising line, and the rate per hour.

    The first phase, that without corners, may also fall.
    """
    phases, price = tried(times_h)
    whitener = np.linalg.inv(np.linalg.cholesky(covariance))
    one, response = whitener @ np.ones(len(times_h)), whitener @ logs
    clocks = clock_of(times_h, phases) @ whitener.T
    # Least squares of two columns, for all phases at once.
    a, b, d = one @ one, clocks @ one, np.square(clocks).sum(axis=1)
    u, v = one @ response, clocks @ response
    rates = (a * v - b * u) / (a * d - b * b)
    left = response @ response - u * u / a - np.square(v - b * u / a) / (d - b * b / a)
    # Scaled to what the freest fit leaves: cells divide, and are seen, with more chance than was supposed, or less.
    spread = max(float(left.min()) / max(len(times_h) - 5, 1), 1e-9)
    worth = np.where((rates > 0) | (price == 0), left / spread + price, np.inf)
    best = int(worth.argmin())
    return Phase(*(float(np.asarray(each)[best, 0]) for each in phases)), float(rates[best])
