"""A net's weights as a plain file beside the bundle, so that another training can start from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from streamcount.errors import ModelError, TrainingError
from streamcount.training.net import CLASSIFIER, HEADS

WEIGHTS_FILE = "weights.npz"


def save_weights(net: Any, folder: Path) -> Path:
    """Write every weight by layer and name as float16, which training goes on from as well as from float32."""
    arrays = {
        f"{layer.name}/{weight.name}": np.asarray(weight).astype(np.float16)
        for layer in net.layers
        for weight in layer.weights
    }
    path = folder / WEIGHTS_FILE
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return path


def load_backbone(net: Any, folder: Path, channels: int) -> list[str]:
    """Set all layers but the last ones (heads, or a classifier's own) from FOLDER/weights.npz; return their names.

    A colour net's first layer serves a grey one as the sum over colours, and the other way as a third of it each.
    Raises ModelError where the file is missing, TrainingError where the nets differ.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ModelError(
            f"{path} is missing: this model holds no weights to start from; train it again with this version."
        )
    with np.load(path, allow_pickle=False) as stored:
        known = dict(stored)
    set_layers = []
    for layer in net.layers:
        if not layer.weights or layer.name in HEADS or layer.name.startswith(CLASSIFIER):
            continue
        values = []
        for weight in layer.weights:
            value = known.get(f"{layer.name}/{weight.name}")
            if value is not None and value.ndim == 4 and value.shape[2] != channels == weight.shape[2]:
                value = _other_channels(value, channels)
            if value is None or value.shape != tuple(weight.shape):
                raise TrainingError(
                    f"{folder.name} has another net than this training ({layer.name} differs); "
                    "give the same --width and --backbone as it was trained with."
                )
            values.append(value.astype(np.float32))
        layer.set_weights(values)
        set_layers.append(layer.name)
    return set_layers


def _other_channels(kernel: Any, channels: int) -> Any:
    grey = kernel.astype(np.float32).sum(axis=2, keepdims=True)
    return grey if channels == 1 else np.repeat(grey / channels, channels, axis=2)


def load_weights(net: Any, folder: Path) -> None:
    """Set all layers from FOLDER/weights.npz. Raises ModelError where it is missing or of another net."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ModelError(
            f"{path} is missing: without weights nothing can be exported; train the model again."
        )
    with np.load(path, allow_pickle=False) as stored:
        for layer in net.layers:
            values = [stored.get(f"{layer.name}/{weight.name}") for weight in layer.weights]
            if any(
                v is None or v.shape != tuple(w.shape) for v, w in zip(values, layer.weights, strict=True)
            ):
                raise ModelError(
                    f"{path} holds the weights of another net ({layer.name} differs); restore it."
                )
            layer.set_weights([value.astype(np.float32) for value in values])
