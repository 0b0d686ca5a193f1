"""Label images: each cell's pixels have a number of their own. What several pieces under one number are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Note, NoteKind
from streamcount.training.data.readers.base import Cells

# A smaller piece of a mask is a slip of the brush; a larger one a cell that got another's number.
LEAST_PIECE = 0.15
NEIGHBOURS = np.ones((3, 3), np.int8)


@dataclass(frozen=True)
class Instances:
    """labels: (H, W) int32, cell i having the value i + 1. ids: (N,) int64, each cell's number in the file.

    split: cells made out of further pieces of a number. dropped: pieces too small for that.
    """

    labels: NDArray[np.int32]
    boxes_px: NDArray[np.float32]
    ids: NDArray[np.int64]
    split: int
    dropped: int


def read_label_file(path: Path) -> NDArray[Any]:
    """Read an (H, W) image of whole numbers from PNG, BMP or TIFF. Raises TrainingError naming the file."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            labels = np.asarray(tifffile.imread(path))
        else:
            raw = np.fromfile(path, np.uint8)
            labels = np.asarray(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None)
    except (OSError, ValueError, tifffile.TiffFileError, cv2.error) as error:
        raise TrainingError(f"{path} cannot be read as a label image ({error}).") from error
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        found = f"{labels.shape} of {labels.dtype}" if labels.ndim else "something undecodable"
        raise TrainingError(
            f"{path} holds {found}; a label image is one plane of whole numbers, 0 for the background."
        )
    if labels.size and int(labels.min()) < 0:
        raise TrainingError(f"{path} holds negative numbers; a label image counts from 0, the background.")
    return labels


def connected_instances(labels: NDArray[Any]) -> Instances:
    """The cells of a label image (H, W): each connected piece is one.

    One number may stand for several pieces: each of at least 15 % of the largest one's area becomes a cell
    of its own, smaller ones are dropped.
    """
    values, flat = np.unique(labels, return_inverse=True)
    dense = flat.reshape(labels.shape).astype(np.int32) + (1 if values[0] != 0 else 0)
    numbers = values if values[0] != 0 else values[1:]
    out = np.zeros(labels.shape, np.int32)
    boxes: list[tuple[int, int, int, int]] = []
    ids: list[int] = []
    split = dropped = 0
    for index, place in enumerate(ndimage.find_objects(dense)):
        if place is None:
            continue
        mask = (dense[place] == index + 1).astype(np.uint8)
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        top, left = place[0].start, place[1].start
        kept = np.flatnonzero(areas >= LEAST_PIECE * areas.max()) + 1
        split += len(kept) - 1
        dropped += count - 1 - len(kept)
        for piece in kept:
            x, y, wide, high = (int(v) for v in stats[piece, :4])
            boxes.append((top + y, left + x, top + y + high, left + x + wide))
            ids.append(int(numbers[index]))
            out[place][pieces == piece] = len(ids)
    return Instances(out, np.array(boxes, np.float32).reshape(-1, 4), np.array(ids, np.int64), split, dropped)


def read_masks(path: Path) -> NDArray[np.int32]:
    """The (H, W) int32 label image of a file's connected cells."""
    return connected_instances(read_label_file(path)).labels


def instance_cells(path: Path, shape_px: tuple[int, int], classes: dict[int, int] | None) -> Cells:
    """The cells of a label file. classes: the class of each number; None where there is but one.

    Raises TrainingError where the shape is not the image's or a number has no class.
    """
    labels = read_label_file(path)
    if labels.shape != shape_px:
        raise TrainingError(f"{path} is {labels.shape} px, its image {shape_px}; export it again.")
    found = connected_instances(labels)
    unknown = set(found.ids.tolist()) - set(classes) if classes is not None else set()
    if unknown:
        raise TrainingError(
            f"{path.with_suffix('.txt')} gives no class for cell {min(unknown)}; add a line `{min(unknown)} 0`."
        )
    class_ids = np.array([0 if classes is None else classes[i] for i in found.ids.tolist()], np.int64)
    notes = [
        Note(kind, path, count)
        for kind, count in ((NoteKind.PIECES_SPLIT, found.split), (NoteKind.PIECES_DROPPED, found.dropped))
        if count
    ]
    return Cells(found.boxes_px, class_ids, partial(read_masks, path), distinct=True, notes=tuple(notes))
