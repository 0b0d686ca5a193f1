"""Confidence intervals of counts and fractions: what another sample of the same specimen could have shown.

Counts are Poisson: cells lie in a specimen independently of each other, and a field is a sample of it. Fractions are
binomial. An interval tells the error of sampling and nothing else: not what the detector misses or invents, not a
chamber that is deeper than it says.

Two rules for counts. "exact" (Garwood, Biometrika 28, 1936) never covers less than its level, so it covers more,
since a count is a whole number. "mid-p" (Lancaster, J. Am. Stat. Assoc. 56, 1961) takes half of the chance of
what was seen for more extreme; it covers its level on average, and less at some true means. docs/units.md has
the figures."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array: TypeAlias = NDArray[np.float64]
Numbers = TypeVar("Numbers", float, Float64Array)
CountRule: TypeAlias = Literal["exact", "mid-p"]

LEVEL = 0.95
# Newton's steps from the mean of the two quantiles; three give 1e-9 at every count from 0 to 1e6.
STEPS = 5


class Estimate(NamedTuple):
    """A figure and its confidence interval [low, high], in the figure's own unit."""

    value: float
    low: float
    high: float


def poisson_interval(
    count: Numbers, level: float = LEVEL, *, exposure: float = 1.0, rule: CountRule = "exact"
) -> tuple[Numbers, Numbers]:
    """(low, high) of the mean that a count is a sample of, or of a rate where there is an exposure.

    count: one, or an array of any shape; not negative. level: within (0, 1). exposure: what the count is divided by,
    such as an area, a volume or a time. Raises ValueError.
    """
    if not exposure > 0:
        raise ValueError(f"exposure must be above 0, not {exposure}")
    low, high = weighted_poisson_interval(count, count, 1.0, level, rule=rule)
    return low / exposure, high / exposure


def weighted_poisson_interval(
    total: Numbers, squares: Numbers, largest: float, level: float = LEVEL, *, rule: CountRule = "exact"
) -> tuple[Numbers, Numbers]:
    """(low, high) of the mean of a sum of weights, of a Poisson number of cells that each bring their own weight.

    total: the sum of the weights. squares: the sum of their squares. largest: the most that one more cell could have
    brought. Weights of 1 give the interval of a plain count. The gamma interval of Fay and Feuer (Stat. Med. 16,
    1997, eq. 3 and 4), and with half of each its mid-P form (Fay and Kim, Biom. J. 59, 2017). Raises ValueError.
    """
    _check(level, total, squares)
    if not largest > 0:
        raise ValueError(f"largest must be above 0, not {largest}")
    low, high = _gamma_bounds(total, squares, largest, (1 - level) / 2, rule)
    return low, high


def wilson_interval(part: Numbers, whole: Numbers, level: float = LEVEL) -> tuple[Numbers, Numbers]:
    """(low, high) of the fraction that `part` of `whole` different cells is a sample of; (0, 1) of no cells.

    The score interval of Wilson (J. Am. Stat. Assoc. 22, 1927). Both may be arrays that broadcast, and need not be
    whole numbers. Raises ValueError where part is not within 0 and whole.
    """
    from scipy.special import ndtri

    _check(level, part, whole)
    if np.any(np.asarray(part) > np.asarray(whole)):
        raise ValueError("a part is larger than its whole")
    z2 = float(ndtri((1 + level) / 2)) ** 2
    middle = (part + z2 / 2) / (whole + z2)
    # The root is of p (1 - p) n + z2 / 4, written so that no cells at all divide by nothing.
    spread = np.sqrt(z2 * (_safe_ratio(part * (whole - part), whole) + z2 / 4)) / (whole + z2)
    low: Any = np.maximum(middle - spread, 0.0)
    high: Any = np.minimum(middle + spread, 1.0)
    return low, high


def mean_interval(
    mean: float, variance: float, number: float, level: float = LEVEL
) -> tuple[float, float] | None:
    """(low, high) of the mean of what is not negative, by a sample's mean and variance; None of fewer than two.

    number: of independent ones; it need not be whole. Student's interval (Biometrika 6, 1908, 1). variance: the mean
    squared deviation, which is of number - 1 degrees of freedom. Raises ValueError.
    """
    from scipy.special import stdtrit

    _check(level, mean, variance, number)
    if number < 2:
        return None
    spread = float(stdtrit(number - 1, (1 + level) / 2)) * (variance / (number - 1)) ** 0.5
    return max(mean - spread, 0.0), mean + spread


def _check(level: float, *numbers: ArrayLike) -> None:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not {level}: use 0.95 for 95 %")
    for each in numbers:
        values = np.asarray(each, np.float64)
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"counts are finite and not negative, unlike {each!r}")


def _safe_ratio(numerator: ArrayLike, denominator: ArrayLike) -> Any:
    denominator = np.asarray(denominator, np.float64)
    return (np.asarray(numerator, np.float64) / np.where(denominator > 0, denominator, 1.0))[()]


def _gamma_bounds(total: ArrayLike, squares: ArrayLike, largest: float, tail: float, rule: CountRule) -> Any:
    """Quantiles of the two gamma distributions, or of their equal mixture."""
    from scipy.special import gammaincinv

    total, squares = np.asarray(total, np.float64), np.asarray(squares, np.float64)
    some = total > 0
    # Where nothing was counted the lower distribution is the point 0; 1 stands in for what has no shape.
    scale = np.where(some, _safe_ratio(squares, total), 1.0)
    shape = np.where(some, _safe_ratio(np.square(total), squares), 1.0)
    next_scale = (squares + largest**2) / (total + largest)
    next_shape = np.square(total + largest) / (squares + largest**2)
    bounds = []
    for probability in (tail, 1 - tail):
        below = np.where(some, scale * gammaincinv(shape, probability), 0.0)
        above = next_scale * gammaincinv(next_shape, probability)
        if rule == "mid-p":
            pair = (below, above)
            mixed = _mixture_quantile(pair, (shape, next_shape), (scale, next_scale), probability)
            # Of nothing counted, half of the mixture is the point 0.
            alone = next_scale * gammaincinv(next_shape, max(2 * probability - 1, 0.0))
            bounds.append(np.where(some, mixed, alone)[()])
        else:
            bounds.append((below if probability < 0.5 else above)[()])
    return bounds


def _mixture_quantile(
    bounds: tuple[Float64Array, Float64Array],
    shapes: tuple[Float64Array, Float64Array],
    scales: tuple[Float64Array, Float64Array],
    probability: float,
) -> Float64Array:
    """Quantile of half of each of two gamma distributions, which lies between their quantiles `bounds`."""
    from scipy.special import gammainc, gammaln, xlogy

    least, most = np.minimum(*bounds), np.maximum(*bounds)
    place = (least + most) / 2
    for _ in range(STEPS):
        reached, density = -probability * np.ones_like(place), np.zeros_like(place)
        for shape, scale in zip(shapes, scales, strict=True):
            at = place / scale
            reached += 0.5 * gammainc(shape, at)
            density += 0.5 * np.exp(xlogy(shape - 1, at) - at - gammaln(shape)) / scale
        place = np.clip(place - reached / np.maximum(density, 1e-300), least, most)
    return place
