"""What the commands about models print: data, progress, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from streamcount.cli._console import output_console

if TYPE_CHECKING:
    from streamcount.training.data.labelled import Dataset
    from streamcount.training.shapes.judge import AbnormalTold


def describe(console: Console, part: str, dataset: Dataset) -> None:
    """Print how many images and cells there are."""
    cells = ", ".join(
        f"{n} {name}" for n, name in zip(dataset.class_counts(), dataset.class_names, strict=True)
    )
    dropped = f"; {dataset.doubled_boxes} doubled boxes dropped" if dataset.doubled_boxes else ""
    console.print(f"{part}: {len(dataset.images)} images, {cells}{dropped}")


# Key of a figure, its column's head, and how it is written.
COLUMNS = (
    ("cells", "cells", "d"), ("ap50", "AP50", ".3f"), ("ap50_95", "AP50-95", ".3f"), ("accuracy", "accuracy", ".3f"),
    ("macro_f1", "macro F1", ".3f"), ("precision", "precision", ".3f"), ("recall", "recall", ".3f"),
    ("f1", "F1", ".3f"), ("mae", "MAE", ".2f"), ("bias", "bias", "+.2f"), ("mape", "MAPE %", ".1f"),
    ("mean_error", "mean error", ".2f"), ("largest", "largest error", ".2f"),
    ("largest_apart", "of windows one after the other", ".2f"),
)  # fmt: skip


def print_figures(title: str, measured: Mapping[str, Any]) -> None:
    """Print figures by class, given as dataclasses of figures or as tables of model.toml."""
    rows = {
        name: asdict(one) if is_dataclass(one) and not isinstance(one, type) else dict(one)
        for name, one in measured.items()
    }
    # Beside the errors of counts there is no room for both on 80 columns; F1 tells most of them.
    crowded = {"precision", "recall"} if any("mae" in row for row in rows.values()) else set()
    shown = {key for row in rows.values() for key in row} - crowded
    columns = [column for column in COLUMNS if column[0] in shown]
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("class")
    for _, head, _ in columns:
        table.add_column(head, justify="right")
    counted = any("mape_95" in row for row in rows.values())
    if counted:
        table.add_column("(95 %)", justify="right")
    for name, row in rows.items():
        cells = [format(row[key], form) if key in row else "" for key, _, form in columns]
        low, high = row.get("mape_95", (0.0, 0.0))
        table.add_row(name, *cells, *([f"{low:.1f}-{high:.1f}"] if counted else []))
    output_console().print(table)


def print_abnormal(told: Sequence[AbnormalTold]) -> None:
    """Print what the classes marked abnormal are worth together."""
    table = Table(title="Told as abnormal by its class", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("probability of at least", "of abnormal cells", "of all others"):
        table.add_column(heading, justify="right")
    for one in told:
        table.add_row(f"{one.least:.1f}", f"{one.of_abnormal:.1%}", f"{one.of_others:.1%}")
    output_console().print(table)


def progress_bar(console: Console) -> Progress:
    """A bar with a count, a note, and the time gone and left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TimeRemainingColumn(), console=console,
    )  # fmt: skip
