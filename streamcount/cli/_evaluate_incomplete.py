"""`streamcount evaluate` on images in which not every cell is labelled, such as by points."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from streamcount.cli._console import output_console
from streamcount.cli._figures import progress_bar
from streamcount.errors import ConfigurationError

if TYPE_CHECKING:
    from streamcount.training.data.labelled import Dataset
    from streamcount.training.judge import Found
    from streamcount.training.judge.incomplete import LabelsFound

WHY = (
    "Not every cell is labelled there, so what is found besides may be right: only the share of the labelled cells "
    "that is found can be told, and no precision, no error of counts."
)


def tell_incomplete(
    dataset: Dataset, title: str, chosen: tuple[str, str, str], asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Judge and print. chosen: the model, or else the kind of detector, and the form.

    asked: options that need complete labels, with their values. Raises ConfigurationError where one is given.
    """
    for option, value in asked.items():
        if value:
            raise ConfigurationError(f"{option} is for images in which every cell is labelled. {WHY}")
    from streamcount.training.data.labelled import as_one_class
    from streamcount.training.judge import ANY_CLASS
    from streamcount.training.judge.incomplete import labels_found

    console = Console(stderr=True)
    console.print(WHY, highlight=False, soft_wrap=True)
    with progress_bar(console) as progress:
        task = progress.add_task("detecting", total=len(dataset.images), note="")
        finds = _finds(as_one_class(dataset, ANY_CLASS), chosen, lambda: progress.update(task, advance=1))
    told = labels_found(dataset, finds)
    if as_json:
        typer.echo(json.dumps({"labels found": {name: asdict(one) for name, one in told.items()}}, indent=2))
        return
    _print(f"{title}: {sum(len(one.boxes_px) for one in finds)} cells found", told)


def _finds(dataset: Dataset, chosen: tuple[str, str, str], tick: Callable[[], None]) -> list[Found]:
    model, kind, form = chosen
    if model:
        from streamcount.detection.bundle import find_bundle
        from streamcount.training.compile import counted_finds

        return counted_finds(find_bundle(model), dataset, form, tick)
    from streamcount.cli._evaluate_detector import build_detector
    from streamcount.training.judge import find_all

    detector = build_detector(kind)
    return find_all(detector, dataset, [0] * len(detector.model.class_names), tick)


def _print(title: str, told: Mapping[str, LabelsFound]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("class")
    for heading in ("labelled", "found", "recall", "(95 %)"):
        table.add_column(heading, justify="right")
    for name, one in told.items():
        low, high = one.recall_95
        table.add_row(name, str(one.labels), str(one.found), f"{one.recall:.3f}", f"{low:.3f}-{high:.3f}")
    output_console().print(table)
