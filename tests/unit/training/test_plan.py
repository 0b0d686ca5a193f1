"""What a training takes from the data and from its parent where the user said nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.plan import Asked, only_some, plan


@pytest.fixture
def dataset(tmp_path: Path, write_data: Callable[..., Path]) -> Dataset:
    root = write_data(tmp_path, train=6, val=1)
    return read_yolo_part(root / "train", read_class_names(root))


def _masks(shape: tuple[int, int]) -> np.ndarray:
    return np.zeros(shape, np.int32)


def test_coloured_boxes_give_a_colour_net_of_boxes(dataset: Dataset) -> None:
    recipe = plan(Asked(), dataset)
    assert (recipe.instances, recipe.channels, recipe.normalise) == (False, 3, "none")


def test_grey_images_with_masks_give_a_grey_net_of_instances(dataset: Dataset) -> None:
    images = []
    for item in dataset.images:
        grey = cv2.imread(str(item.path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(item.path), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
        images.append(replace(item, masks=partial(_masks, item.shape_px)))
    recipe = plan(Asked(), replace(dataset, images=tuple(images)))
    assert (recipe.instances, recipe.channels, recipe.normalise) == (True, 1, "percentile")


def test_a_child_takes_its_parents_scale_and_width(dataset: Dataset) -> None:
    recipe = plan(Asked(parent="blood-smear"), dataset)
    assert recipe.parent == "blood-smear"
    assert recipe.width == 16
    assert recipe.frozen_share > 0
    assert recipe.epochs < plan(Asked(), dataset).epochs


def test_masks_cannot_be_learned_from_boxes(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="only from masks"):
        plan(Asked(task="instances"), dataset)


def test_a_canvas_off_the_grid_is_refused_with_the_next_lower(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="take 96"):
        plan(Asked(canvas_px=100), dataset)


def test_fewer_images_are_among_more(dataset: Dataset) -> None:
    few, more = ({i.path for i in only_some(dataset, n, 7).images} for n in (2, 4))
    assert len(few) == 2
    assert few < more
    with pytest.raises(TrainingError, match="more than"):
        only_some(dataset, 7, 7)
