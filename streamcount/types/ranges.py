"""Many short ranges of numbers written one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def each_in(
    firsts: NDArray[np.integer], lengths: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Whose a number is, and the number, of N ranges: firsts[i], firsts[i] + 1, ... of each, lengths[i] (N,) many."""
    ends = np.cumsum(lengths)
    whose = np.repeat(np.arange(len(lengths)), lengths)
    return whose, np.arange(len(whose)) + np.repeat(firsts - ends + lengths, lengths)
