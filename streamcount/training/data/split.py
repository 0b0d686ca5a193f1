"""Splitting a set so that no picture, nor a near-duplicate of it, is in both parts."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import LabelledImage
from streamcount.training.data.readers.base import natural_order


class SplitBy(StrEnum):
    """What is kept together besides near-duplicates."""

    RANDOM = "random"
    ORDER = "order"
    SOURCE = "source"


@dataclass(frozen=True)
class SplitChoice:
    """How to split. val: share of the images. block: images in a row for ORDER. leave_out: a source to be val."""

    by: SplitBy = SplitBy.RANDOM
    val: float = 0.2
    seed: int = 1
    block: int = 50
    leave_out: str | None = None


@dataclass(frozen=True)
class Split:
    """Positions of the images of each part, ascending; left_out are in neither."""

    train: list[int]
    val: list[int]
    left_out: list[int]


def split_images(
    images: Sequence[LabelledImage], groups: Sequence[Sequence[int]], choice: SplitChoice
) -> Split:
    """Split images whose near-duplicates are told as groups of positions.

    RANDOM takes whole groups of each source. ORDER takes blocks of the images in natural order of their paths,
    evenly spread; SOURCE whole sources. Of a group that these cut, the part that has less of it leaves it out.
    Raises TrainingError where a part would be empty.
    """
    if choice.leave_out is not None:
        wanted = _left_out_source(images, choice.leave_out)
    elif choice.by is SplitBy.SOURCE:
        wanted = _sources(images, choice)
    elif choice.by is SplitBy.ORDER:
        wanted = _blocks(images, choice)
    else:
        wanted = _random(images, groups, choice)
    left_out: set[int] = set()
    for group in groups:
        minority = [i for i in group if i in wanted]
        others = [i for i in group if i not in wanted]
        if minority and others:
            # Training can better do without an image than a judgement.
            left_out |= set(others if len(others) <= len(minority) else minority)
    split = Split(
        [i for i in range(len(images)) if i not in wanted and i not in left_out],
        sorted(wanted - left_out),
        sorted(left_out),
    )
    if not split.train or not split.val:
        raise TrainingError(
            f"{len(images)} images in {len(groups)} groups cannot be split so; change --val or --by."
        )
    return split


def _random(
    images: Sequence[LabelledImage], groups: Sequence[Sequence[int]], choice: SplitChoice
) -> set[int]:
    chance = random.Random(choice.seed)
    by_source: dict[str, list[Sequence[int]]] = {}
    for group in groups:
        by_source.setdefault(images[group[0]].source, []).append(group)
    wanted: set[int] = set()
    carried = 0.0
    for source in sorted(by_source):
        own = sorted(by_source[source], key=lambda g: natural_order(images[g[0]].path.name))
        chance.shuffle(own)
        # What one source gave too little or too much, the next makes up for.
        due = choice.val * sum(len(g) for g in own) + carried
        for group in own:
            if due > len(group) / 2:
                wanted |= set(group)
                due -= len(group)
        carried = due
    return wanted


def _blocks(images: Sequence[LabelledImage], choice: SplitChoice) -> set[int]:
    order = sorted(range(len(images)), key=lambda i: natural_order(images[i].path.as_posix()))
    # Short sets still get one block of the share asked for.
    length = max(1, min(choice.block, round(choice.val * len(order))))
    blocks = [order[i : i + length] for i in range(0, len(order), length)]
    taken = max(1, round(choice.val * len(order) / length))
    step = len(blocks) / taken
    start = random.Random(choice.seed).random() * step
    places = {min(len(blocks) - 1, math.floor(start + i * step)) for i in range(taken)}
    return {i for place in places for i in blocks[place]}


def _sources(images: Sequence[LabelledImage], choice: SplitChoice) -> set[int]:
    by_source = _by_source(images)
    if len(by_source) < 2:
        raise TrainingError(
            f"All images are of one source, {next(iter(by_source))!r}; tell sources by --source, or split --by order."
        )
    names = sorted(by_source)
    random.Random(choice.seed).shuffle(names)
    target, wanted = choice.val * len(images), set[int]()
    for name in names:
        if not wanted or abs(len(wanted) + len(by_source[name]) - target) < abs(len(wanted) - target):
            wanted |= set(by_source[name])
    return wanted


def _left_out_source(images: Sequence[LabelledImage], source: str) -> set[int]:
    by_source = _by_source(images)
    if source not in by_source:
        raise TrainingError(
            f"There is no source {source!r}; known are {', '.join(sorted(by_source))} (told by --source)."
        )
    return set(by_source[source])


def _by_source(images: Sequence[LabelledImage]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        found.setdefault(image.source, []).append(i)
    return found
