"""Records of several partitions, in the order of their time."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from streamcount.service.groups.merging import InTime


def records(partition, times):
    return [SimpleNamespace(partition=partition, offset=n, timestamp=at) for n, at in enumerate(times)]


def taken(merged, behind=(), most=100):
    return [(one.partition, one.timestamp) for one in merged.take(behind, most)]


def test_none_runs_ahead_of_one_of_which_more_is_to_come():
    merged = InTime()
    merged.add(0, records(0, [1, 4, 9]))
    merged.add(1, records(1, [2, 3]))
    assert taken(merged, behind=[0, 1]) == [(0, 1), (1, 2), (1, 3)]
    assert (merged.waiting(0), merged.waiting(1)) == (2, 0)
    assert taken(merged, behind=[0, 1]) == []
    # The other is read to its end, and nothing is waited for.
    assert taken(merged, behind=[0]) == [(0, 4), (0, 9)]
    assert taken(merged, behind=[0]) == []


def test_no_more_are_taken_than_asked_for():
    merged = InTime()
    merged.add(0, records(0, range(5)))
    assert [at for _, at in taken(merged, most=2)] == [0, 1]
    assert [at for _, at in taken(merged)] == [2, 3, 4]


@given(st.lists(st.lists(st.integers(0, 50)), min_size=1, max_size=4), st.integers(1, 5))
def test_each_comes_once_in_its_partitions_order_and_all_in_that_of_time_where_partitions_are(times, most):
    merged, found = InTime(), []
    for partition, each in enumerate(times):
        merged.add(partition, records(partition, sorted(each)))
    while more := list(merged.take((), most)):
        found += more
    assert [one.timestamp for one in found] == sorted(at for each in times for at in each)
    for partition in range(len(times)):
        assert [one.offset for one in found if one.partition == partition] == list(
            range(len(times[partition]))
        )
