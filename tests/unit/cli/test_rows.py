"""Rows of single images: which order is a shell's, and which frames lack."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamcount.cli._rows import by_numbers, frame_numbers, gap_remark


def paths(names: str) -> list[Path]:
    return [Path(name) for name in names.split()]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("t0.png t1.png t10.png t2.png", "t0.png t1.png t2.png t10.png"),
        # As older shells sort in most languages: the dot is passed over, so 10 comes before 1.
        ("t10.png t1.png t2.png", "t1.png t2.png t10.png"),
        ("a_1_c.png a_10_c.png A_2_c.png", "a_1_c.png A_2_c.png a_10_c.png"),
        ("t2.png t10.png t1.png", "t2.png t10.png t1.png"),
        ("t9.png t10.png t11.png", "t9.png t10.png t11.png"),
        ("t001.png t002.png t010.png", "t001.png t002.png t010.png"),
        ("B.png a.png", "B.png a.png"),
        ("a/t1.png a/t10.png a/t2.png b/t1.png", "a/t1.png a/t2.png a/t10.png b/t1.png"),
        ("b/t1.png b/t10.png b/t2.png a/t0.png", "b/t1.png b/t2.png b/t10.png a/t0.png"),
        ("p1/a.png p10/a.png p2/a.png", "p1/a.png p2/a.png p10/a.png"),
        ("a/t0.png b/t0.png a/t1.png", "a/t0.png b/t0.png a/t1.png"),
    ],
)
def test_only_an_order_that_a_shell_makes_is_changed(given: str, taken: str) -> None:
    assert by_numbers(paths(given)) == paths(taken)


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        ("t000.png t001.png t003.png", [0, 1, 2]),  # either step may be the usual one
        ("t0.png t1.png t2.png t4.png t5.png", [0, 1, 2, 4, 5]),
        ("t0.png t5.png t10.png t20.png t25.png", [0, 1, 2, 4, 5]),
        ("e1_t7_ch2.tif e1_t8_ch2.tif e1_t9_ch2.tif e1_t11_ch2.tif", [0, 1, 2, 4]),
        ("t0.png t1.png t2.png t900.png", [0, 1, 2, 3]),
        ("img3.png img17.png img18.png img40.png", [0, 1, 2, 3]),
        ("t2.png t1.png t0.png", [0, 1, 2]),
        ("a1t1.png a1t2.png a2t1.png a2t2.png", [0, 1, 2, 3]),
        ("a.png b.png", [0, 1]),
        ("one.png", [0]),
    ],
)
def test_numbers_tell_the_frames_only_where_they_are_regular(names: str, frames: list[int]) -> None:
    assert frame_numbers(paths(names)) == frames


def test_gaps_are_named() -> None:
    row = paths("t0.png t1.png t2.png t4.png t5.png t8.png t9.png t10.png t12.png t13.png t15.png t16.png")
    told = gap_remark(row, frame_numbers(row))
    assert told is not None
    assert "1 between t2.png and t4.png; 2 between t5.png and t8.png" in told
    assert "and 1 more gaps" in told
    assert gap_remark(row[:3], [0, 1, 2]) is None
