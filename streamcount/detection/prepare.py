"""From a camera's image to what a net is fed: eight bits, RGB or grey, evenly bright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.types import Image

Normalisation: TypeAlias = Literal["none", "percentile", "percentile-sqrt"]
PERCENTILES = (0.5, 99.8)
# An image whose percentiles lie closer shows nothing: stretched further, its noise would look like cells.
LEAST_RANGE_8_BIT = 12
BRIGHT_PERCENTILE = 95  # of a field with cells, about the level of what is between them
LEAST_LIGHT = 16  # below it there is more noise than picture


@dataclass(frozen=True)
class Exposure:
    """How bright a model's training images were, as `bright_level` tells: nearly the darkest, and the usual one.

    Zeros: unknown.
    """

    darkest: float = 0.0
    usual: float = 0.0


def prepare(
    image: Image, channels: int = 3, normalise: Normalisation = "none", exposure: Exposure | None = None
) -> NDArray[np.uint8]:
    """(H, W, channels) uint8 of an (H, W) or (H, W, 3) image of 8 or 16 bits.

    Twelve- and sixteen-bit images are always stretched between percentiles 0.5 and 99.8, which a few dead or hot
    pixels do not move; 8-bit ones with `normalise` "percentile". "percentile-sqrt" takes the square root too, so that
    dim nuclei beside bright ones keep some of the 256 levels. With `normalise` "none", an image that is darker than
    what the model has seen is multiplied until it is as bright as usual, and every other stays as it is.
    """
    root = normalise == "percentile-sqrt"
    if channels == 1 and image.ndim == 3:
        image = _grey(image)
    if image.dtype == np.uint16:
        image = _stretched_16(image, root)
    elif normalise != "none":
        image = _stretched_8(np.asarray(image, np.uint8), root)
    elif exposure is not None:
        image = _lit(np.asarray(image, np.uint8), exposure)
    if channels == 1:
        return np.asarray(image, np.uint8)[..., None]
    return np.asarray(cv2.merge([image] * 3) if image.ndim == 2 else image, np.uint8)


def bright_level(image: Image) -> float:
    """The 95th percentile of an (H, W) or (H, W, 3) image, of its brightest channel."""
    some = image[::8, ::8]
    return float(np.percentile(some.max(axis=2) if some.ndim == 3 else some, BRIGHT_PERCENTILE))


def _lit(image: NDArray[np.uint8], exposure: Exposure) -> NDArray[np.uint8]:
    level = bright_level(image)
    if not LEAST_LIGHT <= level < exposure.darkest:
        return image
    return np.asarray(cv2.convertScaleAbs(image, alpha=exposure.usual / level), np.uint8)


def _grey(image: Image) -> Image:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.uint16) if image.dtype == np.uint16 else np.asarray(grey, np.uint8)


def _stretched_16(image: Image, root: bool) -> NDArray[np.uint8]:
    # A sixteenth of the pixels tells the percentiles well, and sorting them all would cost more than the net.
    low, high = np.percentile(image[::4, ::4], PERCENTILES)
    return _stretched(image, float(low), float(high), 1.0, root)


def _stretched_8(image: NDArray[np.uint8], root: bool) -> NDArray[np.uint8]:
    counts = np.bincount(image[::2, ::2].ravel(), minlength=256)
    reached = np.cumsum(counts) / counts.sum()
    low, high = (int(np.searchsorted(reached, percent / 100)) for percent in PERCENTILES)
    # One of 256 levels at a time through a table is many times quicker than arithmetic on every pixel.
    table = _stretched(np.arange(256), low, high, LEAST_RANGE_8_BIT, root)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def _stretched(
    image: NDArray[np.generic], low: float, high: float, least: float, root: bool
) -> NDArray[np.uint8]:
    part = (image.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, least))
    np.clip(part, 0, 1, out=part)
    return (255 * (np.sqrt(part) if root else part)).astype(np.uint8)
