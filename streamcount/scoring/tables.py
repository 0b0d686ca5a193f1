"""man_track.txt and res_track.txt: a line "L B E P" a track, of label, first frame, last frame, parent or 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import SourceError

LABEL, BEGIN, END, PARENT = range(4)


def read_table(path: Path) -> NDArray[np.int64]:
    """The lines, (N, 4), int64. Raises SourceError where one is no track, or its parent ends after it began."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error}); save it as plain text") from error
    lines: list[list[int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                label, begin, end, parent = map(int, line.split())
            except ValueError as error:
                raise SourceError(
                    f"{path}: line {number} is {line.strip()!r}, not four whole numbers L B E P; mend it"
                ) from error
            if label < 1 or parent < 0 or not 0 <= begin <= end:
                raise SourceError(f"{path}: line {number}, {line.strip()!r}, is no track; mend it")
            lines.append([label, begin, end, parent])
    if not lines:
        raise SourceError(f"{path}: there is no track in it, so there is nothing to score")
    table = np.array(lines, np.int64)
    _check_parents(path, table)
    return table


def _check_parents(path: Path, table: NDArray[np.int64]) -> None:
    ends = {label: end for label, _, end, _ in table.tolist()}
    if len(ends) < len(table):
        labels, times = np.unique(table[:, LABEL], return_counts=True)
        raise SourceError(
            f"{path}: label {labels[times > 1][0]} has two lines; give each track its own label"
        )
    for label, begin, _, parent in table.tolist():
        if parent and parent not in ends:
            raise SourceError(
                f"{path}: label {label} has the parent {parent}, which has no line; add it or say 0"
            )
        if parent and ends[parent] >= begin:
            raise SourceError(
                f"{path}: label {label} begins in frame {begin}, but its parent {parent} ends in {ends[parent]}; "
                "a parent ends before its daughters begin"
            )
