"""The table that `streamcount count` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table
from rich.text import Text

# More rows than this tell less than their sums.
MOST_ROWS = 40
# More classes than this stand one below the other where there is one source.
MOST_ACROSS = 5


@dataclass
class Tally:
    """Counts of the frames of one source. cells_seen: different cells of its run, None if not followed. covered: the
    sum over frames of the share of each that is cell, None where the model does not tell it."""

    name: str
    frames: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    cells_seen: int | None = None
    covered: float | None = None

    def add(self, counts: dict[str, int], covered: float | None = None) -> None:
        """Add a frame."""
        self.frames += 1
        self.counts.update(counts)
        if covered is not None:
            self.covered = (self.covered or 0.0) + covered

    def join(self, other: Tally) -> None:
        """Add another's frames."""
        self.frames += other.frames
        self.counts.update(other.counts)
        if other.cells_seen is not None:
            self.cells_seen = (self.cells_seen or 0) + other.cells_seen
        if other.covered is not None:
            self.covered = (self.covered or 0.0) + other.covered


def count_table(runs: Sequence[tuple[str, Sequence[Tally]]], class_names: Sequence[str]) -> Table:
    """Counts per class of each source; of each run where there are too many sources. runs: name, its sources.

    Of several frames the mean is told; the last row adds all frames. Many classes of one source stand one below the
    other.
    """
    rows = [tally for _, tallies in runs for tally in tallies if tally.frames]
    everything = _joined("all frames, added", rows)
    one_source = len(rows) == 1
    if len(rows) > MOST_ROWS:
        rows = [_joined(name, tallies) for name, tallies in runs if any(tally.frames for tally in tallies)]
        rows = rows if len(rows) <= MOST_ROWS else []
    several = everything.frames > len(rows)
    extra = [
        heading
        for heading, told in (("covered %", everything.covered), ("cells followed", everything.cells_seen))
        if told is not None
    ]
    table = Table(box=box.SIMPLE_HEAD, caption="of several frames: the mean" if several else None)
    headings = ["frames"] * several + [*class_names, "total", *extra]
    if one_source and len(class_names) > MOST_ACROSS:
        table.add_column("")
        table.add_column(Text(rows[0].name), justify="right", overflow="fold")
        for row in zip(headings, _cells(rows[0], class_names, several, extra, rows[0].frames), strict=True):
            table.add_row(*row)
        return table
    table.add_column("source", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    for tally in rows:
        table.add_row(Text(tally.name), *_cells(tally, class_names, several, extra, tally.frames))
    if not one_source:
        table.add_section()
        last = _cells(everything, class_names, several, extra, 1)
        table.add_row(Text(everything.name), *last, style="bold")
    return table


def _joined(name: str, tallies: Iterable[Tally]) -> Tally:
    joined = Tally(name)
    for tally in tallies:
        joined.join(tally)
    return joined


def _cells(
    tally: Tally, class_names: Sequence[str], several: bool, extra: Sequence[str], divisor: int
) -> list[str]:
    numbers = [tally.counts[name] for name in class_names]
    numbers.append(sum(numbers))
    told = [str(number) if divisor == 1 else f"{number / divisor:.1f}" for number in numbers]
    beside = {
        "covered %": "" if tally.covered is None else f"{100 * tally.covered / max(tally.frames, 1):.1f}",
        "cells followed": "" if tally.cells_seen is None else str(tally.cells_seen),
    }
    return [str(tally.frames)] * several + told + [beside[heading] for heading in extra]
