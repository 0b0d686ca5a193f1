"""From labelled points to crops to learn from: find the cells, cut them out, leave out what is mislabelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.base import Detector
from streamcount.training.compile import Parts
from streamcount.training.recipe import Recipe
from streamcount.training.shapes.clean import FOLDS, cross_judged
from streamcount.training.shapes.crops import (
    Crops,
    FoundCells,
    contradicted,
    cut_labelled,
    find_cells,
    twice_labelled,
)
from streamcount.training.shapes.lesson import view_of


@dataclass(frozen=True)
class FoundParts:
    """The cells that the first model found in each part, all at the train part's scale."""

    train: FoundCells
    calibration: FoundCells
    val: FoundCells


@dataclass(frozen=True)
class Lessons:
    """What a second stage is made of.

    first, refines: the first model and its class. train: the crops to learn from, cleaned. doubted_val: of the val
    part's crops, which labels are likely wrong. cleaning: how many were left out, and why, for model.toml.
    """

    parts: Parts
    found: FoundParts
    first: str
    refines: str
    train: Crops
    doubted_val: NDArray[np.bool_]
    cleaning: dict[str, Any]


def find_in_parts(
    parts: Parts, first: Detector, refines: str, tick: Callable[[], None] | None = None
) -> FoundParts:
    """Run the first model over all parts. Raises TrainingError; see find_cells."""
    train, calibration, val = (
        find_cells(part, first, refines, tick) for part in (parts.train, parts.calibration, parts.val)
    )
    others = (
        replace(part, usual_px=train.usual_px, one_scale=train.one_scale) for part in (calibration, val)
    )
    return FoundParts(train, *others)


def collect(
    parts: Parts,
    found: FoundParts,
    names: tuple[str, str],
    recipe: Recipe,
    work: Path,
    say: Callable[[str], None],
) -> Lessons:
    """Cut out and clean. names: the first model and its class that is refined.

    The nets that judge the labels are kept in ``work``, so that an interrupted run goes on.
    """
    say("comparing pictures that are there twice")
    twice = twice_labelled(parts.train, found.train), twice_labelled(parts.val, found.val)
    train = cut_labelled(parts.train, found.train, view_of(recipe))
    val = cut_labelled(parts.val, found.val, view_of(recipe))
    twofold = contradicted(train, twice[0]), contradicted(val, twice[1])
    clear = train.take(~twofold[0])
    suspect, suspect_val = cross_judged(clear, val, len(parts.train.class_names), recipe, work, say)
    pairs, agreed = sum(t.cells for t in twice), sum(t.agreed for t in twice)
    return Lessons(
        parts,
        found,
        *names,
        clear.take(~suspect),
        twofold[1] | suspect_val,
        {
            "crops": int((~suspect).sum()),
            "left_out_contradicted": int(twofold[0].sum()),
            "left_out_suspect": int(suspect.sum()),
            "suspect_by": f"confident learning over {FOLDS} folds",
            "labelled_twice": pairs,
            "labelled_twice_alike": agreed,
        },
    )
