"""Numbers with their limits, for a reader."""

from __future__ import annotations

import math

# A limit so much smaller than the other is nothing but the rounding of a computation.
_NOISE = 1e-9


def limits(low: float, high: float) -> str:
    """Both limits, to two digits of the way between them: "4.2–4.9", "0–3.9"."""
    low, high = without_noise(low, high), without_noise(high, low)
    decimals = 1 - math.floor(math.log10(abs(high - low))) if high != low else 4
    return "–".join(f"{round(limit, decimals):.10g}" for limit in (low, high))


def without_noise(limit: float, other: float) -> float:
    """One limit; 0 where beside the other it is nothing."""
    return 0.0 if abs(limit) < _NOISE * abs(other) else limit
