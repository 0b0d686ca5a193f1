"""Truth on disk: Cell Tracking Challenge form, and a line of JSON for each frame.

TRA/man_track0000.tif   uint16, the cell's id at each of its pixels      (celltrackingchallenge.net)
TRA/man_track.txt       L B E P: id, first frame, last frame, mother's id or 0
SEG/man_seg0000.tif     the same masks, for they are whole
truth.jsonl             ids, classes, mothers, boxes, centroids, events
"""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np
import tifffile

from streamcount.errors import SourceError
from streamcount.sources.simulated.truth import FrameTruth

LARGEST_ID = 65535


class TruthWriter:
    """Writes each frame's truth as it comes, and holds no more than the cells in view; close it to finish.

    Raises SourceError when the folder cannot be written or already holds a truth, and for an id above 65535,
    which the form's 16-bit masks cannot hold.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, list[int]] = {}
        if (folder / "truth.jsonl").exists():
            raise SourceError(f"{folder} already holds the truth of a run; name another folder or remove it")
        try:
            (folder / "TRA").mkdir(parents=True, exist_ok=True)
            (folder / "SEG").mkdir(exist_ok=True)
            self._tracks = (folder / "TRA" / "man_track.txt").open("w", encoding="ascii")
            self._table = (folder / "truth.jsonl").open("wb")
        except OSError as error:
            raise SourceError(
                f"cannot write the truth into {folder}: {error.strerror}; choose another folder"
            ) from error

    def __enter__(self) -> TruthWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, truth: FrameTruth) -> None:
        """Adds the next frame."""
        if len(truth) and int(truth.ids.max()) > LARGEST_ID:
            raise SourceError(
                f"the truth in {self._folder} has reached {LARGEST_ID} cells, all that 16 bits can name; "
                "set `frames` lower or turn `truth` off"
            )
        try:
            self._write_masks(truth)
            self._write_tracks(truth)
            self._table.write(msgspec.json.encode(_line(truth)) + b"\n")
            self._table.flush()
        except OSError as error:
            raise SourceError(
                f"cannot write the truth into {self._folder}: {error.strerror}; free some space"
            ) from error

    def close(self) -> None:
        """Ends the tracks still open and puts man_track.txt in order of ids."""
        if self._table.closed:
            return
        for number, track in self._open.items():
            self._tracks.write(f"{number} {track[0]} {track[1]} {track[2]}\n")
        self._open = {}
        self._tracks.close()
        self._table.close()
        path = self._folder / "TRA" / "man_track.txt"
        lines = path.read_text(encoding="ascii").splitlines(keepends=True)
        path.write_text("".join(sorted(lines, key=lambda line: int(line.split()[0]))), encoding="ascii")

    def _write_masks(self, truth: FrameTruth) -> None:
        names = np.concatenate([[0], truth.ids]).astype(np.uint16)
        encoded = io.BytesIO()
        tifffile.imwrite(encoded, names[truth.labels], compression="zlib", metadata=None)
        (self._folder / "TRA" / f"man_track{truth.sequence:04d}.tif").write_bytes(encoded.getvalue())
        (self._folder / "SEG" / f"man_seg{truth.sequence:04d}.tif").write_bytes(encoded.getvalue())

    def _write_tracks(self, truth: FrameTruth) -> None:
        here = set(truth.ids.tolist())
        for number in [number for number in self._open if number not in here]:
            begin, end, parent = self._open.pop(number)
            self._tracks.write(f"{number} {begin} {end} {parent}\n")
        self._tracks.flush()
        for number, parent in zip(truth.ids.tolist(), truth.parents.tolist(), strict=True):
            self._open.setdefault(number, [truth.sequence, truth.sequence, parent])[1] = truth.sequence


def _line(truth: FrameTruth) -> dict[str, object]:
    return {
        "sequence": truth.sequence,
        "counts": truth.counts(),
        "cells": [
            {
                "id": number, "class": truth.class_names[kind], "parent": parent, "box": box,
                "centroid": [round(value, 2) for value in centroid], "area_px": area,
            }
            for number, kind, parent, box, centroid, area in zip(
                truth.ids.tolist(), truth.class_ids.tolist(), truth.parents.tolist(),
                truth.boxes_px.astype(int).tolist(), truth.centroids_px.tolist(),
                truth.areas_px.astype(int).tolist(),
                strict=True,
            )
        ],
        "events": truth.events,
    }  # fmt: skip
