"""What is in a set and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamcount.detection.postprocess import iou_matrix
from streamcount.training.data.duplicates import Pair, groups_of
from streamcount.training.data.labelled import Dataset, LabelledImage, NoteKind

# A set with these cannot be trained on, or its figures would be flattered.
FATAL = frozenset({NoteKind.UNREADABLE, NoteKind.NO_LABEL})
# Labels of near-duplicates agree where this share of their cells is the same.
AGREEMENT = 0.9
SAME_CELL_IOU = 0.5


@dataclass(frozen=True)
class Problem:
    """One kind of finding. places: the files, with more about each. fatal: training cannot be trusted."""

    what: str
    count: int
    places: tuple[str, ...]
    fatal: bool = False


@dataclass(frozen=True)
class PartSummary:
    """What a part holds. sizes: (width, height) and how many. diameters_px: 5th, 50th and 95th percentile of
    the mean side of all boxes; NaN without cells.
    """

    images: int
    cells: dict[str, int]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    diameters_px: tuple[float, float, float]
    sources: dict[str, int]
    complete: bool


def summarise(dataset: Dataset) -> PartSummary:
    """Count what a part holds."""
    sizes = Counter((image.shape_px[1], image.shape_px[0]) for image in dataset.images)
    boxes = np.concatenate([image.boxes_px for image in dataset.images] or [np.zeros((0, 4), np.float32)])
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    low, middle, high = np.percentile(sides, [5, 50, 95]) if len(sides) else (np.nan,) * 3
    return PartSummary(
        images=len(dataset.images),
        cells=dict(zip(dataset.class_names, dataset.class_counts().tolist(), strict=True)),
        sizes=tuple(sizes.most_common()),
        diameters_px=(float(low), float(middle), float(high)),
        sources=dict(sorted(Counter(image.source for image in dataset.images).items())),
        complete=all(image.complete for image in dataset.images),
    )


def label_problems(parts: Mapping[str, Dataset], data: Path) -> list[Problem]:
    """What reading the labels found, by kind, over all parts."""
    notes = {note for part in parts.values() for note in part.notes}
    problems = []
    for kind in NoteKind:
        own = sorted((n for n in notes if n.kind is kind), key=lambda n: n.path.as_posix())
        if own:
            places = tuple(_place(n.path, data) + (f": {n.text}" if n.text else "") for n in own)
            problems.append(Problem(kind.value, sum(n.count for n in own), places, kind in FATAL))
    return problems


def duplicate_problems(
    named: Sequence[tuple[str, LabelledImage]], pairs: Sequence[Pair], data: Path
) -> list[Problem]:
    """Near-duplicates within a part, across parts, and labelled differently. named: (part, image) in order."""
    within: list[str] = []
    across: list[str] = []
    for group in groups_of(len(named), pairs):
        if len(group) > 1:
            several = len({named[i][0] for i in group}) > 1
            (across if several else within).append(" = ".join(_place(named[i][1].path, data) for i in group))
    told = []
    for pair in pairs:
        first, second = named[pair.first][1], named[pair.second][1]
        agreed = label_agreement(first, second, pair.turned)
        if agreed < AGREEMENT:
            names = " = ".join(_place(image.path, data) for image in (first, second))
            told.append(f"{names}: {agreed:.0%} of the cells the same")
    found = (
        Problem("near-duplicates in different parts", len(across), tuple(across), fatal=True),
        Problem("groups of near-duplicates in one part", len(within), tuple(within)),
        Problem("near-duplicates labelled differently", len(told), tuple(told)),
    )
    return [problem for problem in found if problem.count]


def label_agreement(first: LabelledImage, second: LabelledImage, turned: bool) -> float:
    """Share of cells, 0 to 1, that two near-duplicates have in common: box and class, or only counts if turned."""
    numbers = len(first.class_ids), len(second.class_ids)
    if not sum(numbers):
        return 1.0
    if turned or first.shape_px != second.shape_px:
        common = Counter(first.class_ids.tolist()) & Counter(second.class_ids.tolist())
        return 2 * common.total() / sum(numbers)
    if not all(numbers):
        return 0.0
    from scipy.optimize import linear_sum_assignment

    overlap = iou_matrix(first.boxes_px, second.boxes_px) * (first.class_ids[:, None] == second.class_ids)
    rows, columns = linear_sum_assignment(-overlap)
    return 2 * int((overlap[rows, columns] >= SAME_CELL_IOU).sum()) / sum(numbers)


def _place(path: Path, data: Path) -> str:
    return path.relative_to(data).as_posix() if path.is_relative_to(data) else str(path)
