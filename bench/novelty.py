"""Whether a model's score of novelty tells cells that it was not made for, beside its probability."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.abnormal import SHAPES, labelled_smears
from bench.stages import measure
from streamcount.cli.data import By, split
from streamcount.detection.novelty import READINGS, readings_of, usual_of
from streamcount.detection.postprocess import STRIDE_PX, Cells, Maps, QuantisedMap
from streamcount.detection.tflite import TfliteConfig, TfliteDetector
from streamcount.sources.images import read_image
from streamcount.training.data.labelled import Dataset
from streamcount.training.data.parts import read_part
from streamcount.training.novelty import rightly_found
from streamcount.types import Frame, FrameMetadata

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODEL = "blood-smear"
USUAL = "usual"
# What the net was made for and did not learn from, what it is not for, and another lab's; with every so many-th
# image.
KINDS = {
    USUAL: ("txl_pbc/val/**/*.[jp][pn]g", 1),
    "haemocytometer": ("ldc_live_dead/**/*.[jp][pn]g", 12),
    "nuclei": ("dsb2018_fluo/images/*", 6),
    "adherent cells": ("usiigaci/*_raw8.png", 2),
    "another lab's smears": ("chula_rbc12/images/*.jpg", 5),
}
# What each model was made for, and how its val part is split off, as its card tells; None: it is a folder.
MADE_FOR: dict[str, tuple[str, dict[str, Any] | None]] = {
    "blood-smear": ("txl_pbc", None),
    "viability": ("ldc_live_dead", {"by": By.order}),
    "nuclei": ("dsb2018_fluo", {}),
    "phase-contrast": ("usiigaci", {"val": 0.25}),
}
FALSE_ALARMS = 1e-3  # of usual cells
NEXT, COVER, MISS = 1, 2, 3  # of the readings
# For the time: cells, and map cells a side.
CELLS, SIDE, ROUNDS = 300, 256, 200


@dataclass(frozen=True)
class Looks:
    """N cells away from the edge: readings of the maps (N, F), novelties and calibrated probabilities (N,)."""

    readings: NDArray[np.float32]
    novelties: NDArray[np.float32]
    chances: NDArray[np.float32]


def run(console: Console) -> None:
    """Prints how well novelty sets strange cells apart, and which real and how many usual cells it tells."""
    detector = TfliteConfig(model=MODEL).build()
    found = {kind: _looks(detector, *where) for kind, where in KINDS.items()}
    if not len(found[USUAL].chances):
        console.print(f"no smears in {DATA}: nothing is told of novelty")
        return
    _cost(console, detector)
    _strange(console, found)
    _shapes(console, detector)
    _usual(console)


def _cost(console: Console, detector: TfliteDetector) -> None:
    """How long it takes to read the maps at some cells, wherever these lie, and to tell how strange they are."""
    rng, usual = np.random.default_rng(1), usual_of(detector.bundle)
    assert usual is not None
    maps = Maps(
        *(QuantisedMap(rng.integers(0, 256, (SIDE, SIDE, n), np.uint8), 1 / 256, 0) for n in (3, 2, 2, 1))
    )
    centres = rng.uniform(60, STRIDE_PX * SIDE - 60, (CELLS, 2)).astype(np.float32)
    half = rng.uniform(15, 30, (CELLS, 2)).astype(np.float32)
    boxes = np.hstack([centres - half, centres + half])
    ids, scores = rng.integers(0, 3, CELLS), np.ones(CELLS, np.float32)
    cells = Cells(boxes, ids, scores, np.ones((CELLS, 3), np.float32), centres)
    shape_px = STRIDE_PX * SIDE, STRIDE_PX * SIDE
    times = measure("novelty", [lambda: usual.novelties(readings_of(maps, cells, shape_px), ids)] * ROUNDS)
    console.print(f"novelty of {CELLS} cells: {times.median_ms:.2f} ms")


def _strange(console: Console, found: dict[str, Looks]) -> None:
    scores = {kind: _scores(cells) for kind, cells in found.items()}
    usual = scores[USUAL]
    number = len(found[USUAL].chances)
    title = f"{MODEL}, {number} usual cells: AUC, and the share told at 1 false alarm in 1,000"
    table = Table("cells that it finds in", "found", *usual, "novelty above 1", title=title)
    for kind, cells in found.items():
        told = [
            "" if kind == USUAL else f"{_auc(usual[name], one):.2f}, {_told(usual[name], one):.3f}"
            for name, one in scores[kind].items()
        ]
        table.add_row(kind, str(len(cells.chances)), *told, f"{(cells.novelties > 1).mean():.4f}")
    console.print(table)


def _looks(detector: TfliteDetector, pattern: str, every: int) -> Looks:
    readings, novelties, chances = [], [], []
    for frame in _frames(pattern, every):
        cells, rows = detector.watched(frame)
        assert cells.novelties is not None
        away = ~np.isnan(cells.novelties)
        readings.append(rows[away])
        novelties.append(cells.novelties[away])
        chances.append(cells.scores[away])
    if not readings:
        return Looks(
            np.empty((0, len(READINGS)), np.float32), np.empty(0, np.float32), np.empty(0, np.float32)
        )
    return Looks(np.concatenate(readings), np.concatenate(novelties), np.concatenate(chances))


def _frames(pattern: str, every: int) -> Iterator[Frame]:
    meta = FrameMetadata(camera_id="bench", run_id="r", sequence=0, acquired_at_ns=0)
    for path in sorted(DATA.glob(pattern))[::every]:
        image = np.asarray(read_image(path), np.uint8)
        yield Frame(
            np.ascontiguousarray(image[..., :3] if image.ndim == 3 and image.shape[2] > 2 else image), meta
        )


def _scores(cells: Looks) -> dict[str, NDArray[np.floating]]:
    """(N,) of each score, higher for stranger cells. Energy: that of Liu et al. (arXiv 2010.03759), over classes."""
    return {
        "1 - probability": 1 - cells.chances,
        "energy": -np.logaddexp(0, cells.readings[:, : NEXT + 1]).sum(axis=1),
        "ground in the box": -cells.readings[:, COVER],
        "votes that miss": cells.readings[:, MISS],
        "novelty": cells.novelties,
    }


def _auc(usual: NDArray[np.floating], strange: NDArray[np.floating]) -> float:
    ranked = np.sort(usual)
    below = np.searchsorted(ranked, strange, "left") + np.searchsorted(ranked, strange, "right")
    return float(below.mean() / 2 / len(usual)) if len(strange) else float("nan")


def _told(usual: NDArray[np.floating], strange: NDArray[np.floating]) -> float:
    return float((strange > np.quantile(usual, 1 - FALSE_ALARMS)).mean()) if len(strange) else float("nan")


def _shapes(console: Console, detector: TfliteDetector) -> None:
    """Red cells of another lab that have a label: which of them are strange."""
    scores, kinds = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    red = detector.model.class_names.index("red")
    for _, found, single, labels in labelled_smears(detector):
        assert found.novelties is not None
        looked = ~np.isnan(found.novelties[single]) & (found.class_ids[single] == red)
        scores.append(found.novelties[single][looked])
        kinds.append(labels[looked])
    novelties, shapes = np.concatenate(scores), np.concatenate(kinds)
    table = Table(
        "shape", "cells", "median", "above 1", "share", title=f"Chula, {MODEL}: novelty at one look"
    )
    for number, name in enumerate(SHAPES):
        mine = novelties[shapes == number]
        if len(mine):
            above = int((mine > 1).sum())
            table.add_row(
                name, str(len(mine)), f"{np.median(mine):.2f}", str(above), f"{above / len(mine):.4f}"
            )
    console.print(table)


def _usual(console: Console) -> None:
    """Cells of each model's val part that are found and rightly named: how many of them are above 1."""
    title = "Val parts, cells rightly found: novelty at one look"
    table = Table("model", "class", "cells", "median", "above 1", "share", title=title)
    for model, (folder, options) in MADE_FOR.items():
        if not (DATA / folder).is_dir():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            path = None if options is None else Path(scratch) / "split.json"
            if path is not None and options is not None:
                split(DATA / folder, output=path, **options)
            val = read_part(DATA / folder, "val", path)
        for name, mine in _right(TfliteConfig(model=model).build(), val).items():
            above = int((mine > 1).sum())
            share = f"{above / max(len(mine), 1):.4f}"
            table.add_row(model, name, str(len(mine)), f"{np.median(mine):.2f}", str(above), share)
    console.print(table)


def _right(detector: TfliteDetector, val: Dataset) -> dict[str, NDArray[np.float32]]:
    """By class, novelties of the cells that are found and named as they are labelled."""
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in detector.model.class_names}
    for cells, _, right in rightly_found(detector, val):
        assert cells.novelties is not None
        for class_id, name in enumerate(detector.model.class_names):
            found[name].append(cells.novelties[right & (cells.class_ids == class_id)])
    return {name: np.concatenate(mine) for name, mine in found.items()}
