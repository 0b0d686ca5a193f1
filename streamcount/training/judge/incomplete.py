"""What a detector finds of the labelled cells where not every cell is labelled: no more than that can be judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.statistics import wilson_interval
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.judge.figures import ANY_CLASS
from streamcount.training.judge.finds import Found


@dataclass(frozen=True)
class LabelsFound:
    """Of one class: how many cells are labelled, how many of them are found, their share, and its 95 % interval."""

    labels: int
    found: int
    recall: float
    recall_95: tuple[float, float]


def labels_found(dataset: Dataset, finds: list[Found]) -> dict[str, LabelsFound]:
    """By class of the labels, whatever the find's, and of all together under ANY_CLASS. finds: one an image.

    A label is found where its middle lies in the box of a find, which then stands for no other label: of two cells in
    one box one is missed. What else is found may be right, and is not held against the detector.
    """
    hits = [_found(image, found) for image, found in zip(dataset.images, finds, strict=True)]
    hit = np.concatenate([np.empty(0, np.bool_), *hits])
    class_ids = np.concatenate([np.empty(0, np.int64), *(image.class_ids for image in dataset.images)])
    told = {}
    for number, name in enumerate(dataset.class_names):
        if (class_ids == number).any():
            told[name] = _share(hit[class_ids == number])
    return told | {ANY_CLASS: _share(hit)}


def _share(hit: NDArray[np.bool_]) -> LabelsFound:
    labels, found = len(hit), int(hit.sum())
    interval = wilson_interval(found, labels)
    return LabelsFound(
        labels, found, round(found / max(labels, 1), 4), (round(interval[0], 4), round(interval[1], 4))
    )


def _found(image: LabelledImage, found: Found) -> NDArray[np.bool_]:
    """(M,) which labels are found."""
    low, high = found.boxes_px[None, :, :2], found.boxes_px[None, :, 2:]
    twice = (image.boxes_px[:, :2] + image.boxes_px[:, 2:])[:, None]
    # In half-sides of the box: of two labels the one nearer to its middle has it.
    away = (np.abs(twice - low - high) / np.maximum(high - low, 1e-6)).max(axis=2)
    labels, boxes = np.nonzero(away <= 1)
    hit, taken = np.zeros(len(image.boxes_px), np.bool_), np.zeros(len(found.boxes_px), np.bool_)
    for pair in np.argsort(away[labels, boxes], kind="stable").tolist():
        label, box = labels[pair], boxes[pair]
        if not hit[label] and not taken[box]:
            hit[label] = taken[box] = True
    return hit
