"""Tracks in the result form of the Cell Tracking Challenge (celltrackingchallenge.net, "Annotations and results").

mask0000.tif ...    uint16, one a frame: each pixel of a cell has its track's label
res_track.txt       a line "L B E P" a track: label, first frame, last frame, and the label of its parent or 0
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import tifffile
from numpy.typing import NDArray

from streamcount.errors import ConfigurationError, ModelError
from streamcount.sinks.files import not_writable, write_whole
from streamcount.types import Detections, Stage, Tracks

TRACK_FILE = "res_track.txt"
LARGEST_LABEL = 65_535


@dataclass
class _Line:
    label: int
    begin: int
    end: int
    parent: int


class CtcWriter:
    """Writes one run: masks as frames come, the table of tracks when it is closed without an error.

    All cells are in it, also those of tracks that are never confirmed, for a detection left out would be a cell
    missed. The form knows no gap within a track, so a track that was out of sight goes on under a new label, whose
    parent is the old one. A division is in it from its first frame on, and taken back where it proves to be none:
    the masks since then are written anew. A frame that could not be counted is an empty mask. Raises
    ConfigurationError where the folder cannot be written or holds another run, and above 65,535 labels, which 16
    bits cannot tell apart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: dict[int, _Line] = {}
        self._first: dict[int, _Line] = {}
        self._current: dict[int, _Line] = {}
        self._next_label = 1
        self._next_frame = 0
        refuse_old_run(folder)

    def __enter__(self) -> CtcWriter:
        return self

    def write(self, sequence: int, detections: Detections, tracks: Tracks) -> None:
        """Add a frame of the run; `sequence` ascends. Raises ModelError where the detections have no labels."""
        if detections.labels is None:
            raise ModelError(f"the detector {detections.model.name} draws no labels; use another for --ctc")
        for missing in range(self._next_frame, sequence):
            self._write_mask(missing, np.zeros_like(detections.labels))
        self._next_frame = sequence + 1
        self._take_back(tracks)
        numbers = np.zeros(len(detections) + 1, np.uint16)
        seen = np.flatnonzero(tracks.detection_rows >= 0)
        for row in seen[np.argsort(tracks.track_ids[seen])].tolist():
            track_id, parent_id = int(tracks.track_ids[row]), int(tracks.parent_ids[row])
            numbers[tracks.detection_rows[row] + 1] = self._label(track_id, parent_id, sequence)
        self._write_mask(sequence, numbers[detections.labels])

    def _label(self, track_id: int, parent_id: int, sequence: int) -> int:
        line = self._current.get(track_id)
        if line is None or line.end < sequence - 1:
            before = line if line is not None else self._current.get(parent_id)
            label = self._next_label
            self._next_label += 1
            if label > LARGEST_LABEL:
                raise ConfigurationError(
                    f"{self._folder}: more than {LARGEST_LABEL} tracks do not fit into 16-bit masks; "
                    "count the run in parts"
                )
            line = _Line(label, sequence, sequence, before.label if before is not None else 0)
            self._lines[label] = self._current[track_id] = line
            self._first.setdefault(track_id, line)
        line.end = sequence
        return line.label

    def _take_back(self, tracks: Tracks) -> None:
        """Divisions that were none: of the daughters the one seen longer is the mother, the other nobody's child."""
        divisions = tracks.divisions
        for place in np.flatnonzero(divisions.stages == Stage.RETRACTED).tolist():
            mother, daughters = int(divisions.mother_ids[place]), divisions.daughter_ids[place].tolist()
            seen = tracks.last_sequences[np.searchsorted(tracks.track_ids, daughters)].tolist()
            for daughter in daughters:
                self._first[daughter].parent = 0
            if seen[0] != seen[1]:
                self._hand_over(daughters[int(seen[1] > seen[0])], mother)

    def _hand_over(self, daughter: int, mother: int) -> None:
        """The daughter's lines become the mother's, and so do the pixels where the mother's last line can go on."""
        line, first, last = self._current[mother], self._first[daughter], self._current[daughter]
        if line.end != first.begin - 1:
            first.parent, self._current[mother] = line.label, last
            return
        for frame in range(first.begin, first.end + 1):
            mask = tifffile.imread(self._mask_path(frame))
            mask[mask == first.label] = line.label
            self._write_mask(frame, mask)
        line.end = first.end
        self._current[mother] = line if last is first else last
        del self._lines[first.label]
        for other in self._lines.values():
            if other.parent == first.label:
                other.parent = line.label

    def _mask_path(self, sequence: int) -> Path:
        return self._folder / f"mask{sequence:04d}.tif"

    def _write_mask(self, sequence: int, mask: NDArray[np.uint16]) -> None:
        encoded = io.BytesIO()
        tifffile.imwrite(encoded, mask, compression="zlib", metadata=None)
        write_whole(self._mask_path(sequence), encoded.getvalue())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            lines = self._lines.values()
            table = "".join(f"{line.label} {line.begin} {line.end} {line.parent}\n" for line in lines)
            write_whole(self._folder / TRACK_FILE, table.encode("ascii"))


def refuse_old_run(folder: Path) -> None:
    """Make the folder. Raises ConfigurationError where that cannot be done, or it holds a run already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = next((p.name for p in sorted(folder.iterdir()) if p.name == TRACK_FILE or _is_mask(p)), None)
    except OSError as error:
        raise not_writable(folder, error) from error
    if old is not None:
        raise ConfigurationError(f"{folder} already holds {old}: name another folder, or remove the old run")


def _is_mask(path: Path) -> bool:
    return path.name.startswith("mask") and path.suffix == ".tif"
