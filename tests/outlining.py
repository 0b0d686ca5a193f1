"""Outlines painted, to be held against masks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FINER, FRACTION_BITS = 4, 6


def painted(points: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(4 H, 4 W) what lies within points (K, 2), (y, x) in pixels from the image's corner; shape: (H, W)."""
    canvas = np.zeros((shape[0] * FINER, shape[1] * FINER), np.uint8)
    # OpenCV counts from the middle of a pixel.
    at = np.round((points[:, ::-1] * FINER - 0.5) * 2**FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [at[:, None]], 1, shift=FRACTION_BITS)
    return canvas > 0


def overlap_with(points: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Intersection over union of what lies within points (K, 2) and a mask (H, W)."""
    finer = np.repeat(np.repeat(mask, FINER, axis=0), FINER, axis=1)
    within = painted(points, (mask.shape[0], mask.shape[1]))
    return float((within & finer).sum() / (within | finer).sum())


def ellipse_in(box: NDArray[np.floating]) -> NDArray[np.floating]:
    """(64, 2) points of the ellipse in a box (4,)."""
    angles = np.arange(64) * (2 * np.pi / 64)
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return np.asarray(middle + half * np.stack([np.sin(angles), np.cos(angles)], axis=1))
