"""The report's plots, as PNG pictures in data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.training.judge.breakdown import Judged
from streamcount.training.judge.calibration import expected_error, reliability

BLUE, ORANGE, GREY = "#1f5fd0", "#e0662b", "#8a8a8a"
SIZE_BINS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.6, 2.0, 4.0)


def counts_plot(judged: Judged) -> str:
    """Found over labelled cells an image, and their difference over their mean (Bland and Altman, 1986)."""
    figure, (left, right) = _figure(2)
    most = max(int(judged.true.max(initial=1)), int(judged.found.max(initial=1)))
    left.plot([0, most], [0, most], color=GREY, lw=1)
    left.scatter(judged.true, judged.found, s=14, alpha=0.5, color=BLUE, lw=0)
    left.set(xlabel="labelled cells in an image", ylabel="found cells", title="Found and labelled")
    difference = judged.found - judged.true
    middle, spread = float(difference.mean()), 1.96 * float(difference.std())
    right.scatter((judged.true + judged.found) / 2, difference, s=14, alpha=0.5, color=BLUE, lw=0)
    for at, style in ((middle, "-"), (middle - spread, "--"), (middle + spread, "--")):
        right.axhline(at, color=ORANGE, lw=1, ls=style)
    right.set(xlabel="mean of both", ylabel="found - labelled", title="Difference, with 95 % limits")
    return _uri(figure)


def confusion_plot(
    table: NDArray[np.int64], labelled: Sequence[str], found: Sequence[str], *, nothing: bool = False
) -> str:
    """Labelled classes (rows) against found ones, coloured by the shares of the labelled.

    nothing: the last row is of finds that are no labelled cell, and the last column of missed cells.
    """
    height = max(3.7, 0.5 * len(labelled) + 1.5)
    figure, (axis,) = _figure(1, width=max(4.5, 0.8 * len(found) + 2), height=height)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    if nothing:
        share[-1] = table[-1] / max(table[:-1].sum(), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), number in np.ndenumerate(table):
        colour = "white" if share[row, column] > 0.5 else "black"
        axis.text(column, row, str(number) if number else "", ha="center", va="center", color=colour)
    axis.set_xticks(range(len(found)), found, rotation=45, ha="right")
    axis.set_yticks(range(len(labelled)), labelled)
    axis.set(xlabel="found", ylabel="labelled", title="Confusion")
    return _uri(figure)


def calibration_plot(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> str:
    """How often finds of a score are right; scores (N,), right (N,)."""
    figure, (left, beside) = _figure(2)
    mean, share, number = reliability(scores, right)
    shown = number > 0
    left.plot([0, 1], [0, 1], color=GREY, lw=1)
    left.plot(mean[shown], share[shown], marker="o", color=BLUE)
    error = expected_error(scores, right)
    left.set(xlabel="score", ylabel="share that is right", title=f"Calibration (mean error {error:.3f})")
    beside.bar((np.arange(len(number)) + 0.5) / len(number), number, width=0.09, color=BLUE)
    beside.set(xlabel="score", ylabel="finds", yscale="log", title="Scores")
    return _uri(figure)


def sizes_plot(judged: Judged) -> str:
    """The share of labelled cells that is found, by size."""
    figure, (axis,) = _figure(1, width=6.5)
    index = np.digitize(judged.sizes, SIZE_BINS) - 1
    rows = [(i, judged.caught[index == i]) for i in range(len(SIZE_BINS) - 1) if (index == i).any()]
    axis.bar(range(len(rows)), [caught.mean() for _, caught in rows], color=BLUE)
    names = [f"{SIZE_BINS[i]:g}-{SIZE_BINS[i + 1]:g}\n{len(caught)}" for i, caught in rows]
    axis.set_xticks(range(len(rows)), names)
    axis.set(
        xlabel="side over the image's usual cell, and how many", ylabel="found", ylim=(0, 1), title="By size"
    )
    return _uri(figure)


def line_plot(values: NDArray[np.float64], title: str, ylabel: str, limit: float) -> str:
    """Errors along the images, with the limits asked for."""
    figure, (axis,) = _figure(1, width=9)
    axis.axhspan(-limit, limit, color="#e8eef8")
    axis.axhline(0, color=GREY, lw=1)
    axis.plot(values, color=BLUE)
    axis.set(xlabel="image", ylabel=ylabel, title=title)
    return _uri(figure)


def jpeg_uri(image: NDArray[np.uint8], most_px: int = 620) -> str:
    """An (H, W, 3) RGB image as a data URI, scaled down to at most so many pixels a side."""
    import cv2

    factor = min(1.0, most_px / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    _, packed = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(packed.tobytes()).decode("ascii")


def _figure(columns: int, width: float | None = None, height: float = 3.7) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width or 4.6 * columns, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _uri(figure: Any) -> str:
    packed = io.BytesIO()
    figure.savefig(packed, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")
