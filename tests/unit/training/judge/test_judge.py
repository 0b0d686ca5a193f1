"""Figures, thresholds and calibration on finds that are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval", reason="judging needs the `train` extra")

from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.judge import (
    Found,
    f1_of_all,
    figures,
    fit_temperature,
    match,
    unbiased_thresholds,
    whole_only,
)
from streamcount.training.judge.breakdown import by_density, by_source, confluence_errors, judge, share_errors
from streamcount.training.judge.calibration import expected_error


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_data: Callable[..., Path]) -> Dataset:
    root = write_data(tmp_path_factory.mktemp("drawn"))
    return read_yolo_part(root / "train", read_class_names(root))


def finds_of(dataset: Dataset) -> list[Found]:
    """Finds that are the labels."""
    return [
        Found(i.boxes_px, i.class_ids, np.full(len(i.class_ids), 0.9, np.float32)) for i in dataset.images
    ]


def test_perfect_finds_have_perfect_figures(dataset: Dataset) -> None:
    finds = finds_of(dataset)
    measured = figures(dataset, finds, finds)
    assert set(measured) == {"pale", "dark", "any cell"}
    for one in measured.values():
        assert (one.ap50, one.f1, one.mae, one.bias, one.mape) == (1.0, 1.0, 0.0, 0.0, 0.0)


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
    assert f1_of_all(dataset, finds) == one.f1
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


def test_a_temperature_is_found_again() -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 2, 20000)
    right = rng.random(20000) < 1 / (1 + np.exp(-odds))
    scores = (1 / (1 + np.exp(-odds * 2.5))).astype(np.float32)
    assert fit_temperature(scores, right) == pytest.approx(2.5, rel=0.05)
    true = (1 / (1 + np.exp(-odds))).astype(np.float32)
    assert expected_error(true, right) < 0.02 < expected_error(scores, right)
    assert fit_temperature(np.empty(0, np.float32), np.empty(0, bool)) == 1.0


def outlined() -> tuple[LabelledImage, np.ndarray]:
    """An image whose two cells share one box, so that only outlines tell them apart."""
    labels = np.zeros((40, 40), np.int32)
    labels[np.tril_indices(40, -1)] = 1
    labels[np.triu_indices(40, 1)] = 2
    boxes = np.array([[1, 0, 40, 39], [0, 1, 39, 40]], np.float32)
    image = LabelledImage(
        Path("x.png"), (40, 40), boxes, np.zeros(2, np.int64), 30.0, partial(np.copy, labels)
    )
    return image, labels


def test_outlines_are_matched_by_outlines() -> None:
    image, labels = outlined()
    swapped = np.where(labels > 0, 3 - labels, 0).astype(np.uint16)
    found = Found(image.boxes_px, np.zeros(2, np.int64), np.array([0.9, 0.8], np.float32), swapped)
    hit, missed = match(image, found)
    assert hit.tolist() == [1, 0]
    assert not missed.any()
    one = figures(Dataset((image,), ("cell",)), [found], [found])["cell"]
    assert (one.ap50, one.ap50_95, one.f1) == (1.0, 1.0, 1.0)
    errors = confluence_errors(Dataset((image,), ("cell",)), [found])
    assert errors is not None
    assert errors.tolist() == [0.0]


def test_cells_cut_by_the_edge_are_neither_asked_for_nor_held_against_the_detector() -> None:
    boxes = np.array([[10, 10, 20, 20], [0, 30, 6, 40]], np.float32)
    image = LabelledImage(Path("x.png"), (60, 60), boxes, np.zeros(2, np.int64), 10.0)
    dataset = Dataset((image,), ("cell",))
    # The whole cell, the cut one, a cut one that nobody labelled, and a false one inside.
    finds = np.array([*boxes, [54, 5, 60, 14], [40, 40, 50, 50]], np.float32)
    found = Found(finds, np.zeros(4, np.int64), np.full(4, 0.9, np.float32))
    whole, kept = whole_only(dataset, [found])
    assert whole.images[0].boxes_px.tolist() == [[10, 10, 20, 20]]
    assert kept[0].boxes_px.tolist() == [[10, 10, 20, 20], [40, 40, 50, 50]]


def test_the_breakdown_names_what_is_confused_and_where(dataset: Dataset) -> None:
    finds = finds_of(dataset)
    swapped = [replace(f, class_ids=1 - f.class_ids) for f in finds]
    judged = judge(dataset, swapped, swapped)
    counts = dataset.class_counts()
    assert judged.confusion.tolist() == [[0, counts[0], 0], [counts[1], 0, 0], [0, 0, 0]]
    assert not judged.right.any()
    assert judged.caught.all()
    named = replace(dataset, images=tuple(
        replace(image, source="left" if i % 2 else "right") for i, image in enumerate(dataset.images)
    ))  # fmt: skip
    rows = by_source(named, judge(named, finds, finds))
    assert [(row.name, row.images, row.mae) for row in rows] == [("left", 6, 0.0), ("right", 6, 0.0)]
    assert sum(row.images for row in by_density(judged)) in (0, len(dataset.images))


def test_shares_are_taken_over_successive_images(dataset: Dataset) -> None:
    finds = finds_of(dataset)
    assert np.abs(share_errors(dataset, finds, 1, 5)).max() == 0
    assert len(share_errors(dataset, finds, 1, 5)) == len(dataset.images) - 4
    pale = [replace(f, class_ids=np.zeros_like(f.class_ids)) for f in finds]
    errors = share_errors(dataset, pale, 1, len(dataset.images))
    share = 100 * dataset.class_counts()[1] / dataset.class_counts().sum()
    assert errors.tolist() == pytest.approx([-share])
