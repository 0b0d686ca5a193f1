"""The report that convinces: one HTML file with figures, plots and pictures, and a CSV with a row an image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.judge.breakdown import Judged, Row, by_density, by_source, confluence_errors, judge
from streamcount.training.judge.figures import ANY_CLASS, ClassFigures
from streamcount.training.judge.finds import Found
from streamcount.training.judge.matching import match
from streamcount.training.judge.pictures import draw
from streamcount.training.judge.plots import (
    calibration_plot,
    confusion_plot,
    counts_plot,
    jpeg_uri,
    line_plot,
    sizes_plot,
)

REPORT_FILE, IMAGES_FILE = "report.html", "images.csv"
WORST, BEST = 20, 8
CONFLUENCE_LIMIT = 3.0


@dataclass(frozen=True)
class Table:
    """A table of the report."""

    title: str
    note: str
    head: Sequence[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Plot:
    """A plot of the report."""

    title: str
    note: str
    uri: str


@dataclass(frozen=True)
class Picture:
    """A picture of the report with its text."""

    uri: str
    text: str


@dataclass(frozen=True)
class Subject:
    """What is judged: the model's name, the data's, and the finds with and without the doubtful ones."""

    model: str
    data: str
    dataset: Dataset
    ranked: list[Found]
    counted: list[Found]
    figures: dict[str, dict[str, ClassFigures]] = field(default_factory=dict)


@dataclass(frozen=True)
class Gallery:
    """Pictures under one heading."""

    title: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Page:
    """All that the HTML page shows. boxes: its pictures show boxes, whose colours need a key."""

    title: str
    subtitle: str
    verdict: list[str]
    tables: list[Table]
    plots: list[Plot]
    galleries: list[Gallery]
    boxes: bool = True


def write_page(page: Page, folder: Path) -> Path:
    """Write FOLDER/report.html and return its path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    folder.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=PackageLoader("streamcount.training.judge", "."), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("report.html.j2").render(page=page)
    (folder / REPORT_FILE).write_text(html, encoding="utf-8")
    return folder / REPORT_FILE


def write_report(subject: Subject, folder: Path) -> Path:
    """Write FOLDER/report.html and FOLDER/images.csv; returns the first."""
    judged = judge(subject.dataset, subject.ranked, subject.counted)
    wrong = np.array([_wrong(i, f) for i, f in zip(subject.dataset.images, subject.counted, strict=True)])
    order = np.argsort(-wrong, kind="stable")
    worst = [_picture(subject, int(i), int(wrong[i])) for i in order[:WORST] if wrong[i]]
    best = [_picture(subject, int(i), int(wrong[i])) for i in order[::-1][:BEST]]
    page = Page(
        title=f"{subject.model} on {subject.data}",
        subtitle=f"{len(subject.dataset.images)} images, {int(judged.true.sum())} labelled cells; written by "
        "streamcount evaluate. Matches are at an intersection over union of 0.5 or more.",
        verdict=_verdict(subject, judged),
        tables=_tables(subject, judged),
        plots=_plots(subject, judged),
        galleries=[
            Gallery("The worst images", worst),
            Gallery("Images without a wrong cell, or with the fewest", best),
        ],
    )
    path = write_page(page, folder)
    _write_images(subject, judged, wrong, folder / IMAGES_FILE)
    return path


def _verdict(subject: Subject, judged: Judged) -> list[str]:
    lines = []
    for form, classes in subject.figures.items():
        one = classes[ANY_CLASS]
        lines.append(
            f"{form}: finds {100 * one.recall:.1f} % of the cells, and {100 * one.precision:.1f} % of what it "
            f"finds is a cell. A count is wrong by {one.mae:.2f} cells an image ({one.mae_95[0]:.2f} to "
            f"{one.mae_95[1]:.2f}), which is {one.mape:.1f} %; over all images by {one.bias:+.2f} "
            f"({one.bias_95[0]:+.2f} to {one.bias_95[1]:+.2f})."
        )
    exact = int((judged.found == judged.true).sum())
    lines.append(f"{exact} of {len(judged.true)} images are counted exactly.")
    return lines


def _tables(subject: Subject, judged: Judged) -> list[Table]:
    head = (
        "class",
        "cells",
        "AP50",
        "AP50-95",
        "precision",
        "recall",
        "F1",
        "MAE",
        "bias",
        "MAPE %",
        "MAPE 95 %",
    )
    tables = []
    for form, classes in subject.figures.items():
        rows = [[name, str(one.cells), *_numbers(one)] for name, one in classes.items()]
        note = "Count errors are cells an image; intervals by bootstrap over images."
        tables.append(Table(form, note, head, rows))
    tables.append(_row_table("By density", "Quarters of the images.", by_density(judged)))
    sources = by_source(subject.dataset, judged)
    if sources:
        tables.append(_row_table("By source", "Where the images are from.", sources))
    return tables


def _numbers(one: ClassFigures) -> list[str]:
    shares = [f"{v:.3f}" for v in (one.ap50, one.ap50_95, one.precision, one.recall, one.f1)]
    interval = f"{one.mape_95[0]:.1f}-{one.mape_95[1]:.1f}"
    return [*shares, f"{one.mae:.2f}", f"{one.bias:+.2f}", f"{one.mape:.1f}", interval]


def _row_table(title: str, note: str, rows: list[Row]) -> Table:
    head = ("images of", "images", "cells", "MAE", "bias", "MAPE %")
    cells = [
        [r.name, str(r.images), str(r.cells), f"{r.mae:.2f}", f"{r.bias:+.2f}", f"{r.mape:.1f}"] for r in rows
    ]
    return Table(title, note, head, cells)


def _plots(subject: Subject, judged: Judged) -> list[Plot]:
    names = subject.dataset.class_names
    plots = [
        Plot("Counts", "A point is an image.", counts_plot(judged)),
        Plot(
            "Classes",
            "Of the last row and column: false finds and missed cells.",
            confusion_plot(judged.confusion, [*names, "false"], [*names, "missed"], nothing=True),
        ),
        Plot("Scores", "Of all finds, the doubtful too.", calibration_plot(judged.scores, judged.right)),
        Plot("Sizes", "Which cells are found.", sizes_plot(judged)),
    ]
    errors = confluence_errors(subject.dataset, subject.counted)
    if errors is not None:
        note = f"Mean error {np.abs(errors).mean():.2f} points, largest {np.abs(errors).max():.2f}."
        uri = line_plot(errors, "Confluence", "found - labelled, points", CONFLUENCE_LIMIT)
        plots.append(Plot("Confluence", note, uri))
    return plots


def _wrong(image: LabelledImage, found: Found) -> int:
    hit, missed = match(image, found)
    return int((hit < 0).sum() + missed.sum())


def _picture(subject: Subject, index: int, wrong: int) -> Picture:
    image, found = subject.dataset.images[index], subject.counted[index]
    hit, missed = match(image, found)
    text = f"{image.path.name}: {len(found.boxes_px)} found, {len(image.boxes_px)} labelled, {wrong} wrong"
    return Picture(jpeg_uri(draw(image, found, hit, missed)), text)


def _write_images(subject: Subject, judged: Judged, wrong: NDArray[np.int64], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "source", "labelled", "found", "wrong"])
        for image, true, found, bad in zip(
            subject.dataset.images, judged.true, judged.found, wrong, strict=True
        ):
            rows.writerow([image.path.name, image.source, int(true), int(found), int(bad)])
