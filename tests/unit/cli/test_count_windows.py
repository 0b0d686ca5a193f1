"""`streamcount count --window`: figures of windows of time, from files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from streamcount.errors import ExitCode
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from tests.unit.cli.test_count import Count, lines, save

FOLLOW = ("--detector", "watershed", "--track")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def film_of_simulated_cells(folder: Path, frames: int = 25) -> Path:
    settings = {"seed": 5, "modality": "fluorescence", "frames": frames, "cells": 20, "rate_hz": 1.0}
    source = SimulatedConfig.model_validate(settings).build()
    pictures = np.stack([frame.image for frame in source.frames(Run("camera", "run", lambda: 0))])
    path = folder / "film.ome.tif"
    axes = {"axes": "TYX", "TimeIncrement": 1.0, "TimeIncrementUnit": "s"}
    tifffile.imwrite(path, pictures, ome=True, metadata=axes, photometric="minisblack")
    return path


def test_windows_of_a_film_are_a_table_a_csv_and_events_of_its_lines(
    streamcount: Count, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # Else a long path is folded.
    path, written, told = film_of_simulated_cells(tmp_path), tmp_path / "w.csv", tmp_path / "r.jsonl"
    code, out, err = streamcount(
        "count", path, *FOLLOW, "--window", "10s", "--csv", written, "--output", told
    )
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(written.read_text())))
    frames = {row["window_start_ns"]: int(row["frames"]) for row in rows}
    assert sum(frames.values()) == 25
    events = [event["data"] for line in lines(told) for event in line["events"]]
    closed = [event for event in events if event["kind"] == "WindowClosed"]
    assert [str(one["window_start_ns"]) for one in closed] == list(frames)
    # The last is told when the run is over, with the last line.
    assert lines(told)[-1]["events"][-1]["data"] == closed[-1]
    assert "run-ended" in closed[-1]["reasons"]
    cells = [row for row in rows if (row["name"], row["zone"], row["class_name"]) == ("cells", "", "")]
    whole = sum(float(row["value"]) * int(row["frames"]) for row in cells)
    assert whole == pytest.approx(sum(sum(line["counts"].values()) for line in lines(told)))
    assert len([row for row in out.splitlines() if "film.ome.tif" in row]) == 1 + len(frames)
    code, out, _ = streamcount("count", path, *FOLLOW, "--window", "10s", "--csv", "-")
    assert code == 0
    assert out.encode() == written.read_bytes()


def test_a_loss_at_the_end_of_a_run_is_told_with_its_last_line(streamcount: Count, tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", 6)
    (tmp_path / "in" / "3.png").write_bytes(b"no picture")
    assert (
        streamcount("count", tmp_path / "in", *FOLLOW, "--output", tmp_path / "r.jsonl")[0] == ExitCode.INPUT
    )
    told = [[event["data"]["kind"] for event in line["events"]] for line in lines(tmp_path / "r.jsonl")]
    assert ["FramesMissing" in kinds for kinds in told] == [False, False, True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--window", "10s"], "--track"),
        (["--track", "--window", "ten"], "10s, 5m, 1h"),
        (["--track", "--window", "400d"], "366d"),
        (["--track", "--csv", "x.csv"], "--window"),
        (["--track", "--window", "10s", "--csv", "-", "--output", "-"], "standard output"),
    ],
)
def test_windows_that_cannot_be_told_are_refused(
    streamcount: Count, tmp_path: Path, options: list[str], words: str
) -> None:
    code, _, err = streamcount("count", save(tmp_path / "a.png", 4), "--detector", "watershed", *options)
    assert code == ExitCode.USAGE
    assert words in err
