"""What the net is shown: turned, scaled and recoloured images with targets that follow them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamcount.training.batches import Sample, draw_targets, make_batches, turn, vary_sample
from streamcount.training.dataset import read_class_names, read_yolo_part


@pytest.mark.parametrize("way", range(8))
def test_boxes_follow_every_turn(way: int) -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[5:15, 22:28] = 255
    turned, boxes = turn(image, np.array([[5, 22, 15, 28]], np.float32), way)
    y0, x0, y1, x1 = boxes[0].astype(int)
    assert (turned[y0:y1, x0:x1] == 255).all()
    assert turned.sum() == image.sum()


def test_boxes_follow_all_changes_of_an_image() -> None:
    image = np.full((150, 180, 3), 230, np.uint8)
    image[60:90, 70:110] = (120, 30, 40)
    sample = Sample(image, np.array([[60, 70, 90, 110]], np.float32), np.array([0]))
    checked = 0
    for seed in range(40):
        canvas, moved, clipped = vary_sample(sample, 160, np.random.default_rng(seed))
        if not np.array_equal(moved, clipped):
            continue
        middle = ((clipped[0, :2] + clipped[0, 2:]) / 2).astype(int)
        beside = np.clip(clipped[0, :2] - 4, 0, 159).astype(int)
        assert canvas[middle[0], middle[1]].mean() + 20 < canvas[beside[0], beside[1]].mean(), seed
        checked += 1
    assert checked >= 20


def test_targets_peak_at_centres_and_carry_the_size_there() -> None:
    boxes = np.array([[8, 20, 40, 44]], np.float32)
    centre, regress, foreground = draw_targets(boxes, boxes, np.array([1]), (32, 32, 2))
    assert centre[6, 8, 1] == 1
    assert centre[..., 0].max() == 0
    np.testing.assert_allclose(np.exp(regress[6, 8, :2]), [32, 24], rtol=1e-5)
    for row, column in ((6, 8), (6, 7), (7, 8)):
        assert regress[row, column, 4] > 0
        at = np.array([row, column]) + regress[row, column, 2:4]
        np.testing.assert_allclose(at, [6, 8], atol=1e-5)
    # OpenCV fills the map cells under the rim too.
    assert np.pi / 4 * 32 * 24 <= foreground.sum() * 16 <= 1.25 * np.pi / 4 * 32 * 24


def test_a_sliver_left_by_a_crop_is_neither_asked_for_nor_punished() -> None:
    boxes = np.array([[-30, 20, 4, 50]], np.float32)
    clipped = np.array([[0, 20, 4, 50]], np.float32)
    centre, regress, _ = draw_targets(boxes, clipped, np.array([0]), (32, 32, 1))
    assert 0.9 < centre.max() < 0.999
    assert regress[..., 4].max() == 0


def test_the_same_seed_gives_the_same_batches(tmp_path: Path, write_data: Callable[..., Path]) -> None:
    root = write_data(tmp_path, train=6, val=1)
    dataset = read_yolo_part(root / "train", read_class_names(root))
    first, again, other = (list(make_batches(dataset, 24.0, 96, 2, seed).epoch(1)) for seed in (3, 3, 4))
    assert len(first) == 3
    for a, b in zip(first, again, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(first[0][0], other[0][0])
