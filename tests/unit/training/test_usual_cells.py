"""What is usual of cells, learned from their readings and from labelled images."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("faster_coco_eval", reason="judging needs the `train` extra")

from streamcount.cli import app
from streamcount.detection.bundle import NoveltyInfo, UsualCells, load_bundle
from streamcount.detection.novelty import READINGS, usual_of
from streamcount.errors import ModelError, TrainingError
from streamcount.training.data.labelled import Dataset, with_diameters
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.modelfile import read_model_file, write_model_file
from streamcount.training.novelty import LEAST_CELLS, usual_cells
from streamcount.training.recalibrate import add_novelty, recalibrate
from tests.unit.detection.test_tflite import smear

WIDTH = len(READINGS)


def novelties(usual: UsualCells, readings: np.ndarray) -> np.ndarray:
    bundle = load_bundle("blood-smear")
    told = usual_of(
        msgspec.structs.replace(bundle, novelty=NoveltyInfo(readings=READINGS, classes={"red": usual}))
    )
    assert told is not None
    return told.novelties(readings.astype(np.float32), np.full(len(readings), bundle.reference_class))


def drawn_readings(number: int, seed: int, tail: float = 0.0) -> np.ndarray:
    """Related readings of cells, some of which are rather odd."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(number, WIDTH)) @ np.random.default_rng(9).normal(size=(WIDTH, WIDTH))
    scale = np.exp(tail * rng.normal(size=(number, 1)))
    return np.asarray(3 + scale * mixed)


@pytest.mark.parametrize("tail", [0.0, 0.25])
@pytest.mark.parametrize("held", [300, 3000])
def test_one_in_a_thousand_usual_cells_is_beyond_one(tail: float, held: int) -> None:
    shares = []
    for seed in range(8):
        usual = usual_cells(drawn_readings(2000, seed, tail), drawn_readings(held, 100 + seed, tail))
        shares.append(float((novelties(usual, drawn_readings(100_000, 200 + seed, tail)) > 1).mean()))
    assert 0.0003 < np.median(shares) < 0.002
    assert max(shares) < 0.006


def test_strange_cells_are_beyond_one_in_whatever_way() -> None:
    usual = usual_cells(drawn_readings(2000, 1), drawn_readings(1000, 2))
    spreads = np.std(drawn_readings(2000, 1), axis=0)
    for reading in range(WIDTH):
        strange = drawn_readings(200, 3)
        strange[:, reading] += 12 * spreads[reading]
        assert (novelties(usual, strange) > 1).mean() > 0.95, READINGS[reading]


def test_readings_that_never_vary_do_no_harm() -> None:
    rows, held, more = drawn_readings(1000, 1), drawn_readings(500, 2), drawn_readings(5000, 3)
    for some in (rows, held, more):
        some[:, 1] = 0
    usual = usual_cells(rows, held)
    assert np.isfinite(usual.limit)
    assert (novelties(usual, more) > 1).mean() < 0.01


def write_smears(root: Path, number: int) -> Path:
    """Drawn smears, each cut out at another place, with their cells labelled as red ones; returns ROOT."""
    for folder in ("images", "labels"):
        (root / "train" / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("red\nwhite\nplatelet\n", encoding="utf-8")
    for index in range(number):
        image, _ = smear(480, 640)
        top, left = 3 * index, 5 * index
        image = np.ascontiguousarray(image[top:, left:, ::-1])
        height, width = image.shape[:2]
        cv2.imwrite(str(root / "train" / "images" / f"{index}.png"), image)
        middles = [(56 + 96 * row - top, 56 + 96 * column - left) for row in range(4) for column in range(6)]
        lines = [f"0 {x / width:.5f} {y / height:.5f} {60 / width:.5f} {60 / height:.5f}" for y, x in middles]
        (root / "train" / "labels" / f"{index}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def smears(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = write_smears(tmp_path_factory.mktemp("smears"), 8)
    return with_diameters(read_yolo_part(root / "train", read_class_names(root)), 0)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A copy of blood-smear that knows no usual cells."""
    folder = tmp_path / "bare"
    bundle = load_bundle("blood-smear")
    shutil.copytree(bundle.folder, folder)
    table = read_model_file(folder)
    plain = msgspec.structs.replace(bundle, novelty=None)
    write_model_file(folder, plain, table["training"], table["figures"])
    assert load_bundle(str(folder)).novelty is None
    return folder


def test_it_is_added_to_a_bundle_of_which_all_else_stays(smears: Dataset, bare: Path, tmp_path: Path) -> None:
    before = read_model_file(bare)
    told = add_novelty(str(bare), smears, smears, tmp_path / "mine", "by hand")
    after = read_model_file(tmp_path / "mine")
    assert after.pop("novelty")["classes"]["red"]["cells"] >= LEAST_CELLS
    assert after["training"].pop("novelty_by") == "by hand"
    before["training"].pop("novelty_by", None)
    assert after == before
    again = load_bundle(str(tmp_path / "mine"))
    assert again.novelty == told.novelty
    assert usual_of(again) is not None
    assert again.read_model() == load_bundle("blood-smear").read_model()
    # In place, over what is damaged, and the same.
    path = tmp_path / "mine" / "model.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"own_odds"', '"odds"'), encoding="utf-8")
    with pytest.raises(ModelError, match="told anew"):
        usual_of(load_bundle(str(tmp_path / "mine")))
    repeated = add_novelty(str(tmp_path / "mine"), smears, smears, tmp_path / "mine", "again")
    assert repeated.novelty == told.novelty


def test_a_class_of_few_cells_stays_as_the_bundle_tells_it(
    smears: Dataset, bare: Path, tmp_path: Path
) -> None:
    told = add_novelty("blood-smear", smears, smears, tmp_path / "mine", "")
    shipped = load_bundle("blood-smear").novelty
    assert told.novelty is not None
    assert shipped is not None
    assert told.novelty.classes["platelet"] == shipped.classes["platelet"]
    assert told.novelty.classes["red"] != shipped.classes["red"]
    few = replace(smears, images=smears.images[:2])
    assert add_novelty(str(bare), few, few, tmp_path / "few", "").novelty is None
    assert "novelty" not in read_model_file(tmp_path / "few")


def test_calibrating_learns_it_too(smears: Dataset, bare: Path, tmp_path: Path) -> None:
    told = recalibrate(str(bare), smears, tmp_path / "mine", "once")
    assert told.novelty is not None
    assert told.novelty == load_bundle(str(tmp_path / "mine")).novelty
    assert "red" in told.novelty.classes


def test_what_cannot_have_it_is_told(smears: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="classifies crops"):
        add_novelty("red-cell-shapes", smears, smears, tmp_path / "mine", "")
    other = replace(smears, class_names=("pale", "dark", "small"))
    with pytest.raises(TrainingError, match="as the model does"):
        add_novelty("blood-smear", other, other, tmp_path / "mine", "")
    assert not (tmp_path / "mine").exists()


def test_the_command_adds_it(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_smears(tmp_path / "cells", 8)
    shutil.copytree("cells/train", "cells/val")
    words = [
        "model",
        "calibrate",
        "bare",
        "cells",
        "--output",
        "mine",
        "--part",
        "train",
        "--only",
        "novelty",
    ]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    assert " red" in made.stderr
    table = tomllib.loads(Path("mine/model.toml").read_text(encoding="utf-8"))
    assert table["training"]["novelty_by"] == (
        "streamcount model calibrate bare cells --output models/mine --part train --only novelty"
    )
    assert table["figures"]
    shown = CliRunner().invoke(app, ["model", "show", "mine"])
    assert shown.exit_code == 0, shown.output
    assert "usual" in shown.output
    assert CliRunner().invoke(app, [*words[:-1], "thresholds"]).exit_code == 2
