"""Splits: near-duplicates in one part only, shares kept, order and sources kept together, repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import LabelledImage
from streamcount.training.data.split import SplitBy, SplitChoice, split_images


def images(number: int, sources: tuple[str, ...] = ("a",)) -> list[LabelledImage]:
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return [
        LabelledImage(Path(f"image{i}.png"), (9, 9), *empty, source=sources[i % len(sources)])
        for i in range(number)
    ]


def alone(number: int) -> list[list[int]]:
    return [[i] for i in range(number)]


@pytest.mark.parametrize("by", list(SplitBy))
@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_both_parts(by: SplitBy, seed: int) -> None:
    shown = images(200, ("a", "b", "c", "d", "e"))
    chance = np.random.default_rng(seed)
    places = np.split(chance.permutation(200), np.sort(chance.choice(199, 120, replace=False) + 1))
    groups = [sorted(place.tolist()) for place in places]
    split = split_images(shown, groups, SplitChoice(by, 0.2, seed, block=20))
    assert sorted([*split.train, *split.val, *split.left_out]) == list(range(200))
    for group in groups:
        assert not (set(group) & set(split.train) and set(group) & set(split.val))


def test_random_splits_share_every_source_and_repeat() -> None:
    shown = images(1000, ("a", "a", "a", "b"))
    split = split_images(shown, alone(1000), SplitChoice(seed=3))
    assert split == split_images(shown, alone(1000), SplitChoice(seed=3))
    assert split != split_images(shown, alone(1000), SplitChoice(seed=4))
    assert len(split.val) == 200
    assert sum(shown[i].source == "b" for i in split.val) == 50
    assert not split.left_out


def test_a_group_larger_than_the_share_goes_to_training() -> None:
    split = split_images(images(10), [[0, 1, 2, 3, 4, 5], [6], [7], [8], [9]], SplitChoice(val=0.2))
    assert {0, 1, 2, 3, 4, 5} <= set(split.train)
    assert len(split.val) == 2


def test_order_takes_whole_blocks_in_natural_order() -> None:
    shown = images(500)
    split = split_images(shown, alone(500), SplitChoice(SplitBy.ORDER, 0.2, block=50))
    assert len(split.val) == 100
    steps = np.diff(sorted(int(shown[i].path.stem[5:]) for i in split.val))
    assert (steps != 1).sum() <= 1


def test_the_part_with_less_of_a_group_leaves_it_out() -> None:
    shown = images(8, ("a", "a", "a", "b"))
    groups = [[0, 1, 3], [2], [4], [5], [6], [7]]
    split = split_images(shown, groups, SplitChoice(leave_out="b"))
    assert split.left_out == [3]
    assert split.val == [7]
    groups = [[0, 3], [1], [2], [4], [5], [6], [7]]
    split = split_images(shown, groups, SplitChoice(leave_out="b"))
    assert split.left_out == [0]
    assert split.val == [3, 7]


def test_sources_are_taken_whole() -> None:
    shown = images(100, ("a", "b", "c", "d", "e"))
    split = split_images(shown, alone(100), SplitChoice(SplitBy.SOURCE, 0.2))
    assert len({shown[i].source for i in split.val}) == 1
    assert len(split.val) == 20


def test_what_cannot_be_split_is_said() -> None:
    with pytest.raises(TrainingError, match="All images are of one source, 'a'"):
        split_images(images(9), alone(9), SplitChoice(SplitBy.SOURCE))
    with pytest.raises(TrainingError, match="no source 'z'; known are a"):
        split_images(images(9), alone(9), SplitChoice(leave_out="z"))
    with pytest.raises(TrainingError, match="cannot be split"):
        split_images(images(9), [list(range(9))], SplitChoice())
