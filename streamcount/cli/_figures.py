"""What the commands about models print: data, progress, figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from streamcount.training.data.labelled import Dataset


def describe(console: Console, part: str, dataset: Dataset) -> None:
    """Print how many images and cells there are."""
    cells = ", ".join(
        f"{n} {name}" for n, name in zip(dataset.class_counts(), dataset.class_names, strict=True)
    )
    dropped = f"; {dataset.doubled_boxes} doubled boxes dropped" if dataset.doubled_boxes else ""
    console.print(f"{part}: {len(dataset.images)} images, {cells}{dropped}")


def print_figures(title: str, measured: Mapping[str, Any]) -> None:
    """Print figures by class, given as ClassFigures or as tables of model.toml."""
    table = Table(title=title)
    table.add_column("class")
    for name in ("cells", "AP50", "AP50-95", "F1", "count MAE", "bias", "MAPE %", "(95 %)"):
        table.add_column(name, justify="right")
    for name, figures in measured.items():
        one = asdict(figures) if is_dataclass(figures) and not isinstance(figures, type) else dict(figures)
        low, high = one.get("mape_95", (0.0, 0.0))
        table.add_row(
            name, str(one["cells"]), f"{one['ap50']:.3f}", f"{one['ap50_95']:.3f}", f"{one.get('f1', 0):.3f}",
            f"{one['mae']:.2f}", f"{one['bias']:+.2f}", f"{one['mape']:.1f}", f"{low:.1f}-{high:.1f}",
        )  # fmt: skip
    Console().print(table)


def progress_bar(console: Console) -> Progress:
    """A bar with a count, a note, and the time gone and left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TimeRemainingColumn(), console=console,
    )  # fmt: skip
