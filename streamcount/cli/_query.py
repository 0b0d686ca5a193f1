"""Answers of a store as a table or CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streamcount.wire.cloudevents import format_time

if TYPE_CHECKING:
    from streamcount.sinks.store.questions import Answer


WIDE = 400


def print_csv(answer: Answer) -> None:
    """The answer on standard output, numbers in full."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(answer.columns)
    rows.writerows(answer.rows)


def print_table(answer: Answer, sparse: Sequence[str] = ()) -> None:
    """The answer for a reader: times as dates, numbers to four digits; of sparse columns those that tell."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [
        (place, name)
        for place, name in enumerate(answer.columns)
        if name not in sparse or any(row[place] is not None for row in answer.rows)
    ]
    table = Table(*(name.removesuffix("_ns") for _, name in shown))
    for row in answer.rows:
        cells = (_shown(name, row[place]) for place, name in shown)
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
