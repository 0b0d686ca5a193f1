"""What a classifier of crops is worth: accuracy, and F1 by class, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from streamcount.detection.bundle import load_bundle
from streamcount.detection.second import CropNet
from streamcount.training.judge.calibration import TEMPERATURES
from streamcount.training.shapes.crops import Crops, View

ALL_CLASSES = "all classes"
RESAMPLES = 1000
LEAST_SHARES = (0.0, 0.5, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class ShapeFigures:
    """Figures of one class. cells: labelled so."""

    cells: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class AllShapes:
    """Figures over all classes. macro_f1: the mean over the classes that are labelled; *_95: bootstrap intervals over
    images. share_found: of the labelled cells, how many the first model found, so that they could be looked at."""

    cells: int
    accuracy: float
    macro_f1: float
    share_found: float
    accuracy_95: tuple[float, float] = (0.0, 0.0)
    macro_f1_95: tuple[float, float] = (0.0, 0.0)


Figures = dict[str, ShapeFigures | AllShapes]


def bundle_view(folder: Path) -> View:
    """How the bundle's crops are cut."""
    info = load_bundle(str(folder)).input
    return View(info.cell_diameter_px, info.crop_px, info.channels, info.normalise)


def compiled_shares(folder: Path, form: str, crops: Crops) -> NDArray[np.float32]:
    """(N, C) probabilities by the bundle's compiled net, of crops cut by its own view."""
    return CropNet(load_bundle(str(folder)), form).shares(crops.pixels)


def shape_figures(crops: Crops, class_names: tuple[str, ...], guesses: NDArray[np.int64]) -> Figures:
    """Figures by class and over all of the guessed classes (N,)."""
    table = confusion(crops.class_ids, guesses, len(class_names))
    precision, recall, f1 = _rates(table)
    number = table.sum(axis=1)
    rng = np.random.default_rng(0)
    # Cells of one image are alike, so whole images are drawn again.
    by_image = [
        confusion(crops.class_ids[own], guesses[own], len(class_names))
        for own in (crops.images == i for i in np.unique(crops.images))
    ]
    tables = np.stack(by_image)
    drawn = [tables[rng.integers(0, len(tables), len(tables))].sum(axis=0) for _ in range(RESAMPLES)]
    result: Figures = {
        name: ShapeFigures(int(number[i]), *(round(float(v[i]), 4) for v in (precision, recall, f1)))
        for i, name in enumerate(class_names)
    }
    result[ALL_CLASSES] = AllShapes(
        cells=len(guesses),
        accuracy=round(_accuracy(table), 4),
        macro_f1=round(_macro(table), 4),
        share_found=round(crops.share_found, 4),
        accuracy_95=_interval([_accuracy(one) for one in drawn]),
        macro_f1_95=_interval([_macro(one) for one in drawn]),
    )
    return result


def confusion(labels: NDArray[np.int64], guesses: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(C, C), rows labelled, columns guessed."""
    flat = np.bincount(labels * classes + guesses, minlength=classes * classes)
    return np.asarray(flat.reshape(classes, classes), np.int64)


@dataclass(frozen=True)
class AbnormalTold:
    """Cells told as one of the classes marked abnormal, where that class has at least the probability `least`: the
    shares of those labelled so, and of all others."""

    least: float
    of_abnormal: float
    of_others: float


def abnormal_told(
    class_ids: NDArray[np.int64], shares: NDArray[np.float32], abnormal: NDArray[np.bool_]
) -> list[AbnormalTold]:
    """What marking classes (C,) as abnormal is worth, of single looks. class_ids (N,); shares (N, C)."""
    labelled = abnormal[class_ids]
    if not labelled.any() or labelled.all():
        return []
    result = []
    for least in LEAST_SHARES:
        told = abnormal[shares.argmax(axis=1)] & (shares.max(axis=1) >= least)
        rates = told[labelled].mean(), told[~labelled].mean()
        result.append(AbnormalTold(least, *(round(float(rate), 4) for rate in rates)))
    return result


def fit_share_temperature(shares: NDArray[np.floating], class_ids: NDArray[np.int64]) -> float:
    """What log-probabilities (N, C) are divided by so that they fit the labels best
    (Guo et al., arXiv 1706.04599)."""
    logs = np.log(np.maximum(shares.astype(np.float64), 1e-6))

    def loss(log_temperature: float) -> float:
        divided = logs / np.exp(log_temperature)
        total = np.logaddexp.reduce(divided, axis=1)
        return float((total - divided[np.arange(len(divided)), class_ids]).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return round(float(np.exp(found.x)), 3)


def _rates(table: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    right = np.diag(table).astype(np.float64)
    guessed, labelled = table.sum(axis=0), table.sum(axis=1)
    return (
        right / np.maximum(guessed, 1),
        right / np.maximum(labelled, 1),
        2 * right / np.maximum(guessed + labelled, 1),
    )


def _accuracy(table: NDArray[np.int64]) -> float:
    return float(np.trace(table) / max(table.sum(), 1))


def _macro(table: NDArray[np.int64]) -> float:
    shown = table.sum(axis=1) > 0
    return float(_rates(table)[2][shown].mean()) if shown.any() else 0.0


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return (round(float(low), 3), round(float(high), 3))
