"""Random changes that another lab's microscope, stain and camera would make."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Ruifrok & Johnston 2001, optical density vectors of haematoxylin, eosin and the residual (rows, RGB).
STAIN_VECTORS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], np.float32)
STAIN_INVERSE = np.linalg.inv(STAIN_VECTORS).astype(np.float32)


def draw_scale(rng: np.random.Generator) -> float:
    """Draw the cell's size relative to the net's: near 1 mostly, from half to double sometimes."""
    if rng.random() < 0.2:
        return float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    return float(np.exp(np.clip(rng.normal(0, 0.13), -0.35, 0.35)))


def jitter_stain(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary stain amounts and stain vectors in optical-density space, and the light's tint; shape kept."""
    density = -np.log((image.astype(np.float32) + 1) / 256)
    amounts = np.diag(rng.uniform(0.65, 1.4, 3).astype(np.float32))
    vectors = STAIN_VECTORS + rng.normal(0, 0.06, (3, 3)).astype(np.float32)
    matrix = STAIN_INVERSE @ amounts @ vectors
    light = rng.normal(0, 0.06, 3).astype(np.float32)
    shifted = density.reshape(-1, 3) @ matrix + light
    return np.asarray(np.clip(256 * np.exp(-shifted) - 1, 0, 255).astype(np.uint8).reshape(image.shape))


def jitter_light(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary gamma, contrast, brightness, and sometimes the evenness of the light; shape kept."""
    gamma = float(np.exp(rng.normal(0, 0.2)))
    contrast, bright = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
    levels = 255 * np.linspace(0, 1, 256) ** gamma
    table = np.clip((levels - 128) * contrast + 128 + bright, 0, 255).astype(np.uint8)
    out = np.asarray(cv2.LUT(image, table), np.uint8)
    if rng.random() < 0.25:
        height, width = image.shape[:2]
        slope = rng.uniform(-0.2, 0.2, 2)
        plane = (
            1 + slope[0] * np.linspace(-1, 1, height)[:, None] + slope[1] * np.linspace(-1, 1, width)[None]
        )
        out = np.clip(out * plane[..., None].astype(np.float32), 0, 255).astype(np.uint8)
    return out


def jitter_sharpness(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Sometimes defocus, add sensor noise, or compress as JPEG; shape kept."""
    if rng.random() < 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 10), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 85))])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image


def jitter_colour(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply stain, light and sharpness changes, and rarely take the colour away altogether."""
    if rng.random() < 0.85:
        image = jitter_stain(image, rng)
    if rng.random() < 0.06:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = np.asarray(cv2.merge([grey, grey, grey]), np.uint8)
    return jitter_sharpness(jitter_light(image, rng), rng)
