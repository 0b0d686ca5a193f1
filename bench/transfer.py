"""How good a model becomes of few images, from another model's backbone and from nothing: a curve.

    python -m bench.transfer DATA --split split.json --parent blood-smear --output docs/images/transfer

DATA must be a set that the parent has not seen. With no image at all the parent itself is judged, on all cells as
one. Written are a CSV and a picture; what the CSV holds already is not trained again.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.training import train_and_judge
from streamcount.detection.bundle import find_bundle
from streamcount.training.compile import measure_bundle
from streamcount.training.data.labelled import Dataset, as_one_class
from streamcount.training.data.parts import apart, read_parts
from streamcount.training.judge import ANY_CLASS, ClassFigures
from streamcount.training.plan import Asked, only_some

NUMBERS = (10, 20, 50, 100)
SEED = 1


@dataclass(frozen=True)
class Point:
    """One training: from what, of how many images, what it gave, and how long it took."""

    start: str
    images: int
    ap50: float
    f1: float
    mape: float
    seconds: int


def _point(start: str, images: int, judge: Callable[[], ClassFigures]) -> Point:
    started = time.monotonic()
    figures = judge()
    seconds = round(time.monotonic() - started)
    return Point(start, images, figures.ap50, figures.f1, figures.mape, seconds)


def _known(path: Path) -> dict[tuple[str, int], Point]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        points = [
            Point(
                r["from"],
                int(r["images"]),
                float(r["ap50"]),
                float(r["f1"]),
                float(r["mape"]),
                int(r["seconds"]),
            )
            for r in csv.DictReader(file)
        ]
    return {(point.start, point.images): point for point in points}


def main(
    data: Annotated[Path, typer.Argument(help="Labelled images that the parent has not seen.")],
    output: Annotated[Path, typer.Option(help="Files to write, without ending.")],
    split: Annotated[Path | None, typer.Option(help="Split file.")] = None,
    parent: Annotated[str, typer.Option(help="Model whose backbone is kept.")] = "blood-smear",
    canvas: Annotated[int, typer.Option(help="Side of the training crops, px.")] = 160,
    diameter: Annotated[float, typer.Option(help="Of a cell at the net's scale, px.")] = 28.0,
) -> None:
    """Trains all points of the curve one after the other, some two minutes each on two cores."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console = Console()
    parts, _ = apart(read_parts(data, split=split))
    train, val = parts["train"], parts["val"]
    known = _known(output.with_suffix(".csv"))
    points: list[Point] = []
    for start, number in [(parent, 0), *((start, n) for start in (parent, "nothing") for n in NUMBERS)]:
        own = start == parent
        asked = Asked(epochs=12, canvas_px=canvas, diameter_px=diameter, width=16, learning_rate=1e-3 if own
                      else 2e-3, colour="rgb", normalise="none", parent=parent if own else "", seed=SEED)  # fmt: skip
        if (start, number) in known:
            points.append(known[start, number])
        elif not number:
            points.append(_point(start, 0, partial(_untrained, parent, val)))
        else:
            trained = partial(_trained, only_some(train, number, SEED), val, asked)
            points.append(_point(start, number, trained))
        console.print(f"{start}, {number} images: F1 {points[-1].f1:.3f}, {points[-1].seconds} s")
    _write(points, output, f"{data.name}, {len(val.images)} images for figures")
    table = Table("from", "images", "AP50", "F1", "count MAPE %", "seconds")
    for p in points:
        table.add_row(p.start, str(p.images), f"{p.ap50:.3f}", f"{p.f1:.3f}", f"{p.mape:.1f}", str(p.seconds))
    console.print(table)


def _trained(train: Dataset, val: Dataset, asked: Asked) -> ClassFigures:
    return train_and_judge(train, val, asked)[0]


def _untrained(parent: str, val: Dataset) -> ClassFigures:
    return measure_bundle(find_bundle(parent), as_one_class(val, "cell"))["int8"][ANY_CLASS]


def _write(points: list[Point], output: Path, title: str) -> None:
    from matplotlib.figure import Figure

    output.parent.mkdir(parents=True, exist_ok=True)
    with output.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["from", "images", "ap50", "f1", "mape", "seconds"])
        for p in points:
            rows.writerow([p.start, p.images, p.ap50, p.f1, p.mape, p.seconds])
    figure = Figure(figsize=(9.2, 3.7), layout="constrained")
    axes: Any = figure.subplots(1, 2)
    for start, colour in dict.fromkeys(
        (p.start, "#1f5fd0" if p.start != "nothing" else "#8a8a8a") for p in points
    ):
        own = [p for p in points if p.start == start]
        x = [p.images for p in own]
        axes[0].plot(x, [p.f1 for p in own], marker="o", color=colour, label=f"from {start}")
        axes[1].plot(x, [p.mape for p in own], marker="o", color=colour)
    axes[0].set(xlabel="labelled images", ylabel="F1 of all cells at IoU 0.5", ylim=(0, 1), title=title)
    axes[1].set(xlabel="labelled images", ylabel="mean count error, %", ylim=(0, None))
    axes[0].legend()
    figure.savefig(output.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    typer.run(main)
