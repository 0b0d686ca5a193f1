"""Finding wrong labels: confident learning (Northcutt, Jiang and Chuang, arXiv 1911.00068)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcount.training.recipe import Recipe
from streamcount.training.shapes.crops import Crops
from streamcount.training.shapes.lesson import fit_classifier, plain_crops, shares_of

FOLDS = 3
FOLD_EPOCHS_SHARE = 0.4  # the judging nets train for less: late epochs learn the wrong labels by heart


def suspect(shares: NDArray[np.float64], class_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) labels that are likely wrong.

    shares (N, C): probabilities by nets that never saw these cells. A class is confidently another's where its
    probability reaches the mean that cells labelled so have of it; such a cell off the diagonal of the joint is
    suspect where the other class is also the likelier one.
    """
    classes = shares.shape[1]
    usual = np.array([
        shares[class_ids == c, c].mean() if (class_ids == c).any() else np.inf for c in range(classes)
    ])  # fmt: skip
    confident = np.where(shares >= usual, shares, -1.0)
    told = confident.argmax(axis=1)
    own = shares[np.arange(len(shares)), class_ids]
    other = confident.max(axis=1)
    return np.asarray((other > own) & (told != class_ids))


def cross_judged(
    crops: Crops, others: Crops, classes: int, recipe: Recipe, work: Path, say: Callable[[str], None]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) suspect labels of `crops`, each judged by a net that trained on other images; and of `others`, judged by
    all these nets, none of which saw any of them."""
    epochs = max(2, round(recipe.epochs * FOLD_EPOCHS_SHARE))
    own = np.zeros((len(crops.class_ids), classes))
    away = np.zeros((len(others.class_ids), classes))
    fold = crops.images % FOLDS
    apart = plain_crops(others, recipe.canvas_px)
    for number in range(FOLDS):
        say(f"looking for wrong labels, {number + 1} of {FOLDS}")
        held = fold == number
        net = fit_classifier(
            crops.take(~held), classes, replace(recipe, epochs=epochs), work / f"fold-{number + 1}"
        )
        own[held] = shares_of(net, plain_crops(crops.take(held), recipe.canvas_px))
        away += shares_of(net, apart) / FOLDS
    return suspect(own, crops.class_ids), suspect(away, others.class_ids)
