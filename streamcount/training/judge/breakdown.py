"""Where a detector errs: between which classes, in which images, at which sizes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.training.data.labelled import Dataset
from streamcount.training.judge.finds import Found
from streamcount.training.judge.matching import match


@dataclass(frozen=True)
class Judged:
    """All finds and labels of a set, one row each.

    confusion: (C + 1, C + 1), rows the labelled class and "nothing" last, columns the found one and "nothing" last.
    scores, right: (F,) of the finds; right is a match of the same class. sizes_px, caught: (L,) of the labels, the
    mean side over the image's reference diameter, and whether any find matches. true, found: (I,) cells an image.
    """

    confusion: NDArray[np.int64]
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    sizes: NDArray[np.float32]
    caught: NDArray[np.bool_]
    true: NDArray[np.int64]
    found: NDArray[np.int64]


def judge(dataset: Dataset, ranked: list[Found], counted: list[Found]) -> Judged:
    """Match all: the counted finds for confusion and catch, the ranked ones for scores."""
    classes = len(dataset.class_names)
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    scores, right, sizes, caught = [], [], [], []
    for image, doubtful, certain in zip(dataset.images, ranked, counted, strict=True):
        hit, missed = match(image, certain)
        labelled = np.append(image.class_ids, classes)
        np.add.at(confusion, (labelled[hit], certain.class_ids), 1)
        confusion[:, classes] += np.bincount(image.class_ids[missed], minlength=classes + 1)
        sides = np.sqrt((image.boxes_px[:, 2:] - image.boxes_px[:, :2]).prod(axis=1))
        sizes.append(sides / max(image.diameter_px, 1e-6))
        caught.append(~missed)
        hit, _ = match(image, doubtful)
        scores.append(doubtful.scores)
        right.append(np.append(image.class_ids, -1)[hit] == doubtful.class_ids)
    return Judged(
        confusion,
        np.concatenate(scores),
        np.concatenate(right),
        np.concatenate(sizes).astype(np.float32),
        np.concatenate(caught),
        np.array([len(i.boxes_px) for i in dataset.images], np.int64),
        np.array([len(f.boxes_px) for f in counted], np.int64),
    )


@dataclass(frozen=True)
class Row:
    """Count errors of some of the images: cells an image from, to, or a source's name."""

    name: str
    images: int
    cells: int
    mae: float
    bias: float
    mape: float


def by_density(judged: Judged) -> list[Row]:
    """By quarters of the images, from the emptiest to the fullest."""
    edges = np.unique(np.percentile(judged.true, (0, 25, 50, 75, 100)).astype(int))
    rows = []
    for low, high in itertools.pairwise(edges):
        last = high == edges[-1]
        chosen = (judged.true >= low) & ((judged.true <= high) if last else (judged.true < high))
        rows.append(_row(f"{low} to {high if last else high - 1} cells", judged, chosen))
    return [row for row in rows if row.images]


def by_source(dataset: Dataset, judged: Judged) -> list[Row]:
    """By where the images are from; empty where nothing tells."""
    names = np.array([image.source for image in dataset.images])
    if len(set(names)) < 2:
        return []
    return [_row(str(name) or "unknown", judged, names == name) for name in sorted(set(names))]


def confluence_errors(dataset: Dataset, counted: list[Found]) -> NDArray[np.float64] | None:
    """(I,) found minus labelled share of the image that is cell, in percentage points; None without outlines."""
    rows = []
    for image, found in zip(dataset.images, counted, strict=True):
        if image.masks is None or found.masks is None:
            return None
        rows.append(100 * ((found.masks > 0).mean() - (image.masks() > 0).mean()))
    return np.array(rows, np.float64)


def share_errors(dataset: Dataset, counted: list[Found], class_id: int, window: int) -> NDArray[np.float64]:
    """Found minus labelled share of a class among all cells, in points, over each `window` successive images.

    Of viability, for example, over 50 frames. The images keep their order. Empty where there are fewer images.
    """
    labelled = np.array([[(i.class_ids == class_id).sum(), len(i.class_ids)] for i in dataset.images])
    found = np.array([[(f.class_ids == class_id).sum(), len(f.class_ids)] for f in counted])
    sums = [np.cumsum(np.vstack([np.zeros((1, 2)), table]), axis=0) for table in (found, labelled)]
    shares = []
    for total in sums:
        within = total[window:] - total[:-window]
        shares.append(100 * within[:, 0] / np.maximum(within[:, 1], 1))
    return np.asarray(shares[0] - shares[1], np.float64)


def _row(name: str, judged: Judged, chosen: NDArray[np.bool_]) -> Row:
    true, error = judged.true[chosen], (judged.found - judged.true)[chosen]
    shown = true > 0
    mape = float(100 * np.mean(np.abs(error[shown]) / true[shown])) if shown.any() else 0.0
    mae, bias = (float(np.abs(error).mean()), float(error.mean())) if len(error) else (0.0, 0.0)
    return Row(name, int(chosen.sum()), int(true.sum()), mae, bias, mape)
