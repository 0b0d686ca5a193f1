"""Labelled data folders of drawn cells: pale discs and dark smaller ones on a light ground."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


def draw_image(rng: np.random.Generator, side_px: int = 120) -> tuple[np.ndarray, list[str]]:
    """A (S, S, 3) uint8 image and its label lines."""
    image = np.full((side_px, side_px, 3), (225, 228, 230), np.uint8)
    lines = []
    for row in range(3):
        for column in range(3):
            dark = rng.random() < 0.3
            radius = int(rng.integers(6, 8) if dark else rng.integers(12, 15))
            y, x = (int(20 + 40 * v + rng.integers(-4, 5)) for v in (row, column))
            cv2.circle(image, (x, y), radius, (90, 40, 110) if dark else (190, 140, 150), -1, cv2.LINE_AA)
            size = (2 * radius + 1) / side_px
            lines.append(
                f"{int(dark)} {(x + 0.5) / side_px:.5f} {(y + 0.5) / side_px:.5f} {size:.5f} {size:.5f}"
            )
    return image, lines


def _write_data(root: Path, train: int = 12, val: int = 4) -> Path:
    """Write ROOT/train and ROOT/val with images, labels and classes.txt; returns ROOT."""
    rng = np.random.default_rng(5)
    for part, number in (("train", train), ("val", val)):
        for folder in ("images", "labels"):
            (root / part / folder).mkdir(parents=True)
        for i in range(number):
            image, lines = draw_image(rng)
            cv2.imwrite(
                str(root / part / "images" / f"{part}{i:02d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            )
            (root / part / "labels" / f"{part}{i:02d}.txt").write_text(
                "\n".join(lines) + "\n", encoding="utf-8"
            )
    (root / "classes.txt").write_text("pale\ndark\n", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def write_data() -> Callable[..., Path]:
    """A function that draws a data folder."""
    return _write_data


def _write_masks(root: Path, train: int = 8, val: int = 3) -> Path:
    """Write ROOT/train and ROOT/val with grey images and label images; returns ROOT."""
    rng = np.random.default_rng(6)
    for part, number in (("train", train), ("val", val)):
        for folder in ("images", "labels"):
            (root / part / folder).mkdir(parents=True)
        for i in range(number):
            image = rng.normal(20, 3, (120, 120))
            labels = np.zeros((120, 120), np.uint16)
            for cell, (row, column) in enumerate(np.ndindex(3, 3), 1):
                y, x = (int(20 + 40 * v + rng.integers(-4, 5)) for v in (row, column))
                cv2.circle(labels, (x, y), int(rng.integers(9, 15)), cell, -1)
            image[labels > 0] += 80
            name = f"{part}{i:02d}.png"
            cv2.imwrite(str(root / part / "images" / name), np.clip(image, 0, 255).astype(np.uint8))
            cv2.imwrite(str(root / part / "labels" / name), labels)
    return root


@pytest.fixture(scope="session")
def draw_cells() -> Callable[..., tuple[np.ndarray, list[str]]]:
    """The function that draws one image and gives its label lines."""
    return draw_image


@pytest.fixture(scope="session")
def write_masks() -> Callable[..., Path]:
    """A function that draws a data folder with masks."""
    return _write_masks
