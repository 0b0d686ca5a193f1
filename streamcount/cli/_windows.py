"""The windows of runs from files, as a table and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from streamcount.cli._numbers import limits
from streamcount.types import Figure, WindowClosed
from streamcount.wire.cloudevents import format_time

# More rows than this tell less than the CSV.
MOST_ROWS = 60
TOLD = ("cells", "births", "deaths", "divisions", "entries", "exits")
COLUMNS = (
    "source", "window_start_ns", "window_end_ns", "complete", "reasons", "frames", "frames_missing", "name", "zone",
    "class_name", "value", "low", "high", "unit",
)  # fmt: skip


def windows_table(windows: Sequence[tuple[str, WindowClosed]]) -> Table:
    """A row a window, with the figures of all cells together. windows: each with its run's name."""
    caption = None
    if len(windows) > MOST_ROWS:
        caption = (
            f"the first {MOST_ROWS} of {len(windows)} windows; --csv FILE writes all, with all their figures"
        )
    table = Table(box=box.SIMPLE_HEAD, caption=caption)
    table.add_column("source", overflow="fold")
    table.add_column("from")
    for heading in ("frames", *TOLD):
        table.add_column(heading, justify="right")
    table.add_column("incomplete")
    for name, one in windows[:MOST_ROWS]:
        found = {figure.name: figure for figure in one.figures if not figure.zone and not figure.class_name}
        begin = format_time(one.window_start_ns)[:23].replace("T", " ")
        told = [_shown(found.get(heading)) for heading in TOLD]
        table.add_row(Text(name), begin, str(one.frames), *told, ", ".join(one.reasons))
    return table


def windows_csv(windows: Sequence[tuple[str, WindowClosed]]) -> bytes:
    """A line a figure of each window, with the columns `COLUMNS`."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for name, one in windows:
        about = (
            name, one.window_start_ns, one.window_end_ns, int(one.complete), ",".join(one.reasons), one.frames,
            one.frames_missing,
        )  # fmt: skip
        for f in one.figures:
            lines.writerow((*about, f.name, f.zone, f.class_name, f.value, f.low, f.high, f.unit))
    return text.getvalue().encode()


def _shown(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.low is None or figure.high is None or figure.name != "cells":
        return f"{figure.value:.4g}"
    return f"{figure.value:.4g} ({limits(figure.low, figure.high)})"
