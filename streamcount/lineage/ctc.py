"""A run in the result form of the Cell Tracking Challenge: res_track.txt, and masks where the run has any."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from streamcount.errors import SourceError
from streamcount.lineage.model import Lineage, Points, Shown
from streamcount.scoring.film import read_mask
from streamcount.sinks.ctc import LARGEST_LABEL, TRACK_FILE, refuse_old_run
from streamcount.sinks.files import write_whole


def write_ctc(lineage: Lineage, folder: Path, tick: Callable[[], None] = lambda: None) -> int:
    """Write res_track.txt and, where the frames have label images, maskNNNN.tif; gives how many masks.

    The form knows no gap within a track, so it goes on under a new label with the old one as parent. Only what was
    seen is told: no mask is made up. tick: called after each mask. Raises ConfigurationError where the folder holds
    another run or cannot be written, SourceError where nothing was seen, a mask cannot be read or shows not what
    the run says, or there are more labels than 16 bits have.
    """
    points = lineage.points
    if not len(points):
        raise SourceError(f"{lineage.name}: no sighting of a confirmed cell, so there is nothing to write")
    refuse_old_run(folder)
    labels, begins = _labels(points)
    lines = _lines(lineage, labels, begins)
    if len(lines) > LARGEST_LABEL:
        raise SourceError(
            f"{lineage.name}: {len(lines)} labels do not fit into 16-bit masks; choose families with --cell"
        )
    masks = _write_masks(lineage, labels, folder, tick)
    text = "".join(f"{label} {begin} {end} {parent}\n" for label, begin, end, parent in lines)
    # Last, so that the table is there only if all the masks are.
    write_whole(folder / TRACK_FILE, text.encode("ascii"))
    return masks


def _labels(points: Points) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The label of each sighting, (P,), from 1, and the row of each label's first sighting, (L,)."""
    new = np.ones(len(points), np.bool_)
    new[1:] = (np.diff(points.track_ids) != 0) | (np.diff(points.sequences) != 1)
    return np.cumsum(new), np.flatnonzero(new)


def _lines(
    lineage: Lineage, labels: NDArray[np.int64], begins: NDArray[np.intp]
) -> list[tuple[int, int, int, int]]:
    points = lineage.points
    ends = np.append(begins[1:], len(points)) - 1
    parents = {track.track_id: track.parent_id for track in lineage.tracks}
    last = {int(points.track_ids[row]): int(labels[row]) for row in ends.tolist()}
    finals = dict(zip(labels[ends].tolist(), points.sequences[ends].tolist(), strict=True))
    lines: list[tuple[int, int, int, int]] = []
    for label, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True), 1):
        track_id, first = int(points.track_ids[begin]), int(points.sequences[begin])
        goes_on = begin > 0 and points.track_ids[begin - 1] == track_id
        parent = label - 1 if goes_on else last.get(parents[track_id], 0)
        if parent and finals[parent] >= first:
            # The form forbids a mother beside her daughter; where one was seen so, the link is what must go.
            parent = 0
        lines.append((label, first, int(points.sequences[end]), parent))
    return lines


def _write_masks(lineage: Lineage, labels: NDArray[np.int64], folder: Path, tick: Callable[[], None]) -> int:
    if not lineage.frames or any(shown.mask is None for shown in lineage.frames):
        return 0
    order = np.argsort(lineage.points.sequences, kind="stable")
    sequences = lineage.points.sequences[order]
    mask = np.zeros((0, 0), np.uint16)
    first, last = lineage.frames[0].sequence, lineage.frames[-1].sequence
    shown_by_sequence = {shown.sequence: shown for shown in lineage.frames}
    for sequence in range(first, last + 1):
        shown = shown_by_sequence.get(sequence)
        if shown is None:
            # A frame that could not be counted is an empty mask, as `streamcount count --ctc` writes it.
            mask = np.zeros_like(mask)
        else:
            start, end = np.searchsorted(sequences, [sequence, sequence + 1]).tolist()
            rows = order[start:end]
            before, mask = mask, _relabelled(shown, lineage.points.rows[rows], labels[rows])
            if before.size and before.shape != mask.shape:
                raise SourceError(
                    f"{shown.mask}: is {mask.shape}, the one before {before.shape}; give the masks of one run"
                )
        encoded = io.BytesIO()
        tifffile.imwrite(encoded, mask, compression="zlib", metadata=None)
        write_whole(folder / f"mask{sequence:04d}.tif", encoded.getvalue())
        tick()
    return last + 1 - first


def _relabelled(shown: Shown, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.uint16]:
    values = _read(shown)
    there = np.bincount(values.ravel(), minlength=LARGEST_LABEL + 1) > 0
    if len(absent := rows[~there[rows + 1]]):
        raise SourceError(
            f"{shown.mask}: has no value {absent[0] + 1}, but the results say that detection {absent[0]} is a cell; "
            "name the masks of the same count"
        )
    numbers = np.zeros(LARGEST_LABEL + 1, np.uint16)
    numbers[rows + 1] = labels
    relabelled: NDArray[np.uint16] = numbers[values]
    return relabelled


def _read(shown: Shown) -> NDArray[np.uint16]:
    path = shown.mask
    if path is None:
        raise SourceError(f"frame {shown.sequence} has no label image")
    if path.suffix != ".png":
        return read_mask(path).astype(np.uint16)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if read is None or read.ndim != 2:
        raise SourceError(f"{path}: cannot be read as a label image; write the masks anew")
    return np.asarray(read, np.uint16)
