"""Labelled images: what every reader gives, and every training and every judgement takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.postprocess import iou_matrix
from streamcount.errors import TrainingError
from streamcount.types import Image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
DOUBLED_IOU = 0.7
FEWEST_TO_SHARE = 200


@dataclass(frozen=True)
class LabelledImage:
    """One image and its labelled cells, row i of each array being cell i.

    boxes_px: (N, 4) float32 [y0, x0, y1, x1] in pixels of the image. class_ids: (N,) int64. shape_px:
    (height, width). diameter_px: the reference cell's diameter (mean side of its box). masks: gives the (H, W) int32
    label image in which cell i has the value i + 1; None where only boxes are known. source: the lab, slide or
    sequence it is from; images of one source are alike. complete: every cell is labelled, so that it can be counted.
    pixel_size_um: side of a pixel in the specimen, where a detector is to be told.
    """

    path: Path
    shape_px: tuple[int, int]
    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    diameter_px: float = 0.0
    masks: Callable[[], NDArray[np.int32]] | None = None
    source: str = ""
    complete: bool = True
    pixel_size_um: float | None = None

    def read(self) -> Image:
        """The image as the camera gave it. Raises TrainingError when it cannot be decoded."""
        return read_image(self.path)

    def take(self, keep: NDArray[np.bool_]) -> LabelledImage:
        """The image with some of its cells only; the label image keeps to their new numbers."""
        masks = self.masks
        return replace(
            self,
            boxes_px=self.boxes_px[keep],
            class_ids=self.class_ids[keep],
            masks=None if masks is None else partial(_renumbered, masks, keep),
        )


class NoteKind(StrEnum):
    """What reading labels can find wrong; the value is how `streamcount data check` calls it."""

    UNREADABLE = "cannot be read"
    NO_LABEL = "image without label"
    NO_IMAGE = "label without image"
    BLANK = "blank image with cells, left out"
    DOUBLED = "doubled boxes, dropped"
    OUTSIDE = "boxes outside of the image, dropped"
    CLIPPED = "boxes that reach outside, clipped"
    PIECES_SPLIT = "masks in pieces, each made a cell"
    PIECES_DROPPED = "crumbs of masks, dropped"
    HIDDEN = "masks wholly under others, dropped"
    CROWD = "crowd regions, not counted"
    EMPTY = "no cell labelled"


@dataclass(frozen=True)
class Note:
    """One finding about one file. count: of boxes, masks or pieces. text: more about it."""

    kind: NoteKind
    path: Path
    count: int = 1
    text: str = ""


@dataclass(frozen=True)
class Dataset:
    """The images of one part (train or val), and what reading them found."""

    images: tuple[LabelledImage, ...]
    class_names: tuple[str, ...]
    doubled_boxes: int = 0
    relative_diameters: tuple[float, ...] = field(default=())
    notes: tuple[Note, ...] = ()

    def noted(self, kind: NoteKind) -> int:
        """How many boxes, masks, pieces or images were found so."""
        return sum(note.count for note in self.notes if note.kind is kind)

    def class_counts(self) -> NDArray[np.int64]:
        """Return (C,) int64: the boxes of each class."""
        counts = np.zeros(len(self.class_names), np.int64)
        for image in self.images:
            counts += np.bincount(image.class_ids, minlength=len(counts))
        return counts

    def digest(self) -> str:
        """A hash of which images these are and of what is labelled in them; pixels are not looked at."""
        told = hashlib.sha256(repr(self.class_names).encode())
        for image in self.images:
            told.update(image.path.name.encode() + image.boxes_px.tobytes() + image.class_ids.tobytes())
        return told.hexdigest()


def read_image(path: Path) -> Image:
    """Read one image as (H, W) grey or (H, W, 3) RGB, uint8 or uint16; an alpha channel is dropped.

    Raises TrainingError naming a file that cannot be decoded.
    """
    raw = np.fromfile(path, np.uint8)
    decoded = cv2.imdecode(raw, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH) if raw.size else None
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise TrainingError(
            f"{path} cannot be read as an image of 8 or 16 bits; replace it, or remove it and its label file."
        )
    rgb = decoded if decoded.ndim == 2 else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return np.asarray(rgb)  # type: ignore[return-value]


def _renumbered(masks: Callable[[], NDArray[np.int32]], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    numbers = np.zeros(len(keep) + 1, np.int32)
    numbers[1:][keep] = np.arange(1, int(keep.sum()) + 1)
    return np.asarray(numbers[masks()], np.int32)


def undoubled(boxes_px: NDArray[np.float32], class_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (N,) bool: False for a box that repeats an earlier one of its class at IoU >= 0.7."""
    keep = np.ones(len(boxes_px), bool)
    doubled = (iou_matrix(boxes_px, boxes_px) >= DOUBLED_IOU) & (class_ids[:, None] == class_ids[None])
    for i in range(1, len(boxes_px)):
        keep[i] = not (doubled[i, :i] & keep[:i]).any()
    return keep


def as_one_class(dataset: Dataset, name: str) -> Dataset:
    """The set with all cells called the same, which a model of any classes can be judged on."""
    images = tuple(replace(image, class_ids=np.zeros_like(image.class_ids)) for image in dataset.images)
    return Dataset(images, (name,))


def split_calibration(dataset: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """Split off ``share`` of the images by a hash of their names: (for training, for thresholds).

    Of fewer than 200 images none can be spared: they serve for both. A tenth of 100 images is too few to choose
    thresholds by, and bad thresholds cost more than those chosen on images that the weights have seen.
    """
    if len(dataset.images) < FEWEST_TO_SHARE:
        return dataset, dataset

    def chance(image: LabelledImage) -> float:
        return int.from_bytes(hashlib.sha256(image.path.name.encode()).digest()[:4], "big") / 2**32

    held = tuple(i for i in dataset.images if chance(i) < share) or dataset.images[-1:]
    rest = tuple(i for i in dataset.images if chance(i) >= share) or dataset.images
    names, relative = dataset.class_names, dataset.relative_diameters
    return Dataset(rest, names, 0, relative), Dataset(held, names, 0, relative)


def without_classes(dataset: Dataset, dropped: tuple[str, ...]) -> Dataset:
    """The set without the cells of some classes. Raises TrainingError where there is no such class."""
    unknown = sorted(set(dropped) - set(dataset.class_names))
    if unknown:
        known = ", ".join(dataset.class_names)
        raise TrainingError(f"--drop {unknown[0]!r} is no class of the data; take some of {known}.")
    if not dropped:
        return dataset
    kept = [i for i, name in enumerate(dataset.class_names) if name not in dropped]
    number = np.full(len(dataset.class_names), -1, np.int64)
    number[kept] = np.arange(len(kept))
    images = []
    for image in dataset.images:
        some = image.take(number[image.class_ids] >= 0)
        images.append(replace(some, class_ids=number[some.class_ids]))
    names, relative = dataset.class_names, dataset.relative_diameters
    return replace(
        dataset,
        images=tuple(images),
        class_names=tuple(names[i] for i in kept),
        relative_diameters=tuple(relative[i] for i in kept),
    )


def with_diameters(dataset: Dataset, reference_class: int | None) -> Dataset:
    """Measure the reference class (the commonest unless given) by its whole cells, in every image."""
    counts = dataset.class_counts()
    if not counts.sum():
        raise TrainingError("The data holds no box at all; label some cells first.")
    reference = int(counts.argmax()) if reference_class is None else reference_class
    sizes = [_whole_sizes(image) for image in dataset.images]
    diameters = _reference_diameters(dataset, sizes, reference)
    relative = []
    for class_id in range(len(counts)):
        own = [
            s[i.class_ids == class_id] / d for s, i, d in zip(sizes, dataset.images, diameters, strict=True)
        ]
        relative.append(_median(np.concatenate(own), 1.0))
    images = tuple(replace(i, diameter_px=d) for i, d in zip(dataset.images, diameters, strict=True))
    return replace(dataset, images=images, relative_diameters=tuple(relative))


def with_pixel_sizes(dataset: Dataset, cell_diameter_um: float) -> Dataset:
    """The set with a pixel size for each image, by which its reference cell is so large."""
    images = tuple(replace(i, pixel_size_um=cell_diameter_um / i.diameter_px) for i in dataset.images)
    return replace(dataset, images=images)


def _reference_diameters(dataset: Dataset, sizes: list[NDArray[np.float32]], reference: int) -> list[float]:
    """The reference cell's diameter by image; where an image shows too few, that of images of its shape."""
    own = [s[image.class_ids == reference] for s, image in zip(sizes, dataset.images, strict=True)]
    found = [_median(s, 0.0) if np.isfinite(s).sum() >= 2 else 0.0 for s in own]
    overall = _median(np.concatenate(own), 0.0) or _median(np.concatenate(sizes), 32.0)
    by_shape: dict[tuple[int, int], list[float]] = {}
    for image, diameter in zip(dataset.images, found, strict=True):
        if diameter:
            by_shape.setdefault(image.shape_px, []).append(diameter)
    return [
        diameter or float(np.median(by_shape.get(image.shape_px, [overall])))
        for image, diameter in zip(dataset.images, found, strict=True)
    ]


def _median(values: NDArray[np.float32], otherwise: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else otherwise


def _whole_sizes(image: LabelledImage) -> NDArray[np.float32]:
    """Return (N,) the geometric mean side of each box, NaN for boxes that touch the border."""
    boxes, size = image.boxes_px, np.array(image.shape_px, np.float32)
    whole = (boxes[:, :2] > 0.01 * size).all(axis=1) & (boxes[:, 2:] < 0.99 * size).all(axis=1)
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    return np.where(whole, sides, np.nan).astype(np.float32)
