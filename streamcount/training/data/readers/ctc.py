"""The Cell Tracking Challenge (celltrackingchallenge.net): sequences 01/, 02/, masks in 01_GT/SEG or 01_ST/SEG."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamcount.errors import TrainingError
from streamcount.training.data.readers.base import CELL, Cells, Entry, Listing, images_in, known_names
from streamcount.training.data.readers.instances import instance_cells, read_label_file

FRAME = re.compile(r"t(\d+)")
SEGMENTED = re.compile(r"man_seg(\d+)")


class CtcReader:
    """Frames of sequences; only those with masks are taken, and a sequence is a source.

    Of the gold truth (GT) many frames show some cells only: where there are fewer than the tracking's marks,
    the silver truth (ST) is taken if there is one, else the frame counts as not completely labelled.
    """

    name = "ctc"
    layout = "01/t000.tif + 01_GT/SEG/man_seg000.tif or 01_ST/SEG/man_seg000.tif (Cell Tracking Challenge)"

    def recognises(self, folder: Path) -> bool:
        """See Reader.recognises."""
        return bool(_sequences(folder))

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The name in classes.txt, else "cell"."""
        return known_names(folder) or CELL

    def entries(self, folder: Path, class_names: tuple[str, ...]) -> Listing:
        """See Reader.entries."""
        if len(class_names) != 1:
            raise TrainingError(f"{folder}: this format tells no classes; name one, not {len(class_names)}.")
        entries: list[Entry] = []
        orphans: list[Path] = []
        for sequence in _sequences(folder):
            frames = {int(m[1]): p for p in images_in(sequence) if (m := FRAME.fullmatch(p.stem))}
            gold, silver = (_segmented(folder / f"{sequence.name}_{kind}" / "SEG") for kind in ("GT", "ST"))
            marks = folder / f"{sequence.name}_GT" / "TRA"
            for number in sorted({*gold, *silver}):
                masks = [m[number] for m in (gold, silver) if number in m]
                if number in frames:
                    read = _FrameCells(masks[0], masks[-1], marks / f"man_track{masks[0].stem[7:]}.tif")
                    entries.append(Entry(frames[number], masks[0], read, sequence.name))
                else:
                    orphans += masks
        return Listing(tuple(entries), tuple(orphans))


@dataclass(frozen=True)
class _FrameCells:
    """first: the gold truth where there is one. last: the silver truth where there is one."""

    first: Path
    last: Path
    marks: Path

    def __call__(self, shape_px: tuple[int, int]) -> Cells:
        cells = instance_cells(self.first, shape_px, None)
        if self.first.parent.parent.name.endswith("_ST") or not self.marks.is_file():
            return cells
        marked = len(np.unique(read_label_file(self.marks))) - 1
        if len(cells.boxes_px) >= marked:
            return cells
        if self.last != self.first:
            return instance_cells(self.last, shape_px, None)
        return replace(cells, complete=False)


def _sequences(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir()
        and path.name.isdecimal()
        and any((folder / f"{path.name}_{kind}" / "SEG").is_dir() for kind in ("GT", "ST"))
    ]


def _segmented(folder: Path) -> dict[int, Path]:
    return (
        {int(m[1]): p for p in images_in(folder) if (m := SEGMENTED.fullmatch(p.stem))}
        if folder.is_dir()
        else {}
    )
