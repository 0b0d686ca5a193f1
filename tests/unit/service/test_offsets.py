"""The guard lets a partition go back, and never ahead."""

from __future__ import annotations

import pytest

from streamcount.service.worker.offsets import HoleError, OffsetGuard


def guard_at(offset: int) -> OffsetGuard:
    guard = OffsetGuard()
    guard.resume("frames", 0, offset)
    return guard


def test_takes_offsets_one_after_another_and_again_after_going_back() -> None:
    guard = guard_at(5)
    for offset in (5, 6, 7, 5, 6, 7, 8):
        guard.take("frames", 0, offset)
    assert guard.due("frames", 0) == 9


def test_it_has_begun_with_the_first_record_and_not_with_the_assignment() -> None:
    guard = guard_at(5)
    assert not guard.has_begun
    guard.take("frames", 0, 5)
    assert guard.has_begun
    guard.forget_all()
    assert guard.has_begun


def test_ends_where_records_were_passed_over() -> None:
    guard = guard_at(5)
    guard.take("frames", 0, 5)
    with pytest.raises(HoleError, match="offset 9 came where 6 was due"):
        guard.take("frames", 0, 9, first_existing=6)
    with pytest.raises(HoleError):
        guard.take("frames", 0, 9, first_existing=None)


def test_does_not_wait_for_what_the_broker_does_not_have() -> None:
    guard = guard_at(0)
    guard.take("frames", 0, 1000, first_existing=1000)
    assert guard.due("frames", 0) == 1001


def test_a_first_record_ahead_of_what_was_committed_is_a_hole() -> None:
    with pytest.raises(HoleError):
        guard_at(100).take("frames", 0, 101, first_existing=100)


def test_knows_nothing_of_partitions_that_were_assigned_anew() -> None:
    guard = guard_at(5)
    guard.forget_all()
    assert guard.due("frames", 0) is None
