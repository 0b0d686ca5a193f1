"""A whole small training on drawn cells: from a folder to a bundle that counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the `train` extra")
pytest.importorskip("faster_coco_eval", reason="training needs the `train` extra")

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
