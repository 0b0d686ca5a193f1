"""What the net is shown: turned, scaled and recoloured images with targets that follow them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamcount.training.augment import overlap_cells
from streamcount.training.batches import Sample, empty_canvas, make_batches, vary_sample
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part
from streamcount.training.recipe import Recipe

RECIPE = Recipe(epochs=1, diameter_px=24.0, canvas_px=96, batch=2, seed=3)


def _sample(labels: bool = False) -> Sample:
    image = np.full((150, 180, 3), 230, np.uint8)
    image[60:90, 70:110] = (120, 30, 40)
    mask = np.zeros((150, 180), np.uint16)
    mask[60:90, 70:110] = 1
    masks = (mask, np.array([mask.sum()])) if labels else ()
    return Sample(image, np.array([[60, 70, 90, 110]], np.float32), np.array([0]), *masks)


def test_boxes_follow_all_changes_of_an_image() -> None:
    checked = 0
    for seed in range(60):
        canvas = vary_sample(_sample(), 160, np.random.default_rng(seed))
        clipped = canvas.clipped_px
        if not np.array_equal(canvas.boxes_px, clipped):
            continue
        middle = ((clipped[0, :2] + clipped[0, 2:]) / 2).astype(int)
        beside = np.clip(clipped[0, :2] - 4, 0, 159).astype(int)
        inside = canvas.image[middle[0], middle[1]].mean()
        assert inside + 20 < canvas.image[beside[0], beside[1]].mean(), seed
        checked += 1
    assert checked >= 20


def test_masks_follow_the_image_and_lie_in_the_box() -> None:
    checked = 0
    for seed in range(60):
        canvas = vary_sample(_sample(labels=True), 160, np.random.default_rng(seed))
        assert canvas.labels is not None
        assert canvas.areas_px is not None
        shown = canvas.labels.sum()
        assert shown <= 1.1 * canvas.areas_px[0]
        if not np.array_equal(canvas.boxes_px, canvas.clipped_px) or shown < 0.9 * canvas.areas_px[0]:
            continue
        rows, columns = np.nonzero(canvas.labels)
        middle = (canvas.boxes_px[0, :2] + canvas.boxes_px[0, 2:]) / 2
        np.testing.assert_allclose([rows.mean() + 0.5, columns.mean() + 0.5], middle, atol=1.0)
        dark = canvas.image.mean(axis=2)
        assert dark[canvas.labels > 0].mean() + 10 < dark[canvas.labels == 0].mean()
        checked += 1
    assert checked >= 15


def test_a_cell_laid_over_another_darkens_it_and_is_labelled() -> None:
    image = np.full((200, 200, 3), 230, np.uint8)
    boxes = np.array([[80, 40, 110, 70], [80, 120, 110, 150]], np.float32)
    for y0, x0, y1, x1 in boxes.astype(int):
        image[y0:y1, x0:x1] = (160, 100, 110)
    added = 0
    for seed in range(10):
        changed, more, copied = overlap_cells(image, boxes, np.arange(2), np.random.default_rng(seed))
        assert len(more) == 2 + len(copied)
        np.testing.assert_array_equal(more[:2], boxes)
        assert changed.min() <= image.min()
        added += len(copied)
    assert added >= 8
    assert image.min() == 100


def test_an_empty_canvas_holds_light_and_noise_of_any_brightness() -> None:
    means = [empty_canvas(64, 1, np.random.default_rng(seed)).mean() for seed in range(30)]
    assert min(means) < 80
    assert max(means) > 170


def test_the_same_seed_gives_the_same_batches(tmp_path: Path, write_data: Callable[..., Path]) -> None:
    root = write_data(tmp_path, train=6, val=1)
    dataset = read_yolo_part(root / "train", read_class_names(root))
    first, again, other = (
        list(make_batches(dataset, replace(RECIPE, seed=seed)).epoch(1)) for seed in (3, 3, 4)
    )
    assert len(first) >= 3
    for a, b in zip(first, again, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(first[0][0], other[0][0])


def test_a_grey_recipe_makes_grey_batches(tmp_path: Path, write_data: Callable[..., Path]) -> None:
    root = write_data(tmp_path, train=2, val=1)
    dataset = read_yolo_part(root / "train", read_class_names(root))
    grey = replace(RECIPE, channels=1, normalise="percentile")
    image, centre, regress, foreground = next(make_batches(dataset, grey).epoch(0))
    assert image.shape == (2, 96, 96, 1)
    assert centre.shape == (2, 24, 24, 2)
    assert regress.shape == (2, 24, 24, 6)
    assert foreground.shape == (2, 24, 24, 1)
