"""A whole small training on drawn cells: from a folder to a bundle that counts."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="training needs the `train` extra")
pytest.importorskip("faster_coco_eval", reason="training needs the `train` extra")

from streamcount.cli.train import evaluate, train
from streamcount.detection.tflite import ThreadedNet
from streamcount.errors import TrainingError
from streamcount.training.batches import PADDING_LEVEL
from streamcount.training.compile import typical_inputs
from streamcount.training.data.labelled import Dataset
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.evaluate import Found, figures, unbiased_thresholds
from streamcount.training.export import as_probabilities, compile_float32, compile_int8
from streamcount.training.loop import TrainingOptions, fit

OPTIONS = TrainingOptions(
    epochs=8, width=4, diameter_px=24.0, canvas_px=96, batch=4, learning_rate=6e-3, ema_decay=0.9
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_data: Callable[..., Path]) -> Dataset:
    root = write_data(tmp_path_factory.mktemp("drawn"))
    return read_yolo_part(root / "train", read_class_names(root))


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, list[float]]:
    losses: list[float] = []
    work = tmp_path_factory.mktemp("work")
    return fit(dataset, OPTIONS, work, lambda done, total, loss: losses.append(loss)), losses


def test_the_loss_falls(trained: tuple[object, list[float]]) -> None:
    losses = trained[1]
    assert losses[-1] < 0.7 * losses[0]


def test_the_compiled_nets_agree_with_the_float_net(
    trained: tuple[object, list[float]], dataset: Dataset
) -> None:
    net = as_probabilities(trained[0])
    typical = typical_inputs(dataset, OPTIONS.diameter_px)
    # A size that no typical input has: the compiled file must be free in size.
    image = np.full((1, 160, 96, 3), PADDING_LEVEL, np.uint8)
    image[0, : typical[0].shape[1], :96] = typical[0][0, :160, :96]
    wanted = {name: np.asarray(v)[0] for name, v in net(image.astype(np.float32), training=False).items()}
    spans = {name: float(np.ptp(v)) for name, v in wanted.items()}
    for compiled, tolerance in ((compile_float32(net, typical[0]), 1e-3), (compile_int8(net, typical), 0.1)):
        maps = ThreadedNet(*compiled).infer(image)
        for name, value in wanted.items():
            one = getattr(maps, name)
            found = (one.raw.astype(np.float32) - one.zero) * one.scale
            assert found.shape == value.shape
            assert np.abs(found - value).mean() <= tolerance * max(spans[name], 0.05), name


def test_a_training_goes_on_from_its_last_epoch(dataset: Dataset, tmp_path: Path) -> None:
    done: list[int] = []
    options = TrainingOptions(epochs=2, width=2, diameter_px=24.0, canvas_px=64, batch=4)

    class StoppedError(Exception):
        pass

    def stop_in_second_epoch(step: int, total: int, loss: float) -> None:
        done.append(step)
        if step == total // 2 + 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(dataset, options, tmp_path, stop_in_second_epoch)
    fit(dataset, options, tmp_path, lambda step, total, loss: done.append(step))
    assert done == [1, 2, 3, 4, 4, 5, 6]
    with pytest.raises(TrainingError, match="other options or data"):
        fit(dataset, TrainingOptions(epochs=3, width=2), tmp_path)


def test_perfect_finds_have_perfect_figures(dataset: Dataset) -> None:
    finds = [
        Found(i.boxes_px, i.class_ids, np.full(len(i.class_ids), 0.9, np.float32)) for i in dataset.images
    ]
    measured = figures(dataset, finds, finds)
    assert set(measured) == {"pale", "dark", "any cell"}
    for one in measured.values():
        assert (one.ap50, one.mae, one.bias, one.mape) == (1.0, 0.0, 0.0, 0.0)


def test_missing_every_third_cell_is_seen_in_all_figures(dataset: Dataset) -> None:
    finds = [
        Found(
            i.boxes_px[::3],
            np.zeros(len(i.boxes_px[::3]), np.int64),
            np.full(len(i.boxes_px[::3]), 0.9, np.float32),
        )
        for i in dataset.images
    ]
    one = figures(dataset, finds, finds, by_class=False)["any cell"]
    assert one.ap50 == pytest.approx(1 / 3, abs=0.02)
    assert one.mae == -one.bias == 6.0
    assert one.mape == pytest.approx(100 * 6 / 9, abs=0.01)


def test_thresholds_leave_the_noise_out(dataset: Dataset) -> None:
    ranked = []
    for image in dataset.images:
        number = len(image.boxes_px)
        scores = np.concatenate([np.full(number, 0.6), np.full(4, 0.3)]).astype(np.float32)
        boxes = np.concatenate([image.boxes_px, np.tile([[0, 0, 5, 5]], (4, 1))]).astype(np.float32)
        ranked.append(Found(boxes, np.concatenate([image.class_ids, [0, 0, 1, 1]]), scores))
    assert all(0.3 < t <= 0.6 for t in unbiased_thresholds(dataset, ranked))


def test_the_commands_make_a_bundle_and_judge_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_data: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "cells")
    app = Typer()
    app.command()(train)
    app.command()(evaluate)
    words = ["train", "cells", "--output", "made/drawn", "--epochs", "2", "--width", "4", "--batch", "4"]
    result = CliRunner().invoke(app, [*words, "--canvas", "96", "--diameter", "24", "--names", "red,white"])
    assert result.exit_code == 0, result.output
    table = tomllib.loads(Path("made/drawn/model.toml").read_text(encoding="utf-8"))
    assert [c["name"] for c in table["classes"]] == ["red", "white"]
    assert table["training"]["command"].startswith(
        "streamcount train cells --output models/drawn --epochs 2 --seed 1"
    )
    assert set(table["figures"]) == {"int8", "float32"}
    assert set(table["figures"]["int8"]) == {"pale", "dark", "any cell"}
    words = ["evaluate", "cells/val", "--model", "made/drawn", "--pictures", "worst", "--worst", "2"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "AP50" in result.output
    assert len(list(Path("worst").glob("*.png"))) == 2
