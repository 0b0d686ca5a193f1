"""Tables and pictures of a run."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.errors import ConfigurationError, SourceError
from streamcount.lineage.choices import Axis, Colour
from streamcount.lineage.layout import Clock, lay_out, spans
from streamcount.lineage.model import Lineage, families
from streamcount.lineage.paths import write_paths
from streamcount.lineage.results import read_results
from streamcount.lineage.tables import write_tables
from streamcount.lineage.tree import write_tree
from tests.lineages import REASON, STEP_NS, result_lines, write_lines


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return read_results(write_lines(tmp_path / "results.jsonl", result_lines()))


def test_csv(lineage: Lineage, tmp_path: Path) -> None:
    points, tracks = write_tables(lineage, tmp_path / "new" / "cells.csv")
    assert tracks.name == "cells.tracks.csv"
    with points.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(lineage.points)
    assert rows[0] == {
        "track_id": "1", "root_id": "1", "frame": "2", "time_ns": str(2 * STEP_NS), "y_px": "20.0", "x_px": "30.0",
        "area_px": "64.0", "class": "round",
    }  # fmt: skip
    with tracks.open(newline="") as file:
        by_id = {row["track_id"]: row for row in csv.DictReader(file)}
    assert by_id["2"]["daughter_ids"] == "4 5"
    assert (by_id["5"]["fate"], by_id["5"]["reason"], by_id["5"]["root_id"]) == ("died", REASON, "1")


def test_parquet_says_the_same(lineage: Lineage, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the `lineage` extra")
    points, tracks = write_tables(lineage, tmp_path / "cells.parquet")
    told = parquet.read_table(points)
    assert told.column("track_id").to_pylist() == lineage.points.track_ids.tolist()
    assert told.column("area_px").to_pylist()[0] == 64.0
    cells = parquet.read_table(tracks).to_pylist()
    assert cells[0]["daughter_ids"] == [2, 3]
    assert [cell["fate"] for cell in cells] == [track.fate for track in lineage.tracks]
    # A run without a cell has tables of the same columns and types.
    write_tables(lineage.only([]), tmp_path / "none.parquet")
    assert parquet.read_schema(tmp_path / "none.parquet").equals(parquet.read_schema(points))


def test_tables_of_other_names_are_refused(
    lineage: Lineage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"\.parquet or \.csv"):
        write_tables(lineage, tmp_path / "cells.xlsx")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ConfigurationError, match=r"pip install 'streamcount\[parquet\]'; CSV needs nothing more"
    ):
        write_tables(lineage, tmp_path / "cells.parquet")


def test_lines_do_not_cross_and_mothers_stand_amid_their_daughters(lineage: Lineage) -> None:
    places = {place.track.track_id: place for place in lay_out(families(lineage))}
    assert [places[track_id].x for track_id in (4, 5, 3)] == [0, 1, 2]
    assert (places[2].x, places[1].x) == (0.5, 1.25)
    assert (places[1].fork, places[2].fork, places[3].fork) == (4, 8, None)
    assert (places[2].from_fork, places[6].from_fork) == (4, None)
    assert places[6].x > places[3].x + 1


def test_the_axis_of_time(lineage: Lineage) -> None:
    frames = Clock(lineage, Axis.frame)
    assert (frames.label, frames([4]).tolist()) == ("frame", [4])
    times = Clock(lineage, Axis.time)
    assert (times.label, times([0, 3, 11]).tolist()) == ("time, min", [0, 3, 11])


def test_spans() -> None:
    assert spans(np.array([2, 3, 5, 8, 9])) == [(2, 3), (5, 5), (8, 9)]
    assert spans(np.empty(0, np.int64)) == []


def test_trees_are_drawn(lineage: Lineage, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the `lineage` extra")
    everyone = families(lineage)
    write_tree(lineage, everyone, tmp_path / "tree.svg", Axis.time)
    text = (tmp_path / "tree.svg").read_text()
    # Matplotlib draws letters as shapes, and keeps the text beside them.
    told = set(re.findall(r"<!-- (.*?) -->", text))
    assert {"run-1: 4 families, 8 cells, 2 divisions", "time, min", "1", "4", "left the view", "died"} <= told
    assert {"round", "odd"} <= told
    write_tree(lineage, everyone[:1], tmp_path / "tree.png", Axis.frame, Colour.generation)
    assert cv2.imread(str(tmp_path / "tree.png")).std() > 5


def test_many_lines_are_drawn_without_names(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the `lineage` extra")
    from streamcount.lineage.build import LineageBuilder
    from streamcount.lineage.model import Shown

    builder = LineageBuilder("many")
    builder.frame(Shown(0, 0))
    builder.frame(Shown(9, 0))
    for track_id in range(1, 400):
        builder.confirm(track_id)
    many = builder.build()
    write_tree(many, families(many), tmp_path / "tree.svg", Axis.time)
    told = set(re.findall(r"<!-- (.*?) -->", (tmp_path / "tree.svg").read_text()))
    assert "many: 399 families, 399 cells, 0 divisions" in told
    assert "357" not in told


def test_paths_are_drawn_on_an_image(lineage: Lineage, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the `lineage` extra")
    write_paths(lineage, tmp_path / "paths.svg", np.full((60, 130), 90, np.uint8))
    told = set(re.findall(r"<!-- (.*?) -->", (tmp_path / "paths.svg").read_text()))
    assert {"x, px", "y, px", "families with a division (1)", "cells without (3)"} <= told
    write_paths(lineage, tmp_path / "paths.png")
    assert cv2.imread(str(tmp_path / "paths.png")).std() > 5
    with pytest.raises(SourceError, match="give one of the run's own frames"):
        write_paths(lineage, tmp_path / "paths.png", np.zeros((20, 20), np.uint8))
    with pytest.raises(SourceError, match="no places of cells are known"):
        write_paths(lineage.only([]), tmp_path / "paths.png")


def test_pictures_of_other_names_or_without_matplotlib_are_refused(
    lineage: Lineage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"a picture is \.png or \.svg"):
        write_paths(lineage, tmp_path / "paths.jpg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'streamcount\[lineage\]'"):
        write_tree(lineage, families(lineage), tmp_path / "tree.png", Axis.frame)
