"""Measures of pictures whose every fault is known."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from streamcount.errors import FrameError
from streamcount.quality import measure
from streamcount.quality.measure import on_scale
from streamcount.types.halves import halved
from tests.pictures import cells

module = sys.modules["streamcount.quality.measure"]


@pytest.mark.parametrize("noise", [1.0, 4.0])
def test_blur_lowers_sharpness_and_slope_though_the_noise_comes_after_it(noise):
    measured = [measure(cells(blur=blur, noise=noise)) for blur in (0.0, 1.0, 2.0, 4.0)]
    for name in ("sharpness", "power_slope"):
        values = [getattr(one, name) for one in measured]
        assert values == sorted(values, reverse=True), name


def test_fewer_or_more_cells_change_focus_less_than_a_slight_blur():
    usual = measure(cells(60))
    blurred = measure(cells(60, blur=1.0))
    for count in (10, 30, 120):
        other = measure(cells(count, seed=count))
        assert abs(other.sharpness - usual.sharpness) < 0.6 * (usual.sharpness - blurred.sharpness)


def test_grey_colour_and_16_bits_of_one_picture_measure_alike():
    grey = cells()
    plain = measure(grey)
    for other in (np.dstack([grey] * 3), cells(dtype=np.uint16)):
        seen = measure(other)
        assert seen.sharpness == pytest.approx(plain.sharpness, abs=0.05)
        assert seen.level == pytest.approx(plain.level, abs=0.005)
        assert seen.profile == pytest.approx(plain.profile, abs=0.005)


@pytest.mark.parametrize("white", [1023, 4095, 16383, 65535])
def test_a_16_bit_camera_is_white_where_its_converter_ends(white):
    image = np.full((64, 64), white // 2, np.uint16)
    image[:, :16] = white
    assert measure(image).saturated_fraction == pytest.approx(0.25)


@pytest.mark.parametrize(("least", "most"), [(1023, 4095), (4095, 16383), (16383, 65535)])
def test_the_bits_of_16_are_guessed_by_the_brightest_pixel_and_two_guesses_can_be_compared(least, most):
    image = np.full((64, 64), least // 2, np.uint16)
    image[:, :16] = least
    darker = measure(image)
    image[0, 0] = least + 1
    seen = measure(image)
    assert (darker.full_white, seen.full_white) == (least, most)
    told = on_scale(darker, most)
    assert told.full_white == most
    assert (told.level, told.contrast) == pytest.approx((seen.level, seen.contrast), rel=1e-3)
    assert told.profile == pytest.approx(seen.profile, rel=1e-3)


def test_white_and_black_are_told_of_any_channel():
    image = np.full((64, 64, 3), 100, np.uint8)
    image[:, :32, 1] = 255
    image[:, 48:] = 0
    seen = measure(image)
    assert (seen.saturated_fraction, seen.dark_fraction) == (0.5, 0.25)


def test_a_slope_of_light_is_uneven_and_cells_on_one_side_are_not():
    ramp = np.tile(np.linspace(60, 180, 256), (256, 1)).astype(np.uint8)
    assert measure(ramp).unevenness == pytest.approx(1.0, abs=0.1)
    crowd = np.full((256, 256), 180, np.uint8)
    for y in range(24, 250, 48):
        for x in range(24, 120, 48):
            cv2.circle(crowd, (x, y), 9, 60, -1)
    assert measure(crowd).unevenness < 0.2


def test_noise_gains_are_what_noise_makes():
    noise = np.random.default_rng(0).normal(30000, 2000, (1024, 1024)).astype(np.uint16)
    assert module._noise_variance(noise) == pytest.approx(2000**2, rel=0.05)
    powers = [cv2.Laplacian(plane, cv2.CV_32F).var() / 2000**2 for plane in module._octaves(halved(noise))]
    assert powers == pytest.approx(module.NOISE_GAINS, rel=0.1)


@pytest.mark.parametrize("level", [0, 7, 255])
@pytest.mark.parametrize("side", [16, 33, 101])
def test_a_flat_picture_has_finite_measures(level, side):
    seen = measure(np.full((side, side + 3), level, np.uint8))
    assert np.isfinite([seen.sharpness, seen.power_slope, seen.contrast, seen.unevenness]).all()
    assert seen.contrast == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((15, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64,), np.uint8),
        np.zeros((64, 64), np.float32),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_give(image):
    with pytest.raises(FrameError, match="give"):
        measure(image)
