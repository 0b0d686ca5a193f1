"""Where not every cell is labelled, only what is found of the labelled ones is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.judge import ANY_CLASS, Found
from streamcount.training.judge.incomplete import labels_found


def found(*boxes: tuple[float, float, float, float]) -> Found:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Found(array, np.zeros(len(array), np.int64), np.ones(len(array), np.float32))


def around(*points: tuple[float, float]) -> np.ndarray:
    middles = np.array(points, np.float32).reshape(-1, 2)
    return np.concatenate([middles - 5, middles + 5], axis=1)


def labelled(points: list[tuple[float, float]], classes: list[int]) -> Dataset:
    image = LabelledImage(
        path=Path("a.png"), boxes_px=around(*points), class_ids=np.array(classes, np.int64), shape_px=(100, 100),
        complete=False,
    )  # fmt: skip
    return Dataset((image,), ("round", "long", "absent"))


def test_a_label_is_found_where_its_middle_lies_in_a_find_of_any_size() -> None:
    told = labels_found(
        labelled([(20, 20), (60, 60), (90, 10)], [0, 1, 1]), [found((5, 5, 50, 50), (59, 59, 63, 63))]
    )
    assert {name: (one.labels, one.found) for name, one in told.items()} == {
        "round": (1, 1), "long": (2, 1), ANY_CLASS: (3, 2)
    }  # fmt: skip
    assert told["long"].recall == 0.5
    low, high = told["long"].recall_95
    assert low == pytest.approx(0.0945, abs=1e-3), "Wilson, of one in two"
    assert high == pytest.approx(0.9055, abs=1e-3)


def test_of_two_cells_in_one_box_one_is_missed_and_finds_beside_labels_cost_nothing() -> None:
    told = labels_found(
        labelled([(20, 20), (30, 30)], [0, 0]), [found((0, 0, 50, 50), (70, 70, 80, 80), (0, 70, 9, 80))]
    )
    assert (told[ANY_CLASS].labels, told[ANY_CLASS].found) == (2, 1)


def test_nothing_found_or_nothing_labelled() -> None:
    told = labels_found(labelled([(20, 20)], [0]), [found()])
    assert (told["round"].recall, told[ANY_CLASS].found) == (0.0, 0)
    told = labels_found(labelled([], []), [found((0, 0, 9, 9))])
    assert list(told) == [ANY_CLASS]
    assert told[ANY_CLASS].recall_95 == (0.0, 1.0)
