"""Cutting large labelled images into tiles with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import LabelledImage
from streamcount.training.data.write import write_labelled
from streamcount.types import Image


@dataclass(frozen=True)
class TileChoice:
    """size_px, overlap_px: of the tiles. visible: share of a cell that a tile must show to be labelled in it.

    masks: label images are written where the data has masks; else boxes.
    """

    size_px: int = 512
    overlap_px: int = 64
    visible: float = 0.4
    masks: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_px < self.size_px:
            raise TrainingError(f"--overlap {self.overlap_px} must be below --size {self.size_px}.")


@dataclass(frozen=True)
class Tile:
    """A piece of an image whose corner is at (top, left) px, with its cells; labels as in write_labelled."""

    top: int
    left: int
    image: Image
    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    labels: NDArray[np.int32] | None


def tile_starts(length: int, size: int, overlap: int) -> list[int]:
    """Where tiles begin along a side: evenly spread, overlapping by at least so much, none reaching out."""
    if length <= size:
        return [0]
    number = -(-(length - overlap) // (size - overlap))
    return [round(i * (length - size) / (number - 1)) for i in range(number)]


def cut(image: LabelledImage, choice: TileChoice) -> Iterator[Tile]:
    """The tiles of an image. A cell is labelled where enough of its box, or of its mask, is in the tile.

    Raises TrainingError for labels that are not complete: the tiles could not say so.
    """
    if not image.complete:
        raise TrainingError(
            f"{image.path}: not every cell is labelled, which tiles could not tell; leave it whole."
        )
    pixels = image.read()
    labels = image.masks() if image.masks is not None and choice.masks else None
    size, overlap = choice.size_px, choice.overlap_px
    for top in tile_starts(image.shape_px[0], size, overlap):
        for left in tile_starts(image.shape_px[1], size, overlap):
            window = (slice(top, top + size), slice(left, left + size))
            piece: Image = np.ascontiguousarray(pixels[window])  # type: ignore[assignment]
            if labels is None:
                boxes, ids = _boxes_within(image, top, left, piece.shape, choice.visible)
                yield Tile(top, left, piece, boxes, ids, None)
            else:
                boxes, ids, numbered = _masks_within(image, labels, window, choice.visible)
                yield Tile(top, left, piece, boxes, ids, numbered)


def _boxes_within(
    image: LabelledImage, top: int, left: int, shape_px: tuple[int, ...], visible: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    corner, size = np.array([top, left], np.float32), np.array(shape_px[:2], np.float32)
    low = np.clip(image.boxes_px[:, :2] - corner, 0, size)
    high = np.clip(image.boxes_px[:, 2:] - corner, 0, size)
    whole = (image.boxes_px[:, 2:] - image.boxes_px[:, :2]).prod(axis=1)
    keep = ((high - low).min(axis=1, initial=np.inf) > 0) & ((high - low).prod(axis=1) >= visible * whole)
    return np.hstack([low, high])[keep].astype(np.float32), image.class_ids[keep]


def _masks_within(
    image: LabelledImage, labels: NDArray[np.int32], window: tuple[slice, slice], visible: float
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int32]]:
    from scipy import ndimage

    number = len(image.class_ids)
    whole = np.bincount(labels.ravel(), minlength=number + 1)
    shown = np.bincount(labels[window].ravel(), minlength=number + 1)
    keep = (shown > 0) & (shown >= visible * whole)
    keep[0] = False
    numbers = np.zeros(number + 1, np.int32)
    numbers[keep] = np.arange(1, int(keep.sum()) + 1)
    piece = numbers[labels[window]]
    places = [p for p in ndimage.find_objects(piece) if p is not None]
    boxes = [(p[0].start, p[1].start, p[0].stop, p[1].stop) for p in places]
    return np.array(boxes, np.float32).reshape(-1, 4), image.class_ids[keep[1:]], piece


def write_tiles(image: LabelledImage, folder: Path, classes: int, choice: TileChoice) -> int:
    """Write the tiles of an image as NAME_yTOP_xLEFT; returns how many. Raises TrainingError."""
    written = 0
    for tile in cut(image, choice):
        name = f"{image.path.stem}_y{tile.top:05d}_x{tile.left:05d}"
        write_labelled(folder, name, tile.image, tile.boxes_px, tile.class_ids, tile.labels, classes)
        written += 1
    return written
