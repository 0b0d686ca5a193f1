"""Writing labelled images in the forms that the readers read: YOLO text, or label images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import TrainingError
from streamcount.training.data.parts import SplitFile, read_split
from streamcount.training.data.sheet import write_picture
from streamcount.types import Image


def write_labelled(
    folder: Path,
    name: str,
    image: Image,
    boxes_px: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    labels: NDArray[np.int32] | None,
    classes: int,
) -> None:
    """Write FOLDER/images/NAME.png and its label: a label image (H, W) of the values 1 to N if given, else boxes.

    Of several classes a label image gets NAME.txt with `id class` lines. Raises TrainingError.
    """
    write_picture(folder / "images" / f"{name}.png", image)
    text = folder / "labels" / f"{name}.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    if labels is None:
        text.write_text(yolo_lines(boxes_px, class_ids, image.shape[:2]), encoding="utf-8")
        return
    if len(class_ids) > np.iinfo(np.uint16).max:
        raise TrainingError(f"{name} holds {len(class_ids)} cells; a label image of 16 bits names 65,535.")
    write_picture(folder / "labels" / f"{name}.png", labels.astype(np.uint16))
    if classes > 1:
        rows = (f"{i} {c}\n" for i, c in enumerate(class_ids.tolist(), start=1))
        text.write_text("".join(rows), encoding="utf-8")


def yolo_lines(boxes_px: NDArray[np.float32], class_ids: NDArray[np.int64], shape_px: Sequence[int]) -> str:
    """`class cx cy w h` lines, relative to (height, width)."""
    size = np.array(shape_px[:2], np.float64)
    lines = []
    for box, class_id in zip(boxes_px.astype(np.float64), class_ids.tolist(), strict=True):
        (cy, cx), (high, wide) = (box[:2] + box[2:]) / 2 / size, (box[2:] - box[:2]) / size
        lines.append(f"{class_id} {cx:.6f} {cy:.6f} {wide:.6f} {high:.6f}\n")
    return "".join(lines)


def write_class_names(folder: Path, class_names: Sequence[str]) -> None:
    """Write FOLDER/classes.txt, making the folder. Raises TrainingError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "classes.txt").write_text("".join(f"{n}\n" for n in class_names), encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written ({error.strerror}); choose another.") from error


def require_new(folder: Path) -> None:
    """Raises TrainingError where the folder holds something already: nobody's corrections are overwritten."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(f"{folder} is not empty; name a new folder for --output.")


def write_split(path: Path, split: SplitFile, *, replace: bool = False) -> None:
    """Write a split file as JSON that a person can read.

    Raises TrainingError where that fails, and where another split would be lost, unless it is to be replaced.
    """
    if path.exists() and not replace:
        before = read_split(path)
        if {*before.train} != {*split.train} or {*before.val} != {*split.val}:
            raise TrainingError(
                f"{path} holds another split, and a model made by it has seen images that would now be held back: "
                "give --output for a second split, or --replace."
            )
    text = msgspec.json.format(msgspec.json.encode(split), indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise TrainingError(f"{path} cannot be written ({error.strerror}); name another --output.") from error
