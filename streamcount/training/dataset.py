"""Reading folders of images with YOLO text boxes, and checking them before hours are spent on them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.postprocess import iou_matrix
from streamcount.errors import TrainingError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
DOUBLED_IOU = 0.7


@dataclass(frozen=True)
class LabelledImage:
    """One image and its boxes.

    ``boxes_px`` is (N, 4) float32 [y0, x0, y1, x1] in pixels of the image, ``class_ids`` (N,) int64,
    ``shape_px`` the (height, width) of the image, ``diameter_px`` the reference cell's diameter in it.
    """

    path: Path
    shape_px: tuple[int, int]
    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    diameter_px: float = 0.0

    def read(self) -> NDArray[np.uint8]:
        """Return the (H, W, 3) uint8 RGB image. Raises TrainingError when it cannot be decoded."""
        return read_image(self.path)


@dataclass(frozen=True)
class Dataset:
    """The images of one part (train or val), and what reading them found."""

    images: tuple[LabelledImage, ...]
    class_names: tuple[str, ...]
    doubled_boxes: int = 0
    relative_diameters: tuple[float, ...] = field(default=())

    def class_counts(self) -> NDArray[np.int64]:
        """Return (C,) int64: the boxes of each class."""
        counts = np.zeros(len(self.class_names), np.int64)
        for image in self.images:
            counts += np.bincount(image.class_ids, minlength=len(counts))
        return counts


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read one image as (H, W, 3) uint8 RGB. Raises TrainingError naming a file that cannot be decoded."""
    raw = np.fromfile(path, np.uint8)
    decoded = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if decoded is None:
        raise TrainingError(
            f"{path} cannot be read as an image; replace it, or remove it and its label file."
        )
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def read_class_names(root: Path) -> tuple[str, ...]:
    """Read ``class cx cy w h`` (relative) lines: (N, 4) pixel boxes [y0, x0, y1, x1], (N,) class ids."""
    for folder in (root, root.parent):
        path = folder / "classes.txt"
        if path.is_file():
            names = tuple(
                line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
            )
            if not names:
                raise TrainingError(f"{path} names no class; write one class name per line.")
            return names
    raise TrainingError(
        f"{root} has no classes.txt; write one name per line, in the order of the labels' numbers."
    )


def read_yolo_part(part: Path, class_names: tuple[str, ...], reference_class: int | None = None) -> Dataset:
    """Read PART/images and PART/labels, drop doubled boxes, and measure the reference cell in every image.

    Raises TrainingError for a missing folder or label file, a broken line, a class number out of range, or an
    image that cannot be read; the message names the file.
    """
    paths = image_paths(part)
    images: list[LabelledImage] = []
    doubled = 0
    for path in paths:
        shape = read_image(path).shape[:2]
        boxes, ids = read_yolo_labels(part / "labels" / f"{path.stem}.txt", shape, len(class_names))
        keep = undoubled(boxes, ids)
        doubled += int(len(keep) - keep.sum())
        images.append(LabelledImage(path, (shape[0], shape[1]), boxes[keep], ids[keep]))
    return _with_diameters(Dataset(tuple(images), class_names, doubled), reference_class)


def image_paths(part: Path) -> list[Path]:
    """Return the sorted images of PART/images. Raises TrainingError without images or labels folder."""
    for name in ("images", "labels"):
        if not (part / name).is_dir():
            raise TrainingError(f"{part / name} is missing; a part has images/ and labels/.")
    paths = sorted(p for p in (part / "images").iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise TrainingError(f"{part / 'images'} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return paths


def read_yolo_labels(
    path: Path, shape_px: tuple[int, ...], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read ``class cx cy w h`` lines (relative) into (N, 4) pixel boxes [y0, x0, y1, x1] and (N,)
    class ids.
    """
    if not path.is_file():
        raise TrainingError(f"{path} is missing; an image without cells needs an empty label file.")
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = tuple(float(word) for word in line.split())
        except ValueError as error:
            raise TrainingError(
                f"{path}:{number} is not numbers: {line!r}; write `class cx cy w h`."
            ) from error
        if len(row) != 5 or min(row[3:]) <= 0 or not all(abs(v) <= 1.5 for v in row[1:]):
            raise TrainingError(f"{path}:{number} is no relative box: {line!r}; write `class cx cy w h`.")
        if not 0 <= row[0] < classes or row[0] != int(row[0]):
            raise TrainingError(
                f"{path}:{number} has class {row[0]:g}; classes.txt names 0 to {classes - 1}."
            )
        rows.append(row)
    table = np.array(rows, np.float32).reshape(-1, 5)
    height, width = shape_px[:2]
    centre, half = table[:, [2, 1]], table[:, [4, 3]] / 2
    size = np.array([height, width], np.float32)
    low, high = np.clip((centre - half) * size, 0, size), np.clip((centre + half) * size, 0, size)
    whole = (high - low).min(axis=1, initial=np.inf) > 0
    return np.hstack([low, high])[whole].astype(np.float32), table[whole, 0].astype(np.int64)


def undoubled(boxes_px: NDArray[np.float32], class_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (N,) bool: False for a box that repeats an earlier one of its class at IoU >= 0.7."""
    keep = np.ones(len(boxes_px), bool)
    doubled = (iou_matrix(boxes_px, boxes_px) >= DOUBLED_IOU) & (class_ids[:, None] == class_ids[None])
    for i in range(1, len(boxes_px)):
        keep[i] = not (doubled[i, :i] & keep[:i]).any()
    return keep


def split_calibration(dataset: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """Split off ``share`` of the images by a hash of their names: (for training, for thresholds)."""

    def chance(image: LabelledImage) -> float:
        return int.from_bytes(hashlib.sha256(image.path.name.encode()).digest()[:4], "big") / 2**32

    held = tuple(i for i in dataset.images if chance(i) < share) or dataset.images[-1:]
    rest = tuple(i for i in dataset.images if chance(i) >= share) or dataset.images
    names, relative = dataset.class_names, dataset.relative_diameters
    return Dataset(rest, names, 0, relative), Dataset(held, names, 0, relative)


def _with_diameters(dataset: Dataset, reference_class: int | None) -> Dataset:
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
    images = tuple(
        LabelledImage(i.path, i.shape_px, i.boxes_px, i.class_ids, d)
        for i, d in zip(dataset.images, diameters, strict=True)
    )
    return Dataset(images, dataset.class_names, dataset.doubled_boxes, tuple(relative))


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
