"""Answers of a store as a table or CSV, and names that it does not know."""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from streamcount.cli._numbers import without_noise
from streamcount.errors import SinkError
from streamcount.types import AnyEvent
from streamcount.types.figures import FIGURES, WINDOW_FIGURES
from streamcount.wire.cloudevents import format_time

if TYPE_CHECKING:
    from streamcount.sinks.store.questions import Answer, Store


WIDE = 400
# A store may hold thousands of runs.
MOST_TOLD = 60
# What `query events` tells; counts and windows are questions of their own.
KINDS = frozenset(one.__name__ for one in get_args(AnyEvent)) - {"CountsUpdated", "WindowClosed"}
# Where a store keeps the names that an option may be given.
_NAMES = {
    "--run": "SELECT DISTINCT camera, run AS name FROM events",
    "--window": "SELECT DISTINCT camera, window_name AS name FROM windows",
    "--zone": "SELECT DISTINCT camera, zone AS name FROM current_figures",
    "--class": "SELECT DISTINCT camera, class_name AS name FROM counts "
    "UNION SELECT DISTINCT camera, class_name FROM events WHERE class_name IS NOT NULL "
    "UNION SELECT DISTINCT camera, class_name FROM current_figures",
    "--figure": "SELECT DISTINCT camera, name FROM current_figures UNION SELECT DISTINCT camera, figure FROM alerts",
}
_KNOWN = {"--figure": frozenset(FIGURES) | frozenset(WINDOW_FIGURES), "--kind": KINDS}


def require_names(store: Store, given: Mapping[str, object], camera: str | None) -> None:
    """Raises SinkError where an option names what neither the store nor the code knows, and says what is known.

    given: by option; of those that take no name nothing is asked. camera: whose names, all cameras' if None.
    """
    for option in ("--run", "--window", "--zone", "--class", "--figure", "--kind"):
        name = given.get(option)
        if name and name not in (known := _KNOWN.get(option, frozenset()) | _stored(store, option, camera)):
            raise SinkError(_unknown(option, str(name), known, camera if option in _NAMES else None))


def _stored(store: Store, option: str, camera: str | None) -> frozenset[str]:
    if option not in _NAMES:
        return frozenset()
    query = f"SELECT DISTINCT name FROM ({_NAMES[option]}) AS told"
    told = store.ask(query) if camera is None else store.ask(f"{query} WHERE camera = ?", (camera,))
    return frozenset(row[0] for row in told.rows if row[0])


def _unknown(option: str, name: str, known: Collection[str], camera: str | None) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    told = sorted(known)
    more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    of = f" of camera {camera}" if camera else ""
    hint = (
        f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(told[:MOST_TOLD]) or 'none'}{more}"
    )
    return f"{option} {name!r}{of} is not known to the store; {hint}"


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
        told = _without_noise(answer.columns, row)
        cells = (_shown(name, told[place]) for place, name in shown)
        table.add_row(*(Text(cell) for cell in cells))
    console = Console()
    # What is piped on has no edge to be cut off at.
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)


def _without_noise(columns: Sequence[str], row: Sequence[Any]) -> list[Any]:
    told = list(row)
    if {"low", "high"} <= set(columns):
        low, high = columns.index("low"), columns.index("high")
        if isinstance(row[low], float) and isinstance(row[high], float):
            told[low], told[high] = without_noise(row[low], row[high]), without_noise(row[high], row[low])
    return told


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("_ns"):
        return format_time(int(value))[:19].replace("T", " ")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
