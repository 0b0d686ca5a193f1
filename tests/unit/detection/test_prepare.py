"""What a net is fed of an image of any kind."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.detection.prepare import Exposure, bright_level, prepare


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3)])
def test_sixteen_bits_are_stretched_and_grey_is_repeated(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(1000, 3000, shape).astype(np.uint16)
    out = prepare(image)
    assert out.shape == (48, 64, 3)
    assert out.dtype == np.uint8
    assert out.min() == 0
    assert out.max() == 255


def test_a_hot_pixel_does_not_darken_a_twelve_bit_image() -> None:
    image = np.random.default_rng(0).integers(100, 400, (256, 256)).astype(np.uint16)
    image[32, 32] = 4095
    assert 100 < prepare(image).mean() < 155


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3)])
def test_a_grey_net_gets_one_channel(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    assert prepare(image, 1).shape == (48, 64, 1)


def test_a_dim_image_is_stretched_over_all_levels() -> None:
    image = np.random.default_rng(0).integers(3, 40, (64, 64)).astype(np.uint8)
    assert np.array_equal(prepare(image, 1)[..., 0], image)
    out = prepare(image, 1, "percentile")
    assert (int(out.min()), int(out.max())) == (0, 255)
    root = prepare(image, 1, "percentile-sqrt")
    assert root.mean() > out.mean() + 20


def test_the_noise_of_an_empty_image_is_not_stretched_into_cells() -> None:
    image = np.random.default_rng(0).integers(10, 13, (64, 64)).astype(np.uint8)
    assert prepare(image, 1, "percentile").max() < 60


def test_the_same_picture_in_eight_and_in_sixteen_bits_looks_the_same() -> None:
    image = np.random.default_rng(0).integers(5, 200, (64, 64)).astype(np.uint8)
    eight = prepare(image, 1, "percentile").astype(int)
    sixteen = prepare(image.astype(np.uint16) * 257, 1, "percentile").astype(int)
    assert np.abs(eight - sixteen).max() <= 5


def test_only_an_image_darker_than_what_the_model_has_seen_is_lit() -> None:
    image = np.random.default_rng(0).integers(20, 61, (64, 64, 3)).astype(np.uint8)
    lit = prepare(image, exposure=Exposure(darkest=100, usual=180))
    assert abs(bright_level(lit) - 180) < 2
    assert np.array_equal(lit, np.round(image * (180 / bright_level(image))))
    assert np.array_equal(prepare(image, exposure=Exposure(darkest=50, usual=180)), image)
    assert np.array_equal(prepare(image, exposure=Exposure()), image)


def test_an_image_without_light_is_left_dark() -> None:
    image = np.full((64, 64, 3), 9, np.uint8)
    assert np.array_equal(prepare(image, exposure=Exposure(darkest=100, usual=180)), image)
