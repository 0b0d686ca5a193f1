"""The picture of a model's card: how it counts, and where it errs, drawn as lines without the images themselves.

python -m bench.cards viability DATA --split split.json
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from streamcount.detection.bundle import CROP_CLASSIFICATION, find_bundle, load_bundle
from streamcount.training.compile import counted_finds, in_words_of, ranked_finds
from streamcount.training.data.labelled import LabelledImage
from streamcount.training.data.parts import apart, read_parts
from streamcount.training.judge import Found, match
from streamcount.training.judge.breakdown import judge
from streamcount.training.judge.calibration import reliability
from streamcount.training.shapes.report import ShapeSubject

PICTURE = "card.png"
RIGHT, FALSE, MISSED, OTHER = (70, 170, 70), (220, 40, 40), (240, 150, 0), (170, 50, 200)
BEST, WORST, SIDE_PX = 2, 4, 420
# Of a second stage's classes: at least so many cells told right, and as many told wrong, in rows of at least so many.
EXAMPLES, LEAST_COLUMNS = 2, 8
LEVELS, LINES = (0.3, 0.55, 0.8), (0.6, 0.9, 1.2)


def main(
    model: Annotated[str, typer.Argument(help="Name of the bundle; card.png is written into its folder.")],
    data: Annotated[Path, typer.Argument(help="Labelled images.")],
    split: Annotated[Path | None, typer.Option(help="Split file.")] = None,
) -> None:
    """Draws the card of a model that finds cells, or of a second stage."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = find_bundle(model)
    val = apart(read_parts(data, split=split))[0]["val"]
    if load_bundle(model).task == CROP_CLASSIFICATION:
        _draw_confusion(model, folder, val, data)
    else:
        _draw_finds(folder, in_words_of(load_bundle(model), val))


def _draw_finds(folder: Path, dataset: Any) -> None:
    from matplotlib.figure import Figure

    ranked, counted = ranked_finds(folder, dataset), counted_finds(folder, dataset)
    judged = judge(dataset, ranked, counted)
    wrong = np.array([_wrong(i, f) for i, f in zip(dataset.images, counted, strict=True)])
    cells = np.maximum(judged.true, 1)
    order = np.argsort(wrong / cells, kind="stable")
    # Of those without an error, the fullest.
    best = sorted(order[: max(BEST, len(order) // 4)], key=lambda i: -judged.true[i])[:BEST]
    worst = order[::-1][:WORST]
    figure = Figure(figsize=(12, 8.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.55))
    left, middle, right = top.subplots(1, 3)
    most = max(int(judged.true.max()), int(judged.found.max()))
    left.plot([0, most], [0, most], color="#8a8a8a", lw=1)
    left.scatter(judged.true, judged.found, s=12, alpha=0.5, color="#1f5fd0", lw=0)
    left.set(xlabel="labelled cells in an image", ylabel="found", title="Counts")
    share = 100 * (judged.found - judged.true) / cells
    middle.hist(np.clip(share, -60, 60), bins=np.arange(-62.5, 65, 5), color="#1f5fd0")
    middle.set(xlabel="count error of an image, %", ylabel="images", title="Errors")
    mean, rate, number = reliability(judged.scores, judged.right)
    shown = number > 0
    right.plot([0, 1], [0, 1], color="#8a8a8a", lw=1)
    right.plot(mean[shown], rate[shown], marker="o", color="#1f5fd0")
    right.set(xlabel="score", ylabel="share that is right", title="Calibration")
    for axis, index in zip(bottom.subplots(2, 3).ravel(), [*best, *worst], strict=True):
        axis.imshow(schematic(dataset.images[index], counted[index]))
        kind = "of the best" if index in best else "of the worst"
        axis.set_title(f"{kind}: {judged.found[index]} found, {judged.true[index]} labelled", fontsize=9)
        axis.set_axis_off()
    _save(figure, folder)


def _wrong(image: LabelledImage, found: Found) -> int:
    hit, missed = match(image, found)
    return int((hit < 0).sum() + missed.sum())


def schematic(image: LabelledImage, found: Found) -> NDArray[np.uint8]:
    """(h, w, 3) outlines of the finds and of what was missed, on white."""
    height, width = image.shape_px
    scale = SIDE_PX / max(height, width)
    sheet = np.full((round(height * scale), round(width * scale), 3), 250, np.uint8)
    hit, missed = match(image, found)
    same = np.append(image.class_ids, -1)[hit] == found.class_ids
    for i, box in enumerate(found.boxes_px):
        colour = FALSE if hit[i] < 0 else RIGHT if same[i] else OTHER
        _outline(sheet, box * scale, found.masks, i + 1, colour)
    labels = image.masks().astype(np.uint16) if image.masks is not None and found.masks is not None else None
    for i in np.flatnonzero(missed):
        _outline(sheet, image.boxes_px[i] * scale, labels, int(i) + 1, MISSED)
    return sheet


def _outline(
    sheet: NDArray[np.uint8],
    box: NDArray[np.float32],
    labels: NDArray[np.uint16] | None,
    number: int,
    colour: tuple[int, int, int],
) -> None:
    y0, x0, y1, x1 = (round(float(v)) for v in box)
    if labels is None:
        cv2.ellipse(
            sheet,
            ((x0 + x1) // 2, (y0 + y1) // 2),
            ((x1 - x0) // 2, (y1 - y0) // 2),
            0,
            0,
            360,
            colour,
            2,
            cv2.LINE_AA,
        )
        return
    own = cv2.resize((labels == number).astype(np.uint8), sheet.shape[1::-1], interpolation=cv2.INTER_AREA)
    lines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(sheet, lines, -1, colour, 1, cv2.LINE_AA)


def _draw_confusion(model: str, folder: Path, dataset: Any, data: Path) -> None:
    from matplotlib.figure import Figure

    from streamcount.cli._evaluate_shapes import judge_shapes
    from streamcount.training.shapes.judge import confusion

    subject = judge_shapes(dataset, model, "int8", "", data, lambda: None)
    names, guesses = subject.class_names, subject.shares.argmax(axis=1)
    table = confusion(subject.crops.class_ids, guesses, len(names))
    across = max(1, LEAST_COLUMNS // len(names))
    examples_height = 2 * 13 / (across * len(names)) * -(-EXAMPLES // across)
    figure = Figure(figsize=(13, 6.4 + examples_height), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(6.4, examples_height))
    left, right = top.subplots(1, 2, width_ratios=(1.5, 1))
    left.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(table):
        left.text(column, row, str(number) if number else "", ha="center", va="center", fontsize=8,
                  color="white" if number > 0.5 * table[row].sum() else "black")  # fmt: skip
    left.set_xticks(range(len(names)), names, rotation=45, ha="right")
    left.set_yticks(range(len(names)), names)
    left.set(xlabel="found", ylabel="labelled", title="Confusion")
    mean, rate, number = reliability(subject.shares.max(axis=1), guesses == subject.crops.class_ids)
    shown = number > 0
    right.plot([0, 1], [0, 1], color="#8a8a8a", lw=1)
    right.plot(mean[shown], rate[shown], marker="o", color="#1f5fd0")
    right.set(xlabel="score", ylabel="share that has this label", title="Calibration")
    _draw_examples(bottom, subject, across)
    _save(figure, folder)


def _draw_examples(figure: Any, subject: ShapeSubject, across: int) -> None:
    """Of each class the cells told right, and those told wrong, of which the model was surest; `across` in a row."""
    names, crops = subject.class_names, subject.crops
    guesses, sure = subject.shares.argmax(axis=1), subject.shares.max(axis=1)
    down = -(-EXAMPLES // across)
    axes = figure.subplots(2 * down, across * len(names), squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for class_id, name in enumerate(names):
        own = crops.class_ids == class_id
        columns = axes[:, class_id * across : (class_id + 1) * across]
        for right, places in ((True, columns[:down]), (False, columns[down:])):
            rows = np.flatnonzero(own & ((guesses == class_id) == right))
            surest = rows[np.argsort(-sure[rows], kind="stable")]
            for axis, row in zip(places.ravel(), surest, strict=False):
                _draw_levels(axis, crops.pixels[row])
                title = name if right else f"{name},\ntold {names[guesses[row]]}"
                axis.set_title(title, fontsize=7, color=np.divide(RIGHT if right else FALSE, 255))


def _draw_levels(axis: Any, crop: NDArray[np.uint8]) -> None:
    """Lines of equal brightness in a crop (S, S, channels)."""
    grey = cv2.GaussianBlur(crop.mean(axis=2).astype(np.float32), (0, 0), 1.5)
    low, high = np.percentile(grey, (2, 98))
    axis.contour(
        grey, levels=low + (high - low) * np.array(LEVELS), colors="#30363f", linewidths=LINES, origin="upper"
    )
    axis.set_aspect("equal")


def _save(figure: Any, folder: Path) -> None:
    figure.savefig(folder / PICTURE, dpi=80)


if __name__ == "__main__":
    typer.run(main)
