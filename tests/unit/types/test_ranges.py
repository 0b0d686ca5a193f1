"""Many short ranges of numbers in one go."""

from __future__ import annotations

import numpy as np

from streamcount.types.ranges import each_in


def test_ranges_follow_each_other_and_empty_ones_give_nothing() -> None:
    whose, numbers = each_in(np.array([5, 0, 7]), np.array([2, 0, 3]))
    assert whose.tolist() == [0, 0, 2, 2, 2]
    assert numbers.tolist() == [5, 6, 7, 8, 9]
    nothing = np.empty(0, np.int64)
    assert [part.tolist() for part in each_in(nothing, nothing)] == [[], []]
