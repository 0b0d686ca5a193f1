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


def jitter_light(
    image: NDArray[np.uint8], rng: np.random.Generator, strength: float = 1.0
) -> NDArray[np.uint8]:
    """Vary gamma, contrast, brightness, and sometimes the evenness of the light; shape kept."""
    gamma = float(np.exp(rng.normal(0, 0.2 * strength)))
    contrast, bright = 1 + strength * rng.uniform(-0.2, 0.2), strength * rng.uniform(-20, 20)
    levels = 255 * np.linspace(0, 1, 256) ** gamma
    table = np.clip((levels - 128) * contrast + 128 + bright, 0, 255).astype(np.uint8)
    out = np.asarray(cv2.LUT(image, table), np.uint8).reshape(image.shape)
    if rng.random() < 0.25:
        height, width = image.shape[:2]
        slope = strength * rng.uniform(-0.2, 0.2, 2)
        plane = (
            1 + slope[0] * np.linspace(-1, 1, height)[:, None] + slope[1] * np.linspace(-1, 1, width)[None]
        )
        out = np.clip(out * plane[..., None].astype(np.float32), 0, 255).astype(np.uint8)
    return out


def jitter_sharpness(
    image: NDArray[np.uint8], rng: np.random.Generator, strength: float = 1.0
) -> NDArray[np.uint8]:
    """Sometimes defocus, add sensor noise, or compress as JPEG; shape kept."""
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(image, (0, 0), strength * rng.uniform(0.4, 1.6))
        image = np.asarray(blurred, np.uint8).reshape(image.shape)
    if rng.random() < 0.3:
        noise = rng.normal(0, strength * rng.uniform(2, 10), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 85))])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_ANYCOLOR), np.uint8).reshape(image.shape)
    return image


def jitter_grey(
    image: NDArray[np.uint8], rng: np.random.Generator, strength: float = 1.0
) -> NDArray[np.uint8]:
    """Vary an (H, W, 1) fluorescence or phase-contrast image: light, out-of-focus haze, focus, noise.

    strength: less than 1 for images whose brightness is evened out before; there, how bright a halo is tells where
    its cell ends.
    """
    out = image[..., 0]
    if rng.random() < 0.25 * strength:
        # What lies out of focus adds a smooth glow.
        coarse = rng.uniform(0, rng.uniform(5, 60), (4, 4)).astype(np.float32)
        haze = cv2.resize(coarse, (out.shape[1], out.shape[0]), interpolation=cv2.INTER_CUBIC)
        out = np.clip(out * np.float32(rng.uniform(0.7, 1.0)) + haze, 0, 255).astype(np.uint8)
    if rng.random() < 0.5 * strength:
        gamma = float(np.exp(rng.normal(0, 0.35 * strength)))
        table = np.clip(255 * np.linspace(0, 1, 256) ** gamma, 0, 255).astype(np.uint8)
        out = np.asarray(cv2.LUT(out, table), np.uint8)
    lit = jitter_light(out[..., None], rng, strength)
    return jitter_sharpness(lit, rng, strength).reshape(image.shape)


def jitter_colour(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply stain, light and sharpness changes, and rarely take the colour away altogether."""
    if rng.random() < 0.85:
        image = jitter_stain(image, rng)
    if rng.random() < 0.06:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = np.asarray(cv2.merge([grey, grey, grey]), np.uint8)
    return jitter_sharpness(jitter_light(image, rng), rng)


def overlap_cells(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], pick: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """Lay copies of cells partly over other cells, as on thick smears. Image (H, W, 3).

    Light passes both cells, so what they let through multiplies (Beer-Lambert). `pick`: which cells may be copied or
    covered. Returns the image, the boxes with those added at the end, and of each added one the cell it copies.
    """
    light = np.percentile(image[::4, ::4].reshape(-1, 3), 97, axis=0).astype(np.float32) + 1
    height, width = image.shape[:2]
    image, added, sources = image.copy(), [], []
    for _ in range(int(rng.integers(1, 4))):
        above, below = (int(k) for k in rng.choice(pick, 2))
        y0, x0, y1, x1 = np.round(boxes[above]).astype(int)
        size = np.array([y1 - y0, x1 - x0])
        if size.min() < 8 or y0 < 0 or x0 < 0 or y1 > height or x1 > width:
            continue
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.9)
        middle = (boxes[below, :2] + boxes[below, 2:]) / 2
        step = np.array([np.sin(angle), np.cos(angle)]) * reach * (boxes[below, 2:] - boxes[below, :2])
        top, left = np.round(middle + step - size / 2).astype(int)
        if top < 0 or left < 0 or top + size[0] > height or left + size[1] > width:
            continue
        passed = np.minimum((image[y0:y1, x0:x1].astype(np.float32) + 1) / light, 1)
        disc = np.zeros((size[0], size[1]), np.float32)
        at, axes = (int(size[1] // 2), int(size[0] // 2)), (int(size[1] // 2), int(size[0] // 2))
        cv2.ellipse(disc, at, axes, 0, 0, 360, 1.0, -1)
        disc = np.asarray(cv2.GaussianBlur(disc, (0, 0), 1.0), np.float32)[..., None]
        under = image[top : top + size[0], left : left + size[1]]
        under[:] = np.clip(under * (1 - disc + disc * passed), 0, 255).astype(np.uint8)
        added.append([top, left, top + size[0], left + size[1]])
        sources.append(above)
    more = np.array(added, np.float32).reshape(-1, 4)
    return image, np.vstack([boxes, more]).astype(np.float32), np.array(sources, np.int64)
