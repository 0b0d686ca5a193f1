"""A whole small training on drawn cells: from a folder to a bundle that counts."""

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
from streamcount.training.batches import PADDING_LEVEL
from streamcount.training.compile import typical_inputs
from streamcount.training.data.labelled import Dataset
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.dense import fit
from streamcount.training.export import as_probabilities, compile_float32, compile_int8, exportable
from streamcount.training.recipe import Recipe

RECIPE = Recipe(epochs=4, width=4, diameter_px=24.0, canvas_px=96, batch=4, learning_rate=6e-3, ema_decay=0.9)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_data: Callable[..., Path]) -> Dataset:
    root = write_data(tmp_path_factory.mktemp("drawn"))
    return read_yolo_part(root / "train", read_class_names(root))


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, list[float]]:
    losses: list[float] = []
    work = tmp_path_factory.mktemp("work")
    return fit(dataset, RECIPE, work, lambda done, total, loss: losses.append(loss)), losses


def test_the_loss_falls(trained: tuple[object, list[float]]) -> None:
    losses = trained[1]
    assert losses[-1] < 0.7 * losses[0]


def test_the_compiled_nets_agree_with_the_float_net(
    trained: tuple[object, list[float]], dataset: Dataset
) -> None:
    net = as_probabilities(trained[0])
    typical = typical_inputs(dataset, RECIPE)
    # A size that no typical input has: the compiled file must be free in size.
    image = np.full((1, 160, 96, 3), PADDING_LEVEL, np.uint8)
    image[0, : typical[0].shape[1], :96] = typical[0][0, :160, :96]
    wanted = {name: np.asarray(v)[0] for name, v in net(image.astype(np.float32), training=False).items()}
    spans = {name: float(np.ptp(v)) for name, v in wanted.items()}
    given = exportable(trained[0])
    for compiled, tolerance in (
        (compile_float32(given, typical[0]), 1e-3),
        (compile_int8(given, typical), 0.1),
    ):
        maps = ThreadedNet(*compiled).infer(image)
        for name, value in wanted.items():
            one = getattr(maps, name)
            found = (one.raw.astype(np.float32) - one.zero) * one.scale
            assert found.shape == value.shape
            assert np.abs(found - value).mean() <= tolerance * max(spans[name], 0.05), name


def test_a_training_goes_on_from_its_last_epoch(dataset: Dataset, tmp_path: Path) -> None:
    done: list[int] = []
    recipe = Recipe(epochs=2, width=2, diameter_px=24.0, canvas_px=64, batch=4)

    class StoppedError(Exception):
        pass

    def stop_in_second_epoch(step: int, total: int, loss: float) -> None:
        done.append(step)
        if step == total // 2 + 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(dataset, recipe, tmp_path, stop_in_second_epoch)
    fit(dataset, recipe, tmp_path, lambda step, total, loss: done.append(step))
    assert done == [*range(1, 27), *range(26, 51)]
    with pytest.raises(TrainingError, match="differs in batch, canvas_px, diameter_px, epochs"):
        fit(dataset, Recipe(epochs=3, width=2), tmp_path)


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
