"""Truth and results of one film, read frame by frame: of each frame only what matches what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import SourceError
from streamcount.scoring.folders import Folder, same_frames
from streamcount.scoring.matching import Match, match_masks
from streamcount.scoring.tables import BEGIN, END, LABEL, read_table

# The form's masks have 16 bits.
LARGEST_LABEL = 65_535


@dataclass(frozen=True)
class Side:
    """The truth or the results. table (N, 4): label, first and last frame counted from the film's first, parent.
    at_edge: by frame, the labels whose cells touch the image's edge."""

    table: NDArray[np.int64]
    at_edge: list[frozenset[int]]


@dataclass(frozen=True)
class Film:
    """Both sides. matches: one a frame. whole: of the frames with masks of whole cells (SEG), None without any."""

    first_frame: int
    truth: Side
    found: Side
    matches: list[Match]
    whole: list[Match] | None


def read_film(truth: Folder, results: Folder, tick: Callable[[], None] = lambda: None) -> Film:
    """Read and check both sides; `tick` is called after each frame.

    Raises SourceError where frames or shapes differ, or where a table and its masks do not tell the same.
    """
    frames = same_frames(truth, results)
    tables = (_in_film(truth, frames), _in_film(results, frames))
    edges: tuple[list[frozenset[int]], list[frozenset[int]]] = ([], [])
    matches: list[Match] = []
    whole: list[Match] = []
    for number in frames:
        masks = (read_mask(truth.masks[number]), read_mask(results.masks[number]))
        _same_shape(truth.masks[number], masks[0], results.masks[number], masks[1])
        match = match_masks(*masks)
        _check_labels(truth, number, match.true_labels, tables[0])
        _check_labels(results, number, match.found_labels, tables[1])
        for labels, mask in zip(edges, masks, strict=True):
            labels.append(_labels_at_edge(mask))
        matches.append(match)
        if (path := truth.whole.get(number)) is not None:
            cells = read_mask(path)
            _same_shape(path, cells, results.masks[number], masks[1])
            whole.append(match_masks(cells, masks[1]))
        tick()
    shift = np.array([0, frames[0], frames[0], 0])
    sides = [Side(table - shift, labels) for table, labels in zip(tables, edges, strict=True)]
    return Film(frames[0], sides[0], sides[1], matches, whole or None)


def read_mask(path: Path) -> NDArray[np.integer[Any]]:
    """A label image (H, W) of whole numbers. Raises SourceError where the file is none."""
    import tifffile

    try:
        mask = tifffile.imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise SourceError(f"{path}: cannot be read as TIFF ({error}); write it anew") from error
    if mask.ndim != 2 or mask.dtype.kind not in "iu":
        raise SourceError(
            f"{path}: is {mask.dtype} of shape {mask.shape}, not a label image of whole numbers (height, width); "
            "films in depth are not scored"
        )
    if mask.size and not 0 <= int(mask.min()) <= int(mask.max()) <= LARGEST_LABEL:
        raise SourceError(
            f"{path}: has labels below 0 or above {LARGEST_LABEL}; number the cells anew from 1"
        )
    return mask


def _in_film(folder: Folder, frames: list[int]) -> NDArray[np.int64]:
    table = read_table(folder.table)
    outside = table[(table[:, BEGIN] < frames[0]) | (table[:, END] > frames[-1])]
    if len(outside):
        label, begin, end, _ = outside[0].tolist()
        raise SourceError(
            f"{folder.table}: label {label} is there from frame {begin} to {end}, but the masks are of frames "
            f"{frames[0]} to {frames[-1]}; add the masks, or mend the line"
        )
    return table


def _same_shape(path: Path, mask: NDArray[Any], other_path: Path, other: NDArray[Any]) -> None:
    if mask.shape != other.shape:
        raise SourceError(
            f"{path} is {mask.shape[0]} x {mask.shape[1]} px, but {other_path} {other.shape[0]} x {other.shape[1]}; "
            "score results of the same images"
        )


def _check_labels(folder: Folder, number: int, labels: NDArray[np.int64], table: NDArray[np.int64]) -> None:
    """What a mask shows is what the table says of its frame."""
    told = table[(table[:, BEGIN] <= number) & (number <= table[:, END]), LABEL]
    mask = folder.masks[number]
    if len(strange := np.setdiff1d(labels, told)):
        rest = "no line with this label" if strange[0] not in table[:, LABEL] else "another time for it"
        raise SourceError(
            f"{mask}: shows label {strange[0]}, but {folder.table.name} has {rest}; mend one of them"
        )
    if len(missing := np.setdiff1d(told, labels)):
        raise SourceError(
            f"{folder.table}: label {missing[0]} is there in frame {number}, but {mask.name} does not show it; "
            "a track without a cell in a frame ends, and goes on under a new label with the old one as parent"
        )


def _labels_at_edge(mask: NDArray[np.integer[Any]]) -> frozenset[int]:
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return frozenset(np.unique(edge[edge > 0]).tolist())
