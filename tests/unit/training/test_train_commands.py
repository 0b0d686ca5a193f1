"""Training, judging and going on from a model, as a person runs the commands."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="training needs the `train` extra")
pytest.importorskip("faster_coco_eval", reason="training needs the `train` extra")

from streamcount.cli import app
from streamcount.detection.net import ThreadedNet
from streamcount.errors import TrainingError


def test_the_commands_make_a_bundle_and_judge_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_data: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "cells")
    words = ["train", "cells", "--output", "made/drawn", "--epochs", "1", "--width", "4", "--batch", "4"]
    result = CliRunner().invoke(app, [*words, "--canvas", "96", "--diameter", "24", "--names", "red,white"])
    assert result.exit_code == 0, result.output
    table = tomllib.loads(Path("made/drawn/model.toml").read_text(encoding="utf-8"))
    assert [c["name"] for c in table["classes"]] == ["red", "white"]
    assert table["training"]["command"].startswith(
        "streamcount train cells --output models/drawn --epochs 1 --seed 1"
    )
    forms = {"int8", "float32"}
    assert set(table["figures"]) == forms | {f"{form}, whole cells" for form in forms}
    assert set(table["forms"]) == forms
    assert set(table["figures"]["int8"]) == {"red", "white", "any cell"}
    words = ["evaluate", "cells/val", "--model", "made/drawn", "--pictures", "worst", "--worst", "2"]
    result = CliRunner().invoke(app, [*words, "--report", "report", "--json"])
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["int8"]["any cell"]["mae"] == table["figures"]["int8"]["any cell"]["mae"]
    assert len(list(Path("worst").glob("*.png"))) == 2
    page = Path("report/report.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 8
    assert len(Path("report/images.csv").read_text(encoding="utf-8").splitlines()) == 5
    shown = CliRunner().invoke(app, ["model", "show", "made/drawn"])
    assert shown.exit_code == 0, shown.output
    assert "white" in shown.output
    told = CliRunner().invoke(
        app, ["evaluate", "cells/val", "--model", "made/drawn", "--scale", "told", "--json"]
    )
    assert told.exit_code == 0, told.output
    assert {"int8, scale told", "int8, scale told, whole cells"} == set(json.loads(told.stdout))
    foreign = CliRunner().invoke(app, ["evaluate", "cells/val", "--model", "nuclei", "--json"])
    assert foreign.exit_code == 0, foreign.output
    assert "judged as one class" in foreign.stderr
    assert set(json.loads(foreign.stdout)["int8"]) == {"any cell"}
    assert not list(Path(".training/drawn").rglob("recipe.json"))
    over = CliRunner().invoke(app, ["train", "cells", "--output", "made/drawn"])
    assert isinstance(over.exception, TrainingError)
    assert "--replace" in str(over.exception)
    words = ["export", "made/drawn", "--form", "int8", "--size", "96x128", "--data", "cells/train"]
    result = CliRunner().invoke(app, [*words, "--output", "out/fixed.tflite"])
    assert result.exit_code == 0, result.output
    fixed = ThreadedNet(Path("out/fixed.tflite").read_bytes(), ("a", "b", "c", "d"))
    assert fixed.run(np.zeros((1, 96, 128, 3), np.uint8))["a"].raw.shape[:2] == (24, 32)


def test_a_training_of_instances_from_a_parent_makes_a_bundle_with_outlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_masks: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_masks(tmp_path / "masks")
    words = ["train", "masks", "--output", "made/first", "--epochs", "1", "--width", "4", "--batch", "4"]
    result = CliRunner().invoke(app, [*words, "--canvas", "96", "--diameter", "24"])
    assert result.exit_code == 0, result.output
    words = [
        "train",
        "masks",
        "--from",
        "made/first",
        "--output",
        "made/second",
        "--epochs",
        "2",
        "--images",
        "6",
    ]
    result = CliRunner().invoke(app, [*words, "--batch", "4", "--canvas", "96"])
    assert result.exit_code == 0, result.output
    table = tomllib.loads(Path("made/second/model.toml").read_text(encoding="utf-8"))
    assert table["task"] == "dense-instances"
    assert table["input"]["channels"] == 1
    assert table["training"]["width"] == 4
    assert table["training"]["images"] == 6
