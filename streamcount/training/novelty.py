"""What the maps say of the cells that a model was made for, learned from labelled images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import Bundle, NoveltyInfo, UsualCells
from streamcount.detection.novelty import READINGS
from streamcount.detection.tflite import TfliteConfig, TfliteDetector
from streamcount.training.data.labelled import Dataset
from streamcount.training.judge import Found, match, needed_columns
from streamcount.training.judge.finds import frame_of
from streamcount.types import Detections, Float32Array

MOST_IMAGES = 1000
# With fewer cells nothing is told of a class, or its limit is of the cells that it was learned from too.
LEAST_CELLS, LEAST_HELD = 100, 50
RARE = 1e-3
# Of so few of the largest distances the limit is not read.
LEAST_TAIL = 10
# A smaller spread is that of a net that rounds: of log odds twice, a share, map cells, and log odds.
LEAST_SPREADS = np.array([0.02, 0.02, 0.01, 0.02, 0.02])
DIGITS = 6


def with_novelty(folder: Path, bundle: Bundle, learn: Dataset, held: Dataset) -> Bundle:
    """The bundle, which lies in FOLDER too, with what is usual of each class in the images.

    learn: from whose cells that is learned; held: by whose cells the limits are set, images that the weights have not
    seen where there are such. Of either, at most 1,000 are looked at. Looked at are whole cells that are found and
    rightly named. Those of a class of which there are too few stay as the bundle tells them.
    """
    detector = TfliteConfig(model=str(folder)).build()
    learned = _readings(detector, learn)
    limits = learned if held is learn else _readings(detector, held)
    classes = dict(bundle.novelty.classes) if bundle.novelty else {}
    for name in bundle.class_names:
        if len(learned[name]) >= LEAST_CELLS:
            few = len(limits[name]) < LEAST_HELD
            classes[name] = usual_cells(learned[name], learned[name] if few else limits[name])
    novelty = NoveltyInfo(readings=READINGS, classes=classes) if classes else None
    return msgspec.structs.replace(bundle, novelty=novelty)


def usual_cells(readings: NDArray[np.floating], held: NDArray[np.floating]) -> UsualCells:
    """What is usual of some cells, by their readings (N, F), and the limit by those of held-back ones (M, F).

    The middle is the median. The covariance is of all: labels vouch for each cell, and where the hundredth or the
    tenth part that lies farthest is left out, fewer strange cells are told from usual ones. The limit is Weissman's
    estimate of so rare a distance (J. Am. Stat. Assoc. 73, 1978) from the largest ones, as many as the root of their
    number, with Hill's estimate of how they fall off: one in 1,000 is less than one cell of most sets.
    """
    rows = np.asarray(readings, np.float64)
    middle = np.asarray(np.median(rows, axis=0), np.float64)
    inverse = np.asarray(np.linalg.inv(np.cov(rows.T) + np.diag(LEAST_SPREADS**2)), np.float64)
    away = np.sort(np.sqrt(_squares(np.asarray(held, np.float64), middle, inverse)))
    tail = min(max(LEAST_TAIL, round(np.sqrt(len(away)))), len(away) - 1)
    least = max(float(away[-tail - 1]), 1e-6)
    falls = float(np.log(np.maximum(away[-tail:], least) / least).mean())
    limit = least * max(tail / (len(away) * RARE), 1.0) ** falls
    return UsualCells(
        middle=tuple(_rounded(value) for value in middle),
        inverse=tuple(tuple(_rounded(value) for value in row) for row in inverse),
        limit=_rounded(limit),
        cells=len(readings),
    )


def _squares(
    rows: NDArray[np.float64], middle: NDArray[np.float64], inverse: NDArray[np.float64]
) -> NDArray[np.float64]:
    away = rows - middle
    return np.asarray(np.maximum(((away @ inverse) * away).sum(axis=1), 0))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") + 0.0  # no minus before a zero


def _readings(detector: TfliteDetector, dataset: Dataset) -> dict[str, NDArray[np.float32]]:
    """By class, (N, F) readings of the whole cells that the detector finds and names as they are labelled."""
    step = max(1, -(-len(dataset.images) // MOST_IMAGES))
    rows, names = [np.empty((0, len(READINGS)), np.float32)], [np.empty(0, np.int64)]
    for cells, readings, right in rightly_found(detector, replace(dataset, images=dataset.images[::step])):
        rows.append(readings[right])
        names.append(cells.class_ids[right])
    together, ids = np.concatenate(rows), np.concatenate(names)
    return {name: together[ids == number] for number, name in enumerate(detector.model.class_names)}


def rightly_found(
    detector: TfliteDetector, dataset: Dataset
) -> Iterator[tuple[Detections, Float32Array, NDArray[np.bool_]]]:
    """Of each image the cells, their readings, and which of them are named as labelled and not near the edge.

    Raises TrainingError where labels and model have no class in common.
    """
    columns = needed_columns(detector, dataset, detector.bundle)
    for image in dataset.images:
        cells, readings = detector.watched(frame_of(image))
        numbers = np.array(columns, np.int64)[cells.class_ids]
        hit, _ = match(image, Found(cells.boxes_px, numbers, cells.scores))
        right = np.append(image.class_ids, -1)[hit] == numbers
        yield cells, readings, right & (numbers >= 0) & ~np.isnan(readings[:, 0])
