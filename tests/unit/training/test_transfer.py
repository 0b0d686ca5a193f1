"""Starting from another model: its backbone is kept, its last layers are new."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the `train` extra")

from streamcount.detection.bundle import PACKAGE
from streamcount.errors import ModelError, TrainingError
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.dense import fit, lesson_of
from streamcount.training.loop import learn
from streamcount.training.net import build_net
from streamcount.training.recipe import Recipe
from streamcount.training.weights import load_backbone, load_weights, save_weights

RECIPE = Recipe(epochs=1, width=2, diameter_px=24.0, canvas_px=64, batch=2)


def _values(net: object, name: str) -> np.ndarray:
    return np.asarray(net.get_layer(name).weights[0])  # type: ignore[attr-defined]


def test_all_but_the_last_layers_come_from_the_parent(tmp_path: Path) -> None:
    parent, child = build_net(2, RECIPE), build_net(5, RECIPE)
    save_weights(parent, tmp_path)
    names = load_backbone(child, tmp_path, 3)
    assert "centre" not in names
    for name in ("down4_conv", "at16_conv", "last_conv"):
        assert name in names
        np.testing.assert_allclose(_values(child, name), _values(parent, name), atol=1e-3)


def test_a_grey_child_of_a_colour_parent_sees_the_same_in_grey(tmp_path: Path) -> None:
    parent, child = build_net(1, RECIPE), build_net(1, replace(RECIPE, channels=1))
    save_weights(parent, tmp_path)
    load_backbone(child, tmp_path, 1)
    for head in ("centre", "log_size", "offset", "foreground"):
        child.get_layer(head).set_weights(parent.get_layer(head).get_weights())
    grey = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 1)).astype(np.float32)
    wanted, found = parent(np.repeat(grey, 3, axis=3)), child(grey)
    np.testing.assert_allclose(found["foreground"], wanted["foreground"], atol=0.02)


def test_frozen_layers_stay_while_the_last_ones_learn(
    tmp_path: Path, write_data: Callable[..., Path]
) -> None:
    root = write_data(tmp_path / "data", train=4, val=1)
    dataset = read_yolo_part(root / "train", read_class_names(root))
    folder = tmp_path / "parent"
    shutil.copytree(PACKAGE.parent / "models" / "blood-smear", folder)
    parent = build_net(7, RECIPE)
    save_weights(parent, folder)
    child = fit(dataset, replace(RECIPE, parent=str(folder), frozen_share=1.0), tmp_path / "work")
    np.testing.assert_allclose(_values(child, "at8_conv"), _values(parent, "at8_conv"), atol=1e-3)
    fresh = fit(dataset, replace(RECIPE, parent=str(folder), frozen_share=0.0), tmp_path / "work-2")
    assert np.abs(_values(fresh, "at8_conv") - _values(parent, "at8_conv")).max() > 5e-3


def test_a_step_is_made_once_for_each_stage(tmp_path: Path, write_data: Callable[..., Path]) -> None:
    root = write_data(tmp_path / "data", train=4, val=1)
    folder = tmp_path / "parent"
    shutil.copytree(PACKAGE.parent / "models" / "blood-smear", folder)
    save_weights(build_net(7, RECIPE), folder)
    recipe = replace(RECIPE, epochs=4, parent=str(folder), frozen_share=0.5)
    lesson = lesson_of(read_yolo_part(root / "train", read_class_names(root)), recipe)
    traced = 0

    def losses(*given: object) -> object:
        nonlocal traced
        traced += 1
        return lesson.losses(*given)

    learn(replace(lesson, losses=losses), recipe, tmp_path / "work")
    # TensorFlow runs the Python once for each step that it makes.
    assert traced == 2


def test_a_parent_of_another_width_is_refused(tmp_path: Path) -> None:
    save_weights(build_net(1, RECIPE), tmp_path)
    with pytest.raises(TrainingError, match="--width"):
        load_backbone(build_net(1, replace(RECIPE, width=3)), tmp_path, 3)


def test_a_model_without_weights_is_no_parent(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train it again"):
        load_backbone(build_net(1, RECIPE), tmp_path, 3)


def test_weights_come_back_with_sixteen_bits(tmp_path: Path) -> None:
    net, again = build_net(2, RECIPE), build_net(2, RECIPE)
    save_weights(net, tmp_path)
    load_weights(again, tmp_path)
    for one, other in zip(net.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3, rtol=1e-3)
    with pytest.raises(ModelError, match="another net"):
        load_weights(build_net(3, RECIPE), tmp_path)


def test_an_unknown_backbone_is_refused_with_those_known() -> None:
    with pytest.raises(TrainingError, match="MobileNetV3Small"):
        build_net(1, replace(RECIPE, backbone="VGG"))
