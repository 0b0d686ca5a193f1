"""What the net is asked for: bells at centres, sizes, offsets, and the share of each map cell that is cell."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.training.targets import box_targets, instance_targets


def test_boxes_peak_at_their_centres_and_carry_the_size_there() -> None:
    boxes = np.array([[8, 20, 40, 44]], np.float32)
    targets = box_targets(boxes, boxes, np.array([1]), 2, 128, 16.0)
    assert targets.centre[6, 8, 1] == 1
    assert targets.centre[..., 0].max() == 0
    np.testing.assert_allclose(16 * np.exp(targets.regress[6, 8, :2]), [32, 24], rtol=1e-5)
    for row, column in ((6, 8), (6, 7), (7, 8)):
        assert targets.regress[row, column, 4] > 0
        at = np.array([row, column]) + targets.regress[row, column, 2:4]
        np.testing.assert_allclose(at, [6, 8], atol=1e-5)


@pytest.mark.parametrize("side_px", [12, 20, 32, 45])
def test_the_foreground_covers_the_area_of_the_disc(side_px: int) -> None:
    boxes = np.array([[30, 41, 30 + side_px, 41 + side_px]], np.float32)
    targets = box_targets(boxes, boxes, np.array([0]), 1, 128, 16.0)
    area = float(targets.foreground.sum()) * 16
    assert area == pytest.approx(np.pi / 4 * side_px**2, rel=0.05)


def test_a_sliver_left_by_a_crop_is_neither_asked_for_nor_punished() -> None:
    boxes = np.array([[-30, 20, 4, 50]], np.float32)
    clipped = np.array([[0, 20, 4, 50]], np.float32)
    targets = box_targets(boxes, clipped, np.array([0]), 1, 128, 16.0)
    assert 0.9 < targets.centre.max() < 0.999
    assert targets.regress[..., 4].max() == 0


def test_every_pixel_of_a_mask_points_to_its_own_cell() -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[8:24, 8:24] = 1
    labels[8:24, 24:44] = 2
    targets = instance_targets(labels, np.array([256, 320], np.float32), np.array([0, 0]), 1, 16.0)
    rows, columns = np.nonzero(targets.regress[..., 5])
    goals = np.stack([rows, columns], axis=1) + targets.regress[rows, columns, 2:4]
    left = columns < 6
    np.testing.assert_allclose(goals[left], np.tile([4, 4], (left.sum(), 1)), atol=1e-5)
    np.testing.assert_allclose(goals[~left], np.tile([4, 8.5], ((~left).sum(), 1)), atol=1e-5)
    assert targets.foreground.sum() * 16 == 16 * 36
    assert set(zip(*np.nonzero(targets.centre[..., 0] == 1), strict=True)) == {(4, 4), (4, 8)}


def test_the_centre_of_a_bent_cell_lies_within_it() -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[8:56, 8:16] = 1
    labels[48:56, 8:56] = 1
    targets = instance_targets(labels, np.array([704], np.float32), np.array([0]), 1, 32.0)
    row, column = (int(v[0]) for v in np.nonzero(targets.centre[..., 0] == 1))
    assert labels[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4].any()


def test_a_cell_cut_off_by_the_canvas_is_not_asked_for() -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[0:3, 20:30] = 1
    targets = instance_targets(labels, np.array([900], np.float32), np.array([0]), 1, 32.0)
    assert 0.9 < targets.centre.max() < 0.999
    assert targets.regress[..., 4].max() == 0
    assert targets.regress[..., 5].max() == 1
