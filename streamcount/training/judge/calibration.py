"""Scores that mean what they say, and thresholds that make counts unbiased."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.training.data.labelled import Dataset
from streamcount.training.judge.finds import Found

TEMPERATURES = (0.2, 5.0)


def fit_temperature(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """The temperature that log-odds are divided by so that scores (N,) fit best to being right (N,).

    It minimises the negative log-likelihood (Guo et al., arXiv 1706.04599), between 0.2 and 5; 1 without scores. Some
    dozens of finds that are nearly all right ask for less than 0.2 and get certainty that new images do not bear out:
    93 white blood cells for 0.04, by which the loss on 275 others rose from 0.06 to 0.23.
    """
    from scipy.optimize import minimize_scalar

    if not len(scores):
        return 1.0
    chance = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    odds, truth = np.log(chance / (1 - chance)), right.astype(np.float64)

    def loss(log_temperature: float) -> float:
        divided = odds / np.exp(log_temperature)
        return float((np.logaddexp(0, divided) - truth * divided).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def reliability(
    scores: NDArray[np.float32], right: NDArray[np.bool_], bins: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """By tenths of the score: the mean score, the share that is right (NaN for none), and how many there are."""
    index = np.minimum((scores * bins).astype(int), bins - 1)
    number = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, weights=scores, minlength=bins) / number
        share = np.bincount(index, weights=right, minlength=bins) / number
    return mean, share, number


def expected_error(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins, in [0, 1] (Naeini et al., AAAI 2015)."""
    mean, share, number = reliability(scores, right)
    shown = number > 0
    return float((np.abs(mean - share)[shown] * number[shown]).sum() / max(number.sum(), 1))


def unbiased_thresholds(dataset: Dataset, ranked: list[Found]) -> list[float]:
    """For each class the threshold, 0.1 to 0.8, that makes counts per image least wrong and least biased.

    It minimises the mean absolute error plus the absolute mean error; of equal ones the middle is taken.
    (Matching only the total would go down into noise to make up for cells that no threshold finds.)
    """
    candidates = np.round(np.arange(0.1, 0.8001, 0.01), 3)
    truth = np.array([np.bincount(i.class_ids, minlength=len(dataset.class_names)) for i in dataset.images])
    thresholds = []
    for class_id in range(len(dataset.class_names)):
        scores = [f.scores[f.class_ids == class_id] for f in ranked]
        found = np.array([[(s >= t).sum() for s in scores] for t in candidates])
        error = found - truth[:, class_id]
        cost = np.abs(error).mean(axis=1) + np.abs(error.mean(axis=1))
        best = np.flatnonzero(cost <= cost.min() + 1e-9)
        thresholds.append(float(candidates[best[len(best) // 2]]))
    return thresholds
