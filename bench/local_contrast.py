"""Cells in phase contrast without a model: local contrast, halos taken off along the gradient.

After Jaccard et al., Biotechnol. Bioeng. 111 (2014) 504 (PHANTAST). It is no detector of the product: docs/units.md
says how far from the truth it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# Chosen on every third of the images of Usiigaci that are not held out.
SPREAD_PX, CONTRAST, SMOOTH_PX = 2.0, 0.08, 0.8
SMALLEST_PX = 150
WIDEST_HALO_PX = 60
# Neighbours (y, x), one after the other around a pixel.
RING = np.array([(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)])


def cells_of(grey: NDArray[np.integer]) -> Mask:
    """Where cells are in an image (H, W)."""
    image = grey.astype(np.float32)
    mean = cv2.GaussianBlur(image, (0, 0), SPREAD_PX)
    squares = cv2.GaussianBlur(image * image, (0, 0), SPREAD_PX)
    found = _large(np.sqrt(np.maximum(squares - mean * mean, 0)) > CONTRAST * np.maximum(mean, 1))
    found = _without_halo(found, _uphill(cv2.GaussianBlur(image, (0, 0), SMOOTH_PX)))
    opened = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    return np.asarray(~_large(~_large(opened)))


def _large(mask: Mask) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_PX
    keep[0] = False
    return np.asarray(keep[labels])


def _uphill(image: NDArray[np.float32]) -> NDArray[np.int64]:
    """(H, W) the index in RING of the side to which the image rises most (Kirsch's operator)."""
    answers = []
    for middle in range(len(RING)):
        kernel = np.full((3, 3), -3, np.float32)
        kernel[1, 1] = 0
        for y, x in RING[(middle + np.arange(-1, 2)) % len(RING)]:
            kernel[y + 1, x + 1] = 5
        answers.append(cv2.filter2D(image, cv2.CV_32F, kernel))
    return np.argmax(answers, axis=0)


def _without_halo(mask: Mask, uphill: NDArray[np.int64]) -> Mask:
    """From the mask's rim inwards, as long as the image rises the same way."""
    left = mask.copy()
    core = cv2.erode(left.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    places = np.argwhere(left & ~core)
    for _ in range(WIDEST_HALO_PX):
        if not len(places):
            break
        left[tuple(places.T)] = False
        ways = uphill[tuple(places.T)]
        ahead = places + RING[ways]
        inside = ((ahead >= 0) & (ahead < left.shape)).all(axis=1)
        ahead, ways = ahead[inside], ways[inside]
        turn = np.abs(uphill[tuple(ahead.T)] - ways)
        same = np.minimum(turn, len(RING) - turn) <= 1
        places = np.unique(ahead[left[tuple(ahead.T)] & same], axis=0)
    return left
