"""Films of label masks for the tests of scoring: cells are squares at named places."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

PITCH_PX, SIDE_PX, COLUMNS = 12, 8, 5
# Places a to y are apart from the image's edge, Z lies in its corner.
PLACES = "abcdefghijklmnopqrstuvwxy"
CORNER = "Z"


@dataclass(frozen=True)
class T:
    """A line of the table. places: where the cell is, a letter a frame."""

    label: int
    begin: int
    places: str
    parent: int = 0

    @property
    def end(self) -> int:
        return self.begin + len(self.places) - 1


def masks_of(tracks: Iterable[T], frames: int) -> NDArray[np.uint16]:
    """(frames, H, W). A square of 8 px at each place, 4 px between."""
    side = COLUMNS * PITCH_PX + 4
    masks = np.zeros((frames, side, side), np.uint16)
    for track in tracks:
        for frame, place in enumerate(track.places, track.begin):
            y, x = (0, 0)
            if place != CORNER:
                row, column = divmod(PLACES.index(place), COLUMNS)
                y, x = row * PITCH_PX + 4, column * PITCH_PX + 4
            masks[frame, y : y + SIDE_PX, x : x + SIDE_PX] = track.label
    return masks


def write_truth(folder: Path, tracks: Iterable[T], frames: int, *, first: int = 0, seg: bool = True) -> Path:
    """NN_GT with TRA, and SEG if wanted; `first` is the first frame's number."""
    tracks = list(tracks)
    (folder / "TRA").mkdir(parents=True)
    _write(folder / "TRA", "man_track", "man_track.txt", tracks, frames, first)
    if seg:
        (folder / "SEG").mkdir()
        for frame, mask in enumerate(masks_of(tracks, frames), first):
            tifffile.imwrite(folder / "SEG" / f"man_seg{frame:03d}.tif", mask)
    return folder


def write_results(folder: Path, tracks: Iterable[T], frames: int, *, first: int = 0) -> Path:
    """A folder as `streamcount count --track --ctc` writes it."""
    folder.mkdir(parents=True)
    _write(folder, "mask", "res_track.txt", list(tracks), frames, first)
    return folder


def _write(folder: Path, stem: str, table: str, tracks: list[T], frames: int, first: int) -> None:
    lines = [f"{track.label} {first + track.begin} {first + track.end} {track.parent}\n" for track in tracks]
    (folder / table).write_text("".join(lines))
    for frame, mask in enumerate(masks_of(tracks, frames), first):
        tifffile.imwrite(folder / f"{stem}{frame:04d}.tif", mask)
