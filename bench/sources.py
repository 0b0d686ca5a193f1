"""Leave one source out: how a model counts on images of a source that it has never seen, for each source of a set.

python -m bench.sources DATA --source shape --output docs/images/sources
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.training import train_and_judge
from streamcount.training.data.duplicates import fingerprints, groups_of, near_duplicates
from streamcount.training.data.labelled import Dataset, with_diameters
from streamcount.training.data.parts import read_folders
from streamcount.training.data.read import ReadOptions
from streamcount.training.data.split import SplitBy, SplitChoice, split_images
from streamcount.training.plan import Asked

LEAST_IMAGES = 30


def main(
    data: Annotated[Path, typer.Argument(help="Labelled images of several sources.")],
    output: Annotated[Path, typer.Option(help="CSV file to write.")],
    source: Annotated[str, typer.Option(help="As of `streamcount data split`.")] = "shape",
    epochs: Annotated[int, typer.Option(help="Of each training.")] = 12,
    canvas: Annotated[int, typer.Option(help="Side of the training crops, px.")] = 192,
    diameter: Annotated[float, typer.Option(help="Of a cell at the net's scale, px.")] = 40.0,
) -> None:
    """Trains a model for each source left out, one after the other. Near-duplicates of what is left out are too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console = Console()
    read = read_folders(data, ReadOptions(source=source))
    images = tuple(image for part in read for image in part.images)
    whole = Dataset(images, read[0].class_names)
    whole = with_diameters(whole, int(whole.class_counts().argmax()))
    groups = groups_of(len(images), near_duplicates(fingerprints([image.path for image in images])))
    table = Table("left out", "of", "images", "cells", "AP50", "count MAE", "bias", "MAPE %", "(95 %)")
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        figures = ["cells", "ap50", "mae", "bias", "mape", "mape_low", "mape_high"]
        rows.writerow(["left_out", "of", "images", *figures])
        for name in sorted({image.source for image in images}):
            split = split_images(whole.images, groups, SplitChoice(SplitBy.SOURCE, leave_out=name))
            if len(split.val) < LEAST_IMAGES:
                continue
            train, val = (Dataset(tuple(whole.images[i] for i in part), whole.class_names, 0,
                                  whole.relative_diameters) for part in (split.train, split.val))  # fmt: skip
            judged = train_and_judge(train, val, Asked(epochs=epochs, canvas_px=canvas, diameter_px=diameter))
            for of, one in zip(("all cells", "whole cells"), judged, strict=True):
                row = [
                    name,
                    of,
                    len(val.images),
                    one.cells,
                    one.ap50,
                    one.mae,
                    one.bias,
                    one.mape,
                    *one.mape_95,
                ]
                rows.writerow(row)
                file.flush()
                console.print(f"{name}, {of}: {one}")
                table.add_row(*(str(value) for value in row[:8]), f"{one.mape_95[0]}-{one.mape_95[1]}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
