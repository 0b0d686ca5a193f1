"""What a reader is: it tells whether a folder has its format, and lists the images with what their labels say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import IMAGE_SUFFIXES, Note

CELL = ("cell",)


@dataclass(frozen=True)
class Cells:
    """What a label says of one image, row i being cell i.

    boxes_px: (N, 4) float32 [y0, x0, y1, x1], perhaps reaching outside. class_ids: (N,) int64. masks: see
    LabelledImage. complete: every cell is labelled. distinct: no two rows can be the same cell, as each has
    pixels of its own.
    """

    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: Callable[[], NDArray[np.int32]] | None = None
    complete: bool = True
    distinct: bool = False
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One image and how to read its label. label: None where it is missing. source: "" where it is not told.

    read: gives the cells of the image whose (height, width) it is given; raises TrainingError naming the file.
    """

    image: Path
    label: Path | None
    read: Callable[[tuple[int, int]], Cells]
    source: str = ""


@dataclass(frozen=True)
class Listing:
    """The images of a folder in natural order, and the labels without an image."""

    entries: tuple[Entry, ...]
    orphans: tuple[Path, ...] = field(default=())


class Reader(Protocol):
    """One label format."""

    @property
    def name(self) -> str:
        """What --format calls it."""
        ...

    @property
    def layout(self) -> str:
        """How its files lie, in half a line."""
        ...

    def recognises(self, folder: Path) -> bool:
        """Whether the folder looks like this format; reads as little as that takes."""
        ...

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The classes as the labels tell them. Raises TrainingError where they do not."""
        ...

    def entries(self, folder: Path, class_names: tuple[str, ...]) -> Listing:
        """The images with their labels, not read yet. Raises TrainingError naming what is missing."""
        ...


def no_cells() -> Cells:
    """Those of an image in which nothing is labelled."""
    return Cells(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def images_in(folder: Path) -> list[Path]:
    """The images in a folder, t2 before t10. Raises TrainingError where it cannot be listed."""
    try:
        names = [p for p in folder.iterdir() if is_image(p)]
    except OSError as error:
        raise TrainingError(f"{folder} is missing or cannot be read ({error.strerror}).") from error
    return sorted(names, key=natural_order)


def is_image(path: Path) -> bool:
    """Whether the name is that of an image that training reads, and of no hidden file."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def natural_order(path: Path | str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A key that sorts names as a person would: t2 before t10, capitals beside small letters."""
    name = str(path)
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p), name


def known_names(folder: Path) -> tuple[str, ...] | None:
    """The names in classes.txt, in the folder or the one above it; None where there is none.

    Raises TrainingError where the file names no class.
    """
    for place in (folder, folder.parent):
        path = place / "classes.txt"
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            names = tuple(line.strip() for line in lines if line.strip())
            if not names:
                raise TrainingError(f"{path} names no class; write one class name per line.")
            return names
    return None


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """The files by their names without suffix."""
    return {path.stem: path for path in paths}


def first_folder(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of these folders that is in the folder."""
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def missing_label(image: Path, expected: Path) -> TrainingError:
    """The error of an image whose label file is not there."""
    return TrainingError(
        f"{expected} is missing; an image without cells needs an empty label file, or remove {image.name}."
    )
