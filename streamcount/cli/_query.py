"""Answers of a store as a table, CSV or a plot."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcount.errors import SinkError
from streamcount.wire.cloudevents import format_time

if TYPE_CHECKING:
    from streamcount.sinks.store.questions import Answer


WIDE = 400


def print_csv(answer: Answer) -> None:
    """The answer on standard output, numbers in full."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(answer.columns)
    rows.writerows(answer.rows)


def print_table(answer: Answer) -> None:
    """The answer for a reader: times as dates, numbers to four digits."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*(name.removesuffix("_ns") for name in answer.columns))
    for row in answer.rows:
        cells = (_shown(name, value) for name, value in zip(answer.columns, row, strict=True))
        table.add_row(*(Text(cell) for cell in cells))
    console = Console()
    # What is piped on has no edge to be cut off at.
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("_ns"):
        return format_time(int(value))[:19].replace("T", " ")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw(answer: Answer, path: Path, title: str) -> None:
    """Lines over time with their bands, one a camera, class, figure and zone.

    Raises ConfigurationError without matplotlib or where the file cannot be written, SinkError where there is nothing
    to draw.
    """
    from streamcount.lineage.style import check_picture, new_figure, save

    check_picture(path)
    import matplotlib.dates

    if not answer.rows:
        raise SinkError("there is nothing to draw: no row of the store is what was asked for")
    figure, axes = new_figure(9, 5)
    for label, (times, values, low, high) in _lines(answer).items():
        (line,) = axes.plot(times, values, label=label, marker="." if len(times) < 60 else "")
        axes.fill_between(times, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    # Its dates carry no types.
    dates: Any = matplotlib.dates
    locator = dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    axes.set_xlabel("time of acquisition, UTC")
    units = (
        {row[answer.columns.index("unit")] for row in answer.rows} if "unit" in answer.columns else {"cells"}
    )
    axes.set_ylabel(", ".join(sorted(unit for unit in units if unit)) or "value")
    axes.set_title("cells per frame: mean, least to most" if title == "counts" else title)
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def _lines(answer: Answer) -> dict[str, tuple[list[Any], list[float], list[float], list[float]]]:
    from datetime import UTC, datetime

    lines: dict[str, tuple[list[Any], list[float], list[float], list[float]]] = {}
    for row in answer.rows:
        one = dict(zip(answer.columns, row, strict=True))
        names = ("camera", "window_name", "name", "zone", "class_name")
        label = " ".join(str(one[name]) for name in names if one.get(name))
        times, values, low, high = lines.setdefault(label, ([], [], [], []))
        start_ns = int(one.get("start_ns", one.get("window_start_ns", 0)))
        value = float(one.get("mean", one.get("value", 0.0)))
        times.append(datetime.fromtimestamp(start_ns / 1e9, UTC))
        values.append(value)
        # No interval is no band.
        low.append(value if one["low"] is None else float(one["low"]))
        high.append(value if one["high"] is None else float(one["high"]))
    return lines
