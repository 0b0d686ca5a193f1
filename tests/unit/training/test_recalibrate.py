"""Thresholds and temperatures chosen anew for a finished model."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("faster_coco_eval", reason="judging needs the `train` extra")

from streamcount.cli import app
from streamcount.detection.bundle import load_bundle
from streamcount.errors import ModelError, TrainingError
from streamcount.training.data.labelled import Dataset, with_diameters
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.recalibrate import recalibrate

# Another order than the model's, and one of its classes by its label.
NAMES = ("platelet", "RBC", "white")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, write_data: Callable[..., Path]) -> Dataset:
    root = write_data(tmp_path_factory.mktemp("drawn"), train=6, val=1)
    return read_yolo_part(root / "train", read_class_names(root))


def named(dataset: Dataset) -> Dataset:
    """All drawn cells as red ones."""
    images = tuple(replace(image, class_ids=np.ones_like(image.class_ids)) for image in dataset.images)
    return with_diameters(replace(dataset, class_names=NAMES, images=images), 1)


def test_the_copy_has_the_same_net_other_thresholds_and_no_figures(drawn: Dataset, tmp_path: Path) -> None:
    before = load_bundle("blood-smear")
    told = recalibrate("blood-smear", named(drawn), tmp_path / "mine", "streamcount model calibrate")
    after = load_bundle(str(tmp_path / "mine"))
    assert after.classes == told.classes
    assert after.classes != before.classes
    assert after.read_model("int8") == before.read_model("int8")
    table = tomllib.loads((tmp_path / "mine" / "model.toml").read_text(encoding="utf-8"))
    assert "figures" not in table
    assert table["training"]["images_for_thresholds"] == 6
    assert table["training"]["calibrated_by"] == "streamcount model calibrate"
    assert (tmp_path / "mine" / "weights.npz").is_file()


def test_it_is_the_same_a_second_time_and_in_place(drawn: Dataset, tmp_path: Path) -> None:
    first = recalibrate("blood-smear", named(drawn), tmp_path / "mine", "once")
    again = recalibrate(str(tmp_path / "mine"), named(drawn), tmp_path / "mine", "twice")
    assert again.classes == first.classes


def test_what_cannot_be_calibrated_is_told(drawn: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="classifies crops"):
        recalibrate("red-cell-shapes", drawn, tmp_path / "mine", "")
    with pytest.raises(TrainingError, match="as the model does"):
        recalibrate("blood-smear", drawn, tmp_path / "mine", "")
    empty = replace(named(drawn), images=tuple(i.take(i.class_ids < 0) for i in named(drawn).images))
    with pytest.raises(TrainingError, match="No cell is labelled"):
        recalibrate("blood-smear", empty, tmp_path / "mine", "")
    assert not (tmp_path / "mine").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.toml").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match="holds something else"):
        recalibrate("blood-smear", named(drawn), tmp_path / "other", "")


def test_the_command_writes_a_bundle_that_counts(
    tmp_path: Path, write_data: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_data(tmp_path / "cells", train=5, val=2)
    (root / "classes.txt").write_text("red\nwhite\nplatelet\n", encoding="utf-8")
    words = ["model", "calibrate", "blood-smear", "cells", "--output", "mine"]
    refused = CliRunner().invoke(app, [*words, "--part", "val", "--held-back"])
    assert "give --part train" in str(refused.exception)
    made = CliRunner().invoke(app, [*words, "--part", "train", "--held-back"])
    assert made.exit_code == 0, made.output
    judged = CliRunner().invoke(app, ["evaluate", "cells", "--part", "val", "--model", "mine", "--json"])
    assert judged.exit_code == 0, judged.output
    table = tomllib.loads(Path("mine/model.toml").read_text(encoding="utf-8"))
    assert table["training"]["calibrated_by"] == (
        "streamcount model calibrate blood-smear cells --output models/mine --part train --held-back"
    )
