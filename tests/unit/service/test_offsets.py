"""The guard lets a partition go back, and never ahead."""

from __future__ import annotations

import pytest

from streamcount.service.worker.offsets import HoleError, OffsetGuard


def test_takes_offsets_one_after_another_and_again_after_going_back() -> None:
    guard = OffsetGuard()
    guard.resume("frames", 0, 5)
    for offset in (5, 6, 7, 5, 6, 7, 8):
        guard.check("frames", 0, offset)
    assert guard.position("frames", 0) == 9
    assert guard.holes == 0


def test_ends_where_records_were_passed_over() -> None:
    guard = OffsetGuard()
    guard.resume("frames", 0, 5)
    guard.check("frames", 0, 5)
    with pytest.raises(HoleError, match="offset 9 came where 6 was due"):
        guard.check("frames", 0, 9)
    assert guard.holes == 1


def test_does_not_wait_for_what_the_broker_has_deleted() -> None:
    guard = OffsetGuard()
    guard.resume("frames", 0, 0)
    guard.check("frames", 0, 1000, earliest=1000)
    assert guard.position("frames", 0) == 1001


def test_a_first_record_ahead_of_what_was_committed_is_a_hole() -> None:
    guard = OffsetGuard()
    guard.resume("frames", 3, 100)
    with pytest.raises(HoleError):
        guard.check("frames", 3, 101)


def test_knows_nothing_of_partitions_that_were_assigned_anew() -> None:
    guard = OffsetGuard()
    guard.resume("frames", 0, 5)
    guard.forget_all()
    assert not guard.knows("frames", 0)
