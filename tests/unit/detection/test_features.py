"""Intensities of drawn cells, whose grey levels are known."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.detection.features import described, intensities
from tests.films import discs, seen

CENTRES = [(30.0, 40.0), (80.0, 150.0), (120.0, 60.0)]
BOXES = np.array([[y - 12, x - 12, y + 12, x + 12] for y, x in CENTRES], np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [False, True])
def test_darker_cells_are_negative_on_one_scale_for_all_cameras(dtype, colour):
    frame = discs(0, CENTRES, dtype=dtype, colour=colour, noise=0)
    np.testing.assert_allclose(intensities(frame.image, BOXES), (90 - 200) / 200, atol=0.06)


def test_bright_cells_on_a_dark_ground_are_told_in_shares_of_full_scale():
    frame = discs(0, CENTRES, grey=(3, 120), noise=0)
    np.testing.assert_allclose(intensities(frame.image, BOXES), (120 - 3) / (255 / 4), rtol=0.1)


def test_uneven_light_changes_the_ground_and_not_the_cells():
    image = discs(0, CENTRES, noise=0).image
    ramp = np.linspace(1.0, 0.6, image.shape[1])
    found = intensities((image * ramp).astype(np.uint8), BOXES)
    np.testing.assert_allclose(found, -0.53, atol=0.06)


def test_what_lies_about_a_cell_does_not_count():
    image = discs(0, CENTRES, noise=0).image.copy()
    image[30 + 13 :, :60] = 200
    apart = intensities(image, BOXES[:1])
    image[18:42, 52:60] = 0
    np.testing.assert_array_equal(intensities(image, BOXES[:1]), apart)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 200)])
def test_small_images_and_boxes_at_their_edge_are_measured(shape):
    image = np.full(shape, 100, np.uint8)
    boxes = np.array([[0, 0, *shape], [shape[0] - 1, shape[1] - 1, *shape]], np.float32)
    np.testing.assert_allclose(intensities(image, boxes), 0, atol=1e-6)


def test_a_frame_without_cells_has_no_intensities():
    found = described(seen(0, []), np.zeros((400, 400), np.uint8))
    assert found.intensities is not None
    assert found.intensities.shape == (0,)
    assert found.intensities.dtype == np.float32
