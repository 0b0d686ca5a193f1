"""The table of `streamcount count`."""

from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from streamcount.cli._tables import Tally, count_table

SHAPES = ("normal", "target-cell", "schistocyte", "elliptocyte", "stomatocyte", "burr-cell", "spherocyte")


def printed(tallies: list[Tally], class_names: tuple[str, ...]) -> list[str]:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(count_table([("run", tallies)], class_names))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_many_classes_of_one_picture_stand_below_each_other() -> None:
    tally = Tally("smears/a-picture.jpg")
    tally.add({"normal": 31, "target-cell": 4})
    lines = printed([tally], SHAPES)
    words = [line.split() for line in lines]
    assert ["target-cell", "4"] in words
    assert ["total", "35"] in words
    assert ["smears/a-picture.jpg"] in words


def test_of_several_pictures_no_heading_is_cut_short() -> None:
    tallies = [Tally("a.jpg", 1, Counter(normal=3)), Tally("b.jpg", 1, Counter(normal=5))]
    assert "…" not in "".join(printed(tallies, SHAPES))
