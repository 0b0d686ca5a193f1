"""YOLO text labels: images/ and labels/ with `class cx cy w h` lines, relative to the image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset
from streamcount.training.data.readers.base import (
    Cells,
    Entry,
    Listing,
    by_stem,
    images_in,
    is_image,
    known_names,
)


class YoloReader:
    """Boxes of several classes; the usual export of labelling tools."""

    name = "yolo"
    layout = "images/NAME.png + labels/NAME.txt of `class cx cy w h` lines (relative) + classes.txt"

    def recognises(self, folder: Path) -> bool:
        """See Reader.recognises."""
        return words_of_labels(folder) in (5, 0)

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """See Reader.class_names."""
        return read_class_names(folder)

    def entries(self, folder: Path, class_names: tuple[str, ...]) -> Listing:
        """See Reader.entries."""
        return text_entries(folder, partial(self._cells, classes=len(class_names)))

    def _cells(self, path: Path, shape_px: tuple[int, int], classes: int) -> Cells:
        return Cells(*read_yolo_labels(path, shape_px, classes))


def words_of_labels(folder: Path) -> int | None:
    """Words in the first line of the text labels; 0 where all are empty, None where there are none.

    None too where labels/ holds images: those are label images, whose texts tell classes.
    """
    images, labels = folder / "images", folder / "labels"
    if not images.is_dir() or not labels.is_dir() or any(is_image(p) for p in labels.iterdir()):
        return None
    texts = sorted(labels.glob("*.txt"))
    for path in texts:
        words = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].split()
        if words:
            return len(words)
    return 0 if texts else None


class _TextCells:
    """Reads one label file with a function of its path and the image's shape."""

    def __init__(self, image: Path, label: Path, read: partial[Cells]) -> None:
        self._image, self._label, self._read = image, label, read

    def __call__(self, shape_px: tuple[int, int]) -> Cells:
        if not self._label.is_file():
            raise TrainingError(
                f"{self._label} is missing; an image without cells needs an empty label file."
            )
        return self._read(self._label, shape_px)


def text_entries(folder: Path, read: partial[Cells]) -> Listing:
    """images/ and labels/NAME.txt. Raises TrainingError without images or a folder."""
    for name in ("images", "labels"):
        if not (folder / name).is_dir():
            raise TrainingError(f"{folder / name} is missing; a part has images/ and labels/.")
    images, labels = images_in(folder / "images"), folder / "labels"
    entries = []
    for image in images:
        label = labels / f"{image.stem}.txt"
        entries.append(Entry(image, label if label.is_file() else None, _TextCells(image, label, read)))
    known = by_stem(images)
    orphans = sorted(p for p in labels.glob("*.txt") if p.stem not in known and p.name != "classes.txt")
    return Listing(tuple(entries), tuple(orphans))


def read_class_names(root: Path) -> tuple[str, ...]:
    """The names in classes.txt, in the folder or above it. Raises TrainingError where there is none."""
    names = known_names(root)
    if names is None:
        raise TrainingError(
            f"{root} has no classes.txt; write one name per line, in the order of the labels' numbers."
        )
    return names


def read_yolo_part(part: Path, class_names: tuple[str, ...], reference_class: int | None = None) -> Dataset:
    """Read PART/images and PART/labels as `read_data` does, which reads the other formats too."""
    from streamcount.training.data.read import read_data

    return read_data(part, format="yolo", class_names=class_names, reference_class=reference_class)


def read_yolo_labels(
    path: Path, shape_px: tuple[int, ...], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read ``class cx cy w h`` lines (relative) into (N, 4) pixel boxes [y0, x0, y1, x1] and (N,)
    class ids, as written: they may reach outside of the image.
    """
    form = "class cx cy w h"
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = tuple(float(word) for word in line.split())
        except ValueError as error:
            raise TrainingError(f"{path}:{number} is not numbers: {line!r}; write `{form}`.") from error
        if len(row) != 5 or min(row[3:]) <= 0 or not all(abs(v) <= 1.5 for v in row[1:]):
            raise TrainingError(f"{path}:{number} is no relative box: {line!r}; write `{form}`.")
        if not 0 <= row[0] < classes or row[0] != int(row[0]):
            raise TrainingError(
                f"{path}:{number} has class {row[0]:g}; classes.txt names 0 to {classes - 1}."
            )
        rows.append(row)
    table = np.array(rows, np.float32).reshape(-1, 5)
    size = np.array(shape_px[:2], np.float32)
    centre, half = table[:, [2, 1]], table[:, [4, 3]] / 2
    boxes = np.hstack([(centre - half) * size, (centre + half) * size])
    return boxes.astype(np.float32), table[:, 0].astype(np.int64)
