"""The report on a classifier of crops: figures, plots, and the cells that it takes for another class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.training.judge.plots import calibration_plot, confusion_plot, jpeg_uri
from streamcount.training.judge.report import Gallery, Page, Picture, Plot, Table, write_page
from streamcount.training.shapes.crops import Crops
from streamcount.training.shapes.judge import (
    ALL_CLASSES,
    AbnormalTold,
    AllShapes,
    Figures,
    ShapeFigures,
    confusion,
)

CONFUSIONS, CROPS_EACH = 20, 12


@dataclass(frozen=True)
class ShapeSubject:
    """What is judged.

    crops: with their labels; shares: the compiled net's probabilities (N, C); figures: by form. twice: cells that are
    in two copies of a picture, and how many of them have the same label in both. abnormal: what the classes marked
    so are worth.
    """

    model: str
    data: str
    class_names: tuple[str, ...]
    crops: Crops
    shares: NDArray[np.float32]
    figures: dict[str, Figures]
    twice: tuple[int, int]
    abnormal: list[AbnormalTold]


def write_shapes_report(subject: ShapeSubject, folder: Path) -> Path:
    """Write FOLDER/report.html and return its path."""
    names, crops, shares = subject.class_names, subject.crops, subject.shares
    guesses = shares.argmax(axis=1)
    table = confusion(crops.class_ids, guesses, len(names))
    plots = [
        Plot("Classes", "Rows: labelled; columns: found.", confusion_plot(table, names, names)),
        Plot(
            "Scores",
            "Of the class that was found.",
            calibration_plot(shares.max(axis=1), guesses == crops.class_ids),
        ),
    ]
    page = Page(
        title=f"{subject.model} on {subject.data}",
        subtitle=f"{len(crops.class_ids)} labelled cells of {len(np.unique(crops.images))} images, as the first "
        "model finds them; written by streamcount evaluate.",
        verdict=_verdict(subject),
        tables=[_table(form, figures) for form, figures in subject.figures.items()],
        plots=plots,
        galleries=[Gallery("The commonest confusions", _confusions(crops, guesses, table, names))],
        boxes=False,
    )
    return write_page(page, folder)


def _verdict(subject: ShapeSubject) -> list[str]:
    lines = []
    for form, figures in subject.figures.items():
        one = figures[ALL_CLASSES]
        assert isinstance(one, AllShapes)
        lines.append(
            f"{form}: {100 * one.accuracy:.1f} % of the cells get the label that they have "
            f"({100 * one.accuracy_95[0]:.1f} to {100 * one.accuracy_95[1]:.1f}); macro F1 {one.macro_f1:.3f} "
            f"({one.macro_f1_95[0]:.3f} to {one.macro_f1_95[1]:.3f})."
        )
    cells, agreed = subject.twice
    if cells:
        lines.append(
            f"{cells} cells are labelled twice, in two copies of a picture: "
            f"{100 * agreed / cells:.1f} % of them alike."
        )
    return lines


def _table(form: str, figures: Figures) -> Table:
    rows = [
        [name, str(one.cells), f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}"]
        for name, one in figures.items()
        if isinstance(one, ShapeFigures)
    ]
    return Table(form, "Of the labelled cells.", ("class", "cells", "precision", "recall", "F1"), rows)


def _confusions(
    crops: Crops, guesses: NDArray[np.int64], table: NDArray[np.int64], names: tuple[str, ...]
) -> list[Picture]:
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    pictures = []
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]:
        label, guess = np.unravel_index(flat, wrong.shape)
        if not wrong[label, guess]:
            break
        of = np.flatnonzero((crops.class_ids == label) & (guesses == guess))[:CROPS_EACH]
        text = f"{names[label]} taken for {names[guess]}: {wrong[label, guess]} of {table[label].sum()}"
        pictures.append(Picture(jpeg_uri(_mosaic(crops.pixels[of])), text))
    return pictures


def _mosaic(crops: NDArray[np.uint8], columns: int = 4) -> NDArray[np.uint8]:
    """(N, S, S, channels) side by side, as RGB."""
    side = crops.shape[1]
    rows = -(-len(crops) // columns)
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for i, crop in enumerate(crops):
        colour = crop if crop.shape[2] == 3 else cv2.merge([crop[..., 0]] * 3)
        top, left = i // columns * side, i % columns * side
        sheet[top : top + side, left : left + side] = colour
    return sheet
