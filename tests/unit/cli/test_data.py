"""`streamcount data`: the commands as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamcount.cli import app
from streamcount.errors import ConfigurationError, ExitCode, TrainingError
from streamcount.training.data.parts import read_parts

RUNNER = CliRunner()


def add(folder: Path, name: str, seed: int, lines: tuple[str, ...] = ("0 0.5 0.5 0.2 0.2",)) -> None:
    for sub in ("images", "labels"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(40, 220, (12, 16)).astype(np.uint8)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), cv2.resize(coarse, (160, 120)))
    (folder / "labels" / f"{name}.txt").write_text("\n".join(lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "smears"
    root.mkdir()
    (root / "classes.txt").write_text("red\nwhite\n")
    for number in range(20):
        # The last two are the first two again.
        add(root, f"i{number}", number % 18)
    return root


def run(*words: object, code: int = 0) -> str:
    result = RUNNER.invoke(app, ["data", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


def test_split_then_check_finds_no_duplicate_across_parts(folder: Path) -> None:
    told = run("split", folder, "--val", "0.3")
    assert "14 train, 6 val, 0 left out; 2 groups of near-duplicates" in told.replace("\n", " ")
    first = (folder / "split.json").read_bytes()
    run("split", folder, "--val", "0.3")
    assert (folder / "split.json").read_bytes() == first
    split = json.loads(first)
    assert split["command"] == "streamcount data split smears --seed 1 --val 0.3 --by random"
    for a, b in (("i0", "i18"), ("i1", "i19")):
        parts = {part for part in ("train", "val") for n in (a, b) if f"images/{n}.png" in split[part]}
        assert len(parts) == 1
    assert {name: len(part.images) for name, part in read_parts(folder).items()} == {"train": 14, "val": 6}
    assert "2 groups of near-duplicates in one part" in run("check", folder)


def test_another_split_is_written_over_only_where_that_is_said(folder: Path) -> None:
    run("split", folder, "--val", "0.3")
    first = (folder / "split.json").read_bytes()
    result = RUNNER.invoke(app, ["data", "split", str(folder), "--val", "0.3", "--seed", "2"])
    assert isinstance(result.exception, TrainingError)
    assert "--replace" in str(result.exception)
    assert (folder / "split.json").read_bytes() == first
    run("split", folder, "--val", "0.3", "--seed", "2", "--replace")
    assert json.loads((folder / "split.json").read_bytes())["seed"] == 2


def test_a_missing_extra_is_told_before_any_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamcount.cli._options.find_spec", lambda name: None)
    for words in (
        ["data", "split", folder], ["data", "check", folder], ["evaluate", folder, "--model", "blood-smear"],
        ["train", folder, "--output", folder / "mine"],
        ["export", "nuclei", "--output", folder / "nuclei.tflite"],
    ):  # fmt: skip
        result = RUNNER.invoke(app, [str(word) for word in words])
        assert isinstance(result.exception, ConfigurationError), words
        assert "pip install 'streamcount[train]'" in str(result.exception)


def test_check_tells_duplicates_across_parts_with_its_exit_code(folder: Path, tmp_path: Path) -> None:
    names = [f"images/i{n}.png" for n in range(20)]
    split = {"command": "", "seed": 1, "source": None, "train": names[:18], "val": names[18:]}
    (tmp_path / "bad.json").write_text(json.dumps(split))
    told = run("check", folder, "--split", tmp_path / "bad.json", code=ExitCode.TRAINING)
    assert "2 near-duplicates in different parts" in told
    assert "images/i0.png = images/i18.png" in told


def test_check_names_broken_files_and_draws_labels(folder: Path, tmp_path: Path) -> None:
    (folder / "labels" / "i3.txt").unlink()
    (folder / "images" / "i4.png").write_bytes(b"no image")
    (folder / "labels" / "lonely.txt").write_text("")
    add(folder, "i18", 0, ("1 0.5 0.5 0.2 0.2", "1 0.5 0.5 0.21 0.2"))
    told = run("check", folder, "--pictures", tmp_path / "sheets", code=ExitCode.TRAINING)
    for expected in (
        "1 cannot be read", "images/i4.png", "1 image without label", "images/i3.png", "1 label without image",
        "labels/lonely.txt", "1 doubled boxes, dropped", "1 near-duplicates labelled differently",
        "images/i0.png = images/i18.png: 0% of the cells the same",
    ):  # fmt: skip
        assert expected in told
    sheet = cv2.imread(str(tmp_path / "sheets" / "all.png"))
    assert sheet.shape[0] > 4 * 320


def test_sources_by_expression_and_leaving_one_out(folder: Path) -> None:
    run("split", folder, "--source", r"i(\d)", "--leave-out", "7")
    assert json.loads((folder / "split.json").read_text())["val"] == ["images/i7.png"]
    parts = read_parts(folder)
    assert {image.source for image in parts["val"].images} == {"7"}
    with pytest.raises(TrainingError, match="no source '77'"):
        RUNNER.invoke(
            app,
            ["data", "split", str(folder), "--source", r"i(\d)", "--leave-out", "77"],
            catch_exceptions=False,
        )


def test_tiles_keep_the_parts(folder: Path, tmp_path: Path) -> None:
    run("split", folder)
    out = tmp_path / "tiles"
    assert "of 20 images" in run("tiles", folder, "--output", out, "--size", "100", "--overlap", "20")
    parts = read_parts(out)
    assert len(parts["val"].images) == 4 * len(read_parts(folder)["val"].images)
    assert parts["train"].class_names == ("red", "white")


def test_extract_writes_a_set_that_check_accepts(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index in range(3):
        image = np.random.default_rng(index).normal(200, 2, (150, 200))
        for x in (40, 100, 160):
            cv2.circle(image, (x, 40 + 30 * index), 12, 80.0, -1)
        cv2.imwrite(str(tmp_path / "in" / f"{index}.png"), image.astype(np.uint8))
    told = run("extract", tmp_path / "in", "--output", tmp_path / "out", "--method", "otsu", "--every", "1")
    assert "Wrote 3 frames with 9 cells" in told
    assert "9" in run("check", tmp_path / "out")


@pytest.mark.parametrize("command", ["check", "split", "tiles", "extract"])
def test_help_teaches_by_example(command: str) -> None:
    told = " ".join(run(command, "--help").split())
    assert f"streamcount data {command} " in told
