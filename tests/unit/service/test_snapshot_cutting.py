"""Pictures of single cells, cut from noise that compresses badly and from drawn cells."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.service.snapshots.cutting import LARGEST_SIDE_PX, cut_out
from streamcount.wire import decode_image
from tests.films import discs


def shown(data):
    return decode_image(data, "image/jpeg", 10**7)


@pytest.mark.parametrize("max_bytes", [2048, 8192, 100_000])
@pytest.mark.parametrize("shape", [(900, 1200), (900, 1200, 3)])
def test_the_bytes_are_bounded_whatever_the_picture(max_bytes, shape):
    noise = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    data = cut_out(noise, (0, 0, 900, 1200), 0.5, max_bytes)
    assert len(data) <= max_bytes
    assert max(shown(data).shape[:2]) <= LARGEST_SIDE_PX
    assert data == cut_out(noise, (0, 0, 900, 1200), 0.5, max_bytes)


def test_the_cell_is_in_the_middle_with_its_margin():
    frame = discs(0, [(80, 100)], radius=12, noise=0)
    image = shown(cut_out(frame.image, (68, 88, 92, 112), 0.5, 32_768))
    assert image.shape == (48, 48)
    assert image[24, 24] < 120
    assert image[2, 2] > 180


@pytest.mark.parametrize(
    "box", [(-5, -5, 10, 10), (150, 190, 160, 200), (159.9, 199.9, 160, 200), (300, 300, 310, 310)]
)
def test_boxes_at_and_beyond_the_edge_give_a_picture(box):
    image = shown(cut_out(discs(0, []).image, box, 0.5, 32_768))
    assert min(image.shape) >= 1


def test_sixteen_bits_are_stretched():
    frame = discs(0, [(80, 100)], radius=12, noise=0, dtype=np.uint16)
    image = shown(cut_out(frame.image // 40, (68, 88, 92, 112), 0.5, 32_768))
    assert image.min() < 10
    assert image.max() > 245
