"""What `streamcount data check` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from streamcount.cli._console import output_console
from streamcount.training.data.check import PartSummary, Problem, summarise
from streamcount.training.data.labelled import Dataset

TOLD_PLACES = 5
MOST_SIZES = 4


def print_summary(folder: Path, parts: Mapping[str, Dataset]) -> None:
    """A column for each part: images, cells by class, sizes, sources."""
    table = Table(title=folder.resolve().name, box=box.SIMPLE_HEAD)
    table.add_column("")
    summaries = {name: summarise(part) for name, part in parts.items()}
    for name in summaries:
        table.add_column("all" if name == "." else name, justify="right")
    rows: list[tuple[str, Callable[[PartSummary], str]]] = [("images", lambda s: str(s.images))]
    for class_name in next(iter(parts.values())).class_names:
        rows.append((class_name, lambda s, c=class_name: str(s.cells[c])))  # type: ignore[misc]
    rows += [
        ("every cell labelled", lambda s: "yes" if s.complete else "no"),
        ("cells, px (5, 50, 95 %)", lambda s: " ".join(f"{d:.0f}" for d in s.diameters_px)),
        ("sizes, px", lambda s: _most([f"{w}x{h}: {n}" for (w, h), n in s.sizes])),
        ("sources", lambda s: _most([f"{name}: {n}" for name, n in s.sources.items()])),
    ]
    for title, tell in rows:
        table.add_row(title, *(tell(summary) for summary in summaries.values()))
    output_console().print(table)


def _most(entries: list[str]) -> str:
    further = len(entries) - MOST_SIZES
    return "\n".join(entries[:MOST_SIZES] + ([f"and {further} more"] if further > 0 else []))


def print_problems(problems: Sequence[Problem], all_files: bool) -> None:
    """Each finding with some of its files, or all of them."""
    console = output_console()
    if not problems:
        console.print("Nothing found wrong.")
    for problem in problems:
        style = "bold red" if problem.fatal else "yellow"
        console.print(f"{problem.count} {problem.what}", style=style, markup=False, highlight=False)
        shown = problem.places if all_files else problem.places[:TOLD_PLACES]
        for place in shown:
            console.print(f"    {place}", markup=False, highlight=False, soft_wrap=True)
        if len(problem.places) > len(shown):
            console.print(f"    and {len(problem.places) - len(shown)} more files (--all names them)")
