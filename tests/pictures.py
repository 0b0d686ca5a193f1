"""Pictures of cells whose every fault is known."""

from __future__ import annotations

import cv2
import numpy as np

from streamcount.types import FrameMetadata


def cells(count=40, *, seed=0, side=256, noise=2.0, blur=0.0, level=180.0, dtype=np.uint8):
    """Dark cells with a paler middle on a bright field; the noise comes after the blur."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side), level, np.float32)
    for y, x in rng.integers(10, side - 10, (count, 2)):
        cv2.circle(image, (int(x), int(y)), 9, level * 0.5, -1, cv2.LINE_AA)
        cv2.circle(image, (int(x), int(y)), 3, level * 0.8, -1, cv2.LINE_AA)
    image = cv2.GaussianBlur(image, (0, 0), 1.0 + blur)
    image += rng.normal(0, noise, image.shape).astype(np.float32)
    scale = 1 if dtype == np.uint8 else 257
    return (np.clip(image, 0, 255).round() * scale).astype(dtype)


def metadata(sequence):
    return FrameMetadata(camera_id="a", run_id="r", sequence=sequence, acquired_at_ns=1000 * sequence)
