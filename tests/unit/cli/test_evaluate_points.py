"""`streamcount evaluate` on cells that are labelled by points, and not all of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("faster_coco_eval", reason="needs the extra train")
from typer.testing import CliRunner

from streamcount.cli import app

CELLS = [(30, 30), (30, 90), (90, 30), (90, 90)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four dark cells on bright ground, of which three are labelled, and a label where nothing is."""
    for name in ("images", "labels"):
        (tmp_path / "points" / name).mkdir(parents=True)
    image = np.full((120, 160), 200, np.uint8)
    for y, x in CELLS:
        cv2.circle(image, (x, y), 12, 60, -1)
    image += np.random.default_rng(2).integers(0, 6, image.shape, np.uint8)
    cv2.imwrite(str(tmp_path / "points" / "images" / "a.png"), image)
    lines = [f"{x} {y} {number % 2}" for number, (y, x) in enumerate(CELLS[:3])]
    (tmp_path / "points" / "labels" / "a.txt").write_text("\n".join([*lines, "140 60 1"]) + "\n")
    return tmp_path / "points"


def test_the_share_of_labelled_cells_that_is_found_is_told_and_nothing_else(folder: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(folder), "--detector", "watershed", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["labels found"]
    assert {name: (one["labels"], one["found"]) for name, one in told.items()} == {
        "class-0": (2, 2), "class-1": (2, 1), "any cell": (4, 3)
    }  # fmt: skip
    table = CliRunner().invoke(app, ["evaluate", str(folder), "--detector", "watershed"]).stdout
    assert "4 cells found" in table
    assert "AP50" not in table


@pytest.mark.parametrize("option", [["--report", "r"], ["--pictures", "p"], ["--share", "class-0"]])
def test_what_needs_complete_labels_is_refused(folder: Path, option: list[str]) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(folder), "--detector", "watershed", *option])
    assert done.exit_code != 0
    assert f"{option[0]} is for images in which every cell is labelled" in " ".join(
        str(done.exception).split()
    )
