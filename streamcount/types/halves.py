"""A frame's picture at half its size, from which several measures of it are taken."""

from __future__ import annotations

import cv2
import numpy as np

from streamcount.types.frame import Image


def halved(image: Image) -> Image:
    """(H // 2, W // 2, ...) of (H, W) or (H, W, 3), each pixel the mean of four; an odd row or column is left out.

    Raises ValueError where a side is a single pixel.
    """
    height, width = image.shape[0] // 2, image.shape[1] // 2
    if not height or not width:
        raise ValueError(f"an image of shape {image.shape} has no half")
    even = image[: 2 * height, : 2 * width]
    half = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.uint16) if image.dtype == np.uint16 else np.asarray(half, np.uint8)
