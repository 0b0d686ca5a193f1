"""Light and camera: from the planes of all cells to the numbers that a camera gives.

Background with gradient, vignetting and dust is fixed for a run; noise is new in each frame. Shot noise is
Poisson's variance in its normal form, which nobody can tell from the discrete one above 20 electrons.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from streamcount.sources.simulated.config import SimulatedConfig
from streamcount.sources.simulated.shapes import Plane
from streamcount.types import Image

# Optical densities (red, green, blue; natural logarithm) of a unit of eosin-stained haemoglobin and of
# the purple thiazine-eosinate of nuclei, as measured on Romanowsky-stained blood.
EOSIN_OD = (0.31, 0.475, 0.24)
THIAZINE_OD = (1.05, 1.75, 0.46)
# The third column is for a third plane that counts for nothing: OpenCV is nine times as fast with three as with two.
DENSITIES = -np.array([EOSIN_OD, THIAZINE_OD, (0, 0, 0)], np.float32).T

# Two lamps between which a run's white lies: a warm pinkish one and a cream one (relative to full scale).
LAMPS = np.array([[0.88, 0.755, 0.70], [0.985, 0.905, 0.815]])

NOISE_MARGIN_PX = 96
STRIP_PX = 32


class Optics:
    """Background and noise of one run. fixed: chance for the background; noise: for each frame's noise."""

    def __init__(
        self, config: SimulatedConfig, fixed: np.random.Generator, noise: np.random.Generator
    ) -> None:
        self._config = config
        self._noise = noise
        self._background = self._make_background(fixed)
        shape = (config.height_px + NOISE_MARGIN_PX, config.width_px + NOISE_MARGIN_PX)
        channels = (3,) if config.modality == "bright-field" else ()
        # Shot noise has the deviation sqrt(light / electrons): the second root is in the bank already.
        bank = noise.standard_normal((*shape, *channels), np.float32)
        self._bank: Plane = bank / np.float32(np.sqrt(config.electrons))
        self._floor = np.float32(config.read_noise_electrons**2 / config.electrons)
        self._full = float(2**config.bit_depth - 1)

    def expose(self, planes: tuple[Plane, Plane]) -> Image:
        """The frame of two (H, W) planes of contrast: (H, W, 3) RGB or (H, W), uint8 or uint16."""
        config, rng = self._config, self._noise
        top, left = (int(number) for number in rng.integers(0, NOISE_MARGIN_PX + 1, 2))
        gain = self._full * (1 + 0.003 * float(rng.standard_normal()))
        sign = self._full * (-1.0 if rng.random() < 0.5 else 1.0)
        noise = self._bank[top : top + config.height_px, left : left + config.width_px]
        wide = planes[0] if config.modality == "bright-field" else self._wide(planes[0])
        depth, dtype = (cv2.CV_8U, np.uint8) if config.bit_depth == 8 else (cv2.CV_16U, np.uint16)
        image: Any = np.empty(self._background.shape, dtype)
        # Strip by strip, so that what one step leaves is still in the processor's cache for the next.
        for start in range(0, config.height_px, STRIP_PX):
            strip = slice(start, start + STRIP_PX)
            light = self._light(planes[0][strip], planes[1][strip], wide[strip])
            cv2.multiply(light, self._background[strip], light)
            spread = np.sqrt(light + self._floor)
            cv2.multiply(spread, noise[strip], spread)
            cv2.addWeighted(light, gain, spread, sign, 0.0, image[strip], depth)
        if config.bit_depth == 12:
            np.minimum(image, np.uint16(self._full), out=image)
        digits: Image = image
        return digits

    def _light(self, first: Plane, second: Plane, wide: Plane) -> Plane:
        modality = self._config.modality
        if modality == "bright-field":
            return _transmitted(first, second)
        return _interfered(first, second, wide) if modality == "phase-contrast" else _emitted(first, wide)

    def _wide(self, plane: Plane) -> Plane:
        """What spreads far: the halo of the phase ring, the haze of scattered emission."""
        reach_um = 3.2 if self._config.modality == "phase-contrast" else 7.0
        return _wide_blur(plane, reach_um / self._config.pixel_um)

    def _make_background(self, rng: np.random.Generator) -> Plane:
        config = self._config
        y = np.linspace(-1, 1, config.height_px)[:, None]
        x = np.linspace(-1, 1, config.width_px)[None, :]
        slope = rng.uniform(0, 2 * np.pi)
        light: Any = 1 - config.vignetting * (x * x + y * y) / 2
        light = light + 0.5 * config.background_gradient * (x * np.cos(slope) + y * np.sin(slope))
        light = np.asarray(light, np.float32) * self._dust(rng)
        lamp = LAMPS[0] + rng.random() * (LAMPS[1] - LAMPS[0])
        if config.modality == "bright-field":
            tinted = light[..., None] * lamp.astype(np.float32)
            return np.ascontiguousarray(np.clip(tinted, 0, 0.995), np.float32)
        if config.modality == "phase-contrast":
            return np.asarray(light * np.float32(0.42) * self._grime(rng), np.float32)
        return np.asarray(light, np.float32)

    def _grime(self, rng: np.random.Generator) -> Plane:
        """Fine dirt of the dish, which phase contrast shows and nothing else does."""
        shape = (self._config.height_px, self._config.width_px)
        fine: Any = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), 1.3)
        fine = fine / max(float(fine.std()), 1e-6)
        specks = np.clip(np.abs(fine) - 3.2, 0, 1) * np.sign(fine) * 0.18
        return np.asarray(1 + 0.010 * fine + cv2.GaussianBlur(specks, (0, 0), 1.0), np.float32)

    def _dust(self, rng: np.random.Generator) -> Plane:
        """Out-of-focus specks on the optics: they stand still while the stage moves."""
        config = self._config
        shade = np.ones((config.height_px, config.width_px), np.float32)
        for _ in range(config.dust):
            cy, cx = rng.uniform(0, 1, 2) * (config.height_px, config.width_px)
            size, depth = float(rng.uniform(3, 11)), float(rng.uniform(0.02, 0.07))
            reach = int(4 * size)
            y0, x0 = max(int(cy) - reach, 0), max(int(cx) - reach, 0)
            part = shade[y0 : int(cy) + reach, x0 : int(cx) + reach]
            y, x = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
            distance = np.hypot(y - cy, x - cx) / size
            part *= (
                1 - depth * np.exp(-(distance**4)) - 0.3 * depth * np.exp(-(((distance - 1.5) / 0.3) ** 2))
            ).astype(np.float32)
        return shade


def _transmitted(eosin: Plane, thiazine: Plane) -> Plane:
    """Beer and Lambert: the densities of the stains add up."""
    light = cv2.transform(cv2.merge([eosin, thiazine, thiazine]), DENSITIES)
    return np.asarray(cv2.exp(light, light), np.float32)


def _interfered(retardation: Plane, glow: Plane, wide: Plane) -> Plane:
    """Positive phase contrast: dark where light is retarded, and a halo, as the phase ring is not a point.

    The halo is the object's own low-pass: Yin et al., Medical Image Analysis 16, 1047 (2012).
    """
    light = cv2.addWeighted(retardation, -0.36, wide, 0.42, 1.0)
    cv2.addWeighted(light, 1.0, glow, 2.0, 0.0, light)
    return np.maximum(light, np.float32(0))


def _emitted(emission: Plane, haze: Plane) -> Plane:
    """Emission over a dim background, with a little light scattered widely."""
    return np.asarray(cv2.addWeighted(emission, 1.0, haze, 0.10, 0.035), np.float32)


def _wide_blur(plane: Plane, sigma_px: float) -> Plane:
    """A Gaussian blur of a wide sigma, done at a quarter of the size."""
    if sigma_px < 6 or min(plane.shape) < 64:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma_px, 0.3)), np.float32)
    height, width = plane.shape
    small = cv2.resize(plane, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / 4)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
