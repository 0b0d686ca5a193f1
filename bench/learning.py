"""What more images would give: the same number of steps on ever more of a set's images, judged on the same val part.

python -m bench.learning DATA --output docs/images/learning
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.training import train_and_judge
from streamcount.training.data.parts import apart, read_parts
from streamcount.training.plan import Asked, only_some

SEED, BATCH = 1, 16


def main(
    data: Annotated[Path, typer.Argument(help="Labelled images with a train and a val part.")],
    output: Annotated[Path, typer.Option(help="CSV and picture to write, without ending.")],
    split: Annotated[Path | None, typer.Option(help="Split file.")] = None,
    steps: Annotated[int, typer.Option(help="Of each training.", min=10)] = 350,
    canvas: Annotated[int, typer.Option(help="Side of the training crops, px.")] = 224,
    diameter: Annotated[float, typer.Option(help="Of a cell at the net's scale, px.")] = 44.0,
    points: Annotated[int, typer.Option(help="How many trainings, each of thrice the images.", min=2)] = 4,
) -> None:
    """Trains on all images, on a third of them, on a ninth ..., one after the other."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console = Console()
    parts, _ = apart(read_parts(data, split=split))
    train, val = parts["train"], parts["val"]
    numbers = [round(len(train.images) / 3**power) for power in reversed(range(points))]
    output.parent.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[int, float, float, float]] = []
    for number in numbers:
        epochs = max(1, round(steps * BATCH / number))
        asked = Asked(epochs=epochs, canvas_px=canvas, diameter_px=diameter, batch=BATCH, seed=SEED)
        one = train_and_judge(only_some(train, number, SEED), val, asked)
        rows.append((number, one.ap50, one.f1, one.mape))
        console.print(f"{number} images, {epochs} epochs: {one}")
        _write(rows, output, f"{data.name}, {steps} steps, {len(val.images)} images for figures")


def _write(rows: list[tuple[int, float, float, float]], output: Path, title: str) -> None:
    from matplotlib.figure import Figure

    with output.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["images", "ap50", "f1", "mape"])
        table.writerows(rows)
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    images = [row[0] for row in rows]
    left.plot(images, [row[1] for row in rows], marker="o", color="#1f5fd0", label="AP50")
    left.plot(images, [row[2] for row in rows], marker="s", color="#12a04a", label="F1")
    left.set(xscale="log", xlabel="images to train on", ylim=(None, 1), title=title)
    left.legend()
    right.plot(images, [row[3] for row in rows], marker="o", color="#e0352b")
    right.set(xscale="log", xlabel="images to train on", ylabel="mean count error, %", ylim=(0, None))
    figure.savefig(output.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    typer.run(main)
