"""Reading results: several runs, missing parts, and files that are something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamcount.errors import SourceError
from streamcount.lineage.results import read_results
from tests.lineages import result_lines, write_lines


def test_runs_are_told_apart(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.jsonl", [*result_lines(), *result_lines("run-2")])
    with pytest.raises(SourceError, match="holds the runs run-1, run-2; choose one with --run"):
        read_results(path)
    assert read_results(path, "run-2").name == "run-2"
    assert len(read_results(path, "run-1").frames) == 12
    with pytest.raises(SourceError, match="no run run-3; it holds run-1, run-2"):
        read_results(path, "run-3")


def test_every_byte_is_told_of(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.jsonl", result_lines())
    read: list[int] = []
    read_results(path, tick=read.append)
    assert sum(read) == path.stat().st_size


def test_events_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    lines = result_lines()
    lines[3]["events"].insert(0, {"data": {"kind": "CellSang"}})
    built = read_results(write_lines(tmp_path / "r.jsonl", lines))
    assert built.unreadable == 1
    assert len(built.tracks) == 8


def without(key: str) -> str:
    line = result_lines()[0]
    del line[key]
    return json.dumps(line)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no line in it"),
        ("no json\n", "line 1 is no line of results"),
        ('{"a": 1}\n', "line 1 is no line of results"),
        (without("events"), "line 1 has no events, so no cell was followed; count again with --track"),
        (json.dumps(result_lines()[0] | {"events": []}), "line 1 has no CountsUpdated"),
    ],
)
def test_what_is_no_result_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(SourceError, match=told):
        read_results(path)
