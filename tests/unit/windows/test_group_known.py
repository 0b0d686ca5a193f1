"""Windows that were told are known exactly, in any order, in little memory."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from streamcount.windows.groups.known import KEPT_RUNS, is_told, with_told


def after(windows):
    told = ()
    for start, length in windows:
        told = with_told(told, start, start + length)
    return told


@given(windows=st.lists(st.tuples(st.integers(-60, 60), st.sampled_from([3, 10])), max_size=80))
def test_those_are_known_that_were_told_and_no_others(windows):
    told = after(windows)
    assert len(told) <= KEPT_RUNS
    for start in range(-65, 65):
        for length in (3, 10):
            assert is_told(told, start, start + length) == ((start, length) in windows)


def test_regular_windows_take_one_run_for_each_stretch_whatever_their_order():
    minutes = [(60 * number, 60) for number in (*range(2000), *range(2010, 4000))]
    assert len(after(minutes)) == 2
    assert len(after(random.Random(3).sample(minutes[1900:2100], 200))) == 2
    assert len(after([(10 * number, 80) for number in range(3000)])) == 1


def test_where_there_are_too_many_the_narrowest_gap_is_closed_and_another_time_stays_unknown():
    lonely = [(60 * number * number, 60) for number in range(20, 20 + KEPT_RUNS + 5)]
    told = after([(0, 60), *lonely])
    assert len(told) <= KEPT_RUNS
    assert all(is_told(told, start, start + 60) for start, _ in lonely)
    assert is_told(told, lonely[0][0] + 60, lonely[0][0] + 120)
    assert is_told(told, 0, 60)
    assert not is_told(told, 60, 120)
    assert not is_told(told, lonely[-1][0] - 60, lonely[-1][0])
    lengths = after([(0, length) for length in range(1, KEPT_RUNS + 3)])
    assert len(lengths) == KEPT_RUNS
    assert is_told(lengths, 0, KEPT_RUNS + 2)
