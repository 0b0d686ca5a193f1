"""Rows of single images: which order is a shell's, which frames lack, and what following makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamcount.cli._rows import by_numbers, frame_numbers, gap_remark
from streamcount.errors import ExitCode

Count = Callable[..., tuple[int, str, str]]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch, streamcount: Count) -> Count:
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: streamcount("count", "--detector", "labels", *arguments)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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


def masks_in(folder: Path, *numbers: int) -> list[Path]:
    """Label images tNUMBER.png of two cells that go 3 px to the right with each number."""
    folder.mkdir()
    paths = [folder / f"t{number}.png" for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        image = np.zeros((60, 160), np.uint16)
        image[10:20, 3 * number : 3 * number + 10], image[40:50, 3 * number : 3 * number + 10] = 7, 9
        assert cv2.imwrite(str(path), image)
    return paths


def test_images_in_a_shells_order_are_taken_by_their_numbers(count: Count, tmp_path: Path) -> None:
    paths = masks_in(tmp_path / "in", *range(24))
    words = ("--track", "--output", tmp_path / "r.jsonl")
    code, _, err = count(*sorted(paths), *words)
    assert code == 0
    assert "given as t1.png, t10.png, t11.png are taken by their numbers, t1.png, t2.png, t3.png" in err
    assert "--keep-order" in err
    found = lines(tmp_path / "r.jsonl")
    assert [Path(line["source"]).name for line in found] == [path.name for path in paths]
    assert {cell["track_id"] for line in found for cell in line["detections"]} == {None, 1, 2}
    for given, more in ((sorted(paths), ["--keep-order"]), (paths[::-1], [])):
        code, _, err = count(*given, *words, *more)
        assert (code, err) == (0, "")
        assert [line["source"] for line in lines(tmp_path / "r.jsonl")] == [str(path) for path in given]


def test_frames_that_lack_between_numbered_images_are_missing_frames(count: Count, tmp_path: Path) -> None:
    masks_in(tmp_path / "in", 3, 4, 5, 6, 8, 9, 10)
    words = (tmp_path / "in", "--output", tmp_path / "r.jsonl")
    code, _, err = count(*words, "--track")
    assert code == 0
    assert "1 between t6.png and t8.png" in err
    told = [event["data"] for line in lines(tmp_path / "r.jsonl") for event in line["events"]]
    assert [(e["sequence"], e["last_sequence"]) for e in told if e["kind"] == "FramesMissing"] == [(4, 4)]
    assert count(*words)[2] == "", "without --track it makes no difference"


def test_the_tracker_can_be_told(count: Count, tmp_path: Path) -> None:
    folder = masks_in(tmp_path / "in", *range(6))[0].parent
    words = (folder, "--track", "--output", tmp_path / "r.jsonl")
    assert count(*words, "--tracker", "confirm_hits=5", "--tracker", "max_misses=1")[0] == 0
    ids = [{cell["track_id"] for cell in line["detections"]} for line in lines(tmp_path / "r.jsonl")]
    assert ids == [{None}] * 4 + [{1, 2}] * 2
    for wrong, told in (
        ("confirm_hit=5", ["did you mean 'confirm_hits'", "max_misses"]),
        ("confirm_hits=0", ["confirm_hits = 0", "greater than or equal to 1"]),
        ("confirm_hits", ["KEY=VALUE"]),
        ("kind=kalman", ["no key 'kind'"]),
    ):
        code, _, err = count(*words, "--tracker", wrong)
        assert code == ExitCode.USAGE
        assert all(word in " ".join(err.replace("│", " ").split()) for word in told), err
