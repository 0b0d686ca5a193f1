"""One cell's picture out of a frame, as a JPEG of bounded size."""

from __future__ import annotations

import cv2
import numpy as np

from streamcount.types import Image
from streamcount.wire import encode_image

QUALITIES = (90, 75, 60)
# Beyond it a crop is reduced at once: nothing larger is looked at.
LARGEST_SIDE_PX = 512
SHRINK = 0.7


def cut_out(image: Image, box_px: tuple[float, float, float, float], margin: float, max_bytes: int) -> bytes:
    """JPEG of at most `max_bytes` (from 2048) of the box (y0, x0, y1, x1) and a margin, the same for the same input.

    margin: in longer sides of the box. What does not fit is coded more coarsely, and then made smaller. An image of
    16 bits is stretched from the crop's darkest to its brightest pixel.
    """
    crop = _crop(image, box_px, margin)
    if crop.dtype == np.uint16:
        low, high = int(crop.min()), int(crop.max())
        crop = ((crop.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)
    scale = min(1.0, LARGEST_SIDE_PX / max(crop.shape[:2]))
    while True:
        size = tuple(max(1, round(scale * side)) for side in (crop.shape[1], crop.shape[0]))
        small = crop if scale == 1 else cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        for quality in QUALITIES:
            data = encode_image(np.asarray(small, np.uint8), "jpeg", quality)
            if len(data) <= max_bytes:
                return data
        scale *= SHRINK


def _crop(image: Image, box_px: tuple[float, float, float, float], margin: float) -> Image:
    y0, x0, y1, x1 = box_px
    around = margin * max(y1 - y0, x1 - x0)
    height, width = image.shape[:2]
    top, left = (int(np.clip(np.floor(v - around), 0, n - 1)) for v, n in ((y0, height), (x0, width)))
    bottom, right = (int(np.ceil(v + around)) for v in (y1, x1))
    crop: Image = np.ascontiguousarray(  # type: ignore[assignment]
        image[top : min(max(bottom, top + 1), height), left : min(max(right, left + 1), width)]
    )
    return crop
