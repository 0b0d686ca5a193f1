"""`streamcount lineage`, as a shell runs it, on a run made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from streamcount.errors import ExitCode
from tests.labelfilms import T, write_results
from tests.lineages import result_lines, write_lines

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, streamcount: Run) -> Run:
    monkeypatch.setenv("COLUMNS", "80")
    return streamcount


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "results.jsonl", result_lines())


def test_summary(run: Run, results: Path) -> None:
    code, out, _ = run("lineage", results)
    told = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert told[0] == "run-1: 8 cells in 12 frames, 27 sightings"
    assert "divisions 2 retracted 1, undecided 0" in told
    assert "generation 2 2" in told
    assert "family of cell 1: 5 cells in 3 generations" in told
    assert max(map(len, out.splitlines())) <= 80


def test_json(run: Run, results: Path) -> None:
    code, out, _ = run("lineage", results, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["divisions"] == {"confirmed": 2, "retracted": 1, "undecided": 0}
    assert told["largest"] == [{"cell": 1, "cells": 5, "generations": 3}]


def test_all_is_written_at_once_and_told(run: Run, results: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the `lineage` extra")
    image = tmp_path / "frame.png"
    cv2.imwrite(str(image), np.full((60, 130), 90, np.uint8))
    out = tmp_path / "out"
    code, _, err = run(
        "lineage", results, "--table", out / "cells.csv", "--ctc", out / "ctc", "--tree", out / "tree.svg",
        "--overlay", out / "paths.png", "--image", image,
    )  # fmt: skip
    assert code == 0, err
    assert "res_track.txt without masks, for there are no label images (see --masks)" in err
    assert "tree.svg: 1 family" in err
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {"cells.csv", "cells.tracks.csv", "ctc/res_track.txt", "tree.svg", "paths.png"}
    code, _, err = run("lineage", results, "--tree", out / "all.svg", "--all")
    assert "4 families" in err


def test_of_a_picture_with_channels_one_is_chosen(run: Run, results: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the `lineage` extra")
    image, paths = tmp_path / "film.ome.tif", tmp_path / "paths.png"
    pixels = np.full((2, 2, 60, 130), 90, np.uint8)
    tifffile.imwrite(image, pixels, ome=True, metadata={"axes": "TCYX"}, photometric="minisblack")
    code, _, err = run("lineage", results, "--overlay", paths, "--image", image)
    assert code == ExitCode.INPUT
    assert "choose one with --channel, or channel = in a configuration (0, 1)" in err
    assert run("lineage", results, "--overlay", paths, "--image", image, "--channel", "1")[0] == 0
    assert paths.exists()


def test_one_family(run: Run, results: Path, tmp_path: Path) -> None:
    code, out, _ = run("lineage", results, "--cell", "4", "--table", tmp_path / "t.csv", "--json")
    assert (code, json.loads(out)["cells"]) == (0, 5)
    assert (tmp_path / "t.tracks.csv").read_text().count("\n") == 6


def test_a_folder_in_the_form_of_the_challenge(run: Run, tmp_path: Path) -> None:
    tracks = [T(1, 0, "aaa"), T(2, 3, "bb", 1), T(3, 3, "cc", 1)]
    code, out, _ = run("lineage", write_results(tmp_path / "res", tracks, 5))
    assert code == 0
    assert out.startswith("res: 3 cells in 5 frames, 7 sightings")
    code, *_ = run("lineage", tmp_path / "res", "--ctc", tmp_path / "again")
    assert (code, len(list((tmp_path / "again").glob("mask*.tif")))) == (0, 5)


def test_what_count_writes_is_read(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    for frame in range(5):
        image = np.zeros((60, 80), np.uint16)
        image[10:20, 10 + frame : 20 + frame] = 1
        image[40:50, 50:60] = 2
        cv2.imwrite(str(folder / f"{frame}.png"), image)
    options = (
        "--detector",
        "labels",
        "--track",
        "--output",
        tmp_path / "r.jsonl",
        "--masks",
        tmp_path / "masks",
    )
    assert run("count", folder, *options)[0] == 0
    code, _, err = run(
        "lineage", tmp_path / "r.jsonl", "--masks", tmp_path / "masks", "--ctc", tmp_path / "ctc"
    )
    assert code == 0, err
    # The first two sightings of each came before it could be trusted, and have no id in results.
    assert (tmp_path / "ctc" / "res_track.txt").read_text() == "1 2 4 0\n2 2 4 0\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["gone.jsonl"], ExitCode.INPUT, "there is no such file or folder"),
        (["results.jsonl", "--run", "other"], ExitCode.INPUT, "no run other; it holds run-1"),
        (["results.jsonl", "--cell", "99"], ExitCode.INPUT, "no confirmed cell 99"),
        (["results.jsonl", "--table", "t.xlsx"], ExitCode.CONFIGURATION, "a table is .parquet or .csv"),
        (["results.jsonl", "--tree", "t.gif"], ExitCode.CONFIGURATION, "a picture is .png or .svg"),
        (["results.jsonl", "--camera", "scope-1"], ExitCode.USAGE, "give either a file or folder"),
        (["--run", "a"], ExitCode.USAGE, "give either a file or folder"),
        (["results.jsonl", "--masks", "m"], ExitCode.USAGE, "goes with --ctc"),
        (["results.jsonl", "--image", "i.png"], ExitCode.USAGE, "goes with --overlay"),
        (["results.jsonl", "--channel", "1"], ExitCode.USAGE, "goes with --image"),
        ([".", "--ctc", "x"], ExitCode.INPUT, "neither res_track.txt nor man_track.txt"),
        ([".", "--run", "x"], ExitCode.USAGE, "a folder holds one run"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.chdir(results.parent)
    found, out, err = run("lineage", *arguments)
    assert (found, out) == (code, "")
    assert told in " ".join(err.replace("│", " ").split())


def test_a_run_without_divisions_has_no_tree(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the `lineage` extra")
    folder = write_results(tmp_path / "res", [T(1, 0, "aaa")], 3)
    code, _, err = run("lineage", folder, "--tree", tmp_path / "tree.png")
    assert code == ExitCode.INPUT
    assert "no cell has divided" in err
    assert run("lineage", folder, "--tree", tmp_path / "tree.png", "--all")[0] == 0


def test_help_teaches_by_example(run: Run) -> None:
    code, out, _ = run("lineage", "--help")
    assert code == 0
    assert "streamcount lineage --camera scope-1 --table cells.parquet" in " ".join(out.split())
    assert run("lineage")[1].strip() == out.strip()
