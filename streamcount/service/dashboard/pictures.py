"""Pictures for the screen: 8-bit JPEG, scaled to who is looking, each made once however many look."""

from __future__ import annotations

import threading
from collections import OrderedDict

import cv2
import numpy as np

from streamcount.errors import FrameError
from streamcount.service.dashboard.camera import Picture
from streamcount.types import Image
from streamcount.wire import decode_image

KEPT_BYTES = 32 * 2**20
JPEG_QUALITY = 82
# Widths are rounded up to these, so that viewers with windows of any size share pictures.
WIDTHS_PX = (160, 240, 320, 480, 640, 960, 1280, 1920)


class ScaledPictures:
    """Makes and keeps scaled pictures, the least used forgotten first. Safe for threads.

    max_pixels: larger frames are refused before they are unpacked.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._bytes = 0

    def jpeg(self, camera_id: str, picture: Picture, width_px: int) -> bytes:
        """The picture as JPEG, about `width_px` wide and never wider than it is; 16 bits are spread over 8.

        Raises FrameError where the frame cannot be read.
        """
        width_px = next((width for width in WIDTHS_PX if width >= width_px), WIDTHS_PX[-1])
        key = (camera_id, picture.run_id, picture.sequence, width_px)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = scaled_jpeg(decode_image(picture.data, picture.content_type, self._max_pixels), width_px)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = data
                self._bytes += len(data)
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return data


def scaled_jpeg(image: Image, width_px: int) -> bytes:
    """JPEG of an image, (H, W) or (H, W, 3) RGB, scaled down to a width. Raises FrameError ("cannot-encode").

    16-bit images are shown from their 0.1st to their 99.9th percentile: cameras of 12 bits look black otherwise.
    """
    height, width = image.shape[:2]
    if width > width_px:
        size = (width_px, max(1, round(height * width_px / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if image.dtype == np.uint16:
        low, high = np.percentile(image, (0.1, 99.9))
        spread = np.clip((image.astype(np.float32) - low) * (255 / max(high - low, 1)), 0, 255)
        image = spread.astype(np.uint8)
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise FrameError("cannot-encode", f"OpenCV could not write {image.shape} {image.dtype} as JPEG")
    return data.tobytes()
