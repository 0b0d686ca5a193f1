"""A bundle's net again in another compiled form: one file of fixed size, float32, or Keras's own."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import CROP_CLASSIFICATION, MODEL_FILE, find_bundle, load_bundle
from streamcount.errors import ModelError, TrainingError
from streamcount.training.export import (
    ANY_SIZE,
    Size,
    as_probabilities,
    compile_float32,
    compile_int8,
    exportable,
)
from streamcount.training.net import build_net
from streamcount.training.recipe import Recipe
from streamcount.training.weights import load_weights

FORMS = ("int8", "float32", "keras")


def rebuild(name: str) -> tuple[Any, Recipe]:
    """The Keras net of a bundle with its weights (of float16 precision), and its recipe.

    Raises ModelError where the bundle is missing, holds no weights, or was made by another kind of training.
    """
    bundle, folder = load_bundle(name), find_bundle(name)
    if bundle.task == CROP_CLASSIFICATION:
        raise ModelError(
            f"{bundle.name} classifies crops, of one size only: its files are all that there is."
        )
    table = tomllib.loads((folder / MODEL_FILE).read_text(encoding="utf-8")).get("training", {})
    known = {field.name for field in dataclasses.fields(Recipe)}
    recipe = Recipe(**{key: value for key, value in table.items() if key in known})
    net = build_net(len(bundle.classes), recipe)
    load_weights(net, folder)
    return net, recipe


def write_form(
    net: Any, form: str, path: Path, typical: list[NDArray[np.uint8]], size_px: Size = ANY_SIZE
) -> int:
    """Compile the net into `path` and return the bytes written.

    typical: inputs (1, H, W, channels) that set the scales of int8; without any, only float32 and keras can be made.
    """
    if form == "keras":
        as_probabilities(net).save(path)
        return path.stat().st_size
    inputs = [_of_size(batch, size_px) for batch in typical]
    if form == "int8":
        if not inputs:
            raise TrainingError("int8 needs images to set its scales by: give --data, some fifty will do.")
        content = compile_int8(exportable(net), inputs, size_px)[0]
    else:
        blank = np.zeros((1, size_px[0] or 64, size_px[1] or 64, net.inputs[0].shape[-1]), np.uint8)
        content = compile_float32(exportable(net), inputs[0] if inputs else blank, size_px)[0]
    path.write_bytes(content)
    return len(content)


def _of_size(batch: NDArray[np.uint8], size_px: Size) -> NDArray[np.uint8]:
    """The input cut or filled up to a fixed size."""
    if size_px[0] is None or size_px[1] is None:
        return batch
    height, width = size_px
    cut = batch[:, :height, :width]
    rest = ((0, 0), (0, height - cut.shape[1]), (0, width - cut.shape[2]), (0, 0))
    return np.pad(cut, rest, mode="edge")
