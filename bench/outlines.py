"""What points around a cell tell of its mask, beside rays and the ellipse in its box; and what they cost.

`python -m bench outlines` measures on masks drawn by people where the sets are there, and on simulated films.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.models import CELLS, drawn_maps
from streamcount.detection import LabelsConfig, TfliteConfig
from streamcount.detection.instances import gather
from streamcount.detection.postprocess import decode
from streamcount.service.dashboard.cells import cells_view
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.tracking import KalmanConfig
from streamcount.types import OUTLINE_POINTS, Detections, Frame, FrameMetadata
from streamcount.wire import encode_detections, encode_tracks

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = {
    "adherent cells, usiigaci": DATA / "usiigaci",
    "nuclei, dsb2018_fluo": DATA / "dsb2018_fluo" / "labels",
}
FILES, MOST_CELLS, LEAST_PX = 20, 60, 40
NUMBERS_OF_POINTS = (8, 16, 24, 32)
FINER = 4
RUNS = 300
Points: TypeAlias = NDArray[np.floating]
Mask: TypeAlias = NDArray[np.bool_]


def run(console: Console) -> None:
    """Measures and prints."""
    cv2.setNumThreads(1)
    table = Table(
        "masks", "form", "bytes a cell", "IoU, mean", "median", "10th percentile", title="forms of outlines"
    )
    for name, folder in SETS.items():
        overlaps = overlaps_of(list(_masks(folder)))
        for (form, size), found in overlaps.items():
            table.add_row(
                name, form, str(size), f"{np.mean(found):.3f}", f"{np.median(found):.3f}",
                f"{np.percentile(found, 10):.3f}",
            )  # fmt: skip
    for modality, model in (("fluorescence", "nuclei"), ("phase-contrast", "phase-contrast")):
        told = _told(_simulated(modality, model, labels=True))
        row = f"{np.mean(told):.3f}", f"{np.median(told):.3f}", f"{np.percentile(told, 10):.3f}"
        table.add_row(f"{model}'s own, simulated {modality}", "as told", str(2 * OUTLINE_POINTS), *row)
    console.print(table)
    console.print(_cost())
    console.print(_sizes())


def overlaps_of(masks: list[Mask]) -> dict[tuple[str, int], list[float]]:
    """Of forms of outlines, by name and bytes a cell: intersection over union with each mask."""
    found: dict[tuple[str, int], list[float]] = {}
    for mask in masks:
        rows, columns = np.nonzero(mask)
        box = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1], float)
        found.setdefault(("ellipse in the box", 0), []).append(overlap(_ellipse(box), mask))
        for number in NUMBERS_OF_POINTS:
            found.setdefault((f"{number} rays", number), []).append(overlap(rays(mask, number), mask))
            line = overlap(around(mask, number), mask)
            found.setdefault((f"{number} points", 2 * number), []).append(line)
        labels = Frame(mask.astype(np.uint16), _metadata(0))
        (told,) = _told([LabelsConfig().build().detect(labels, labels=True, outlines=True)]) or (0.0,)
        found.setdefault(("as told", 2 * OUTLINE_POINTS), []).append(told)
    return found


def rays(mask: Mask, number: int) -> Points:
    """(K, 2) the last pixel of a mask along each of K equal directions from its centroid (StarDist, MICCAI 2018)."""
    rows, columns = np.nonzero(mask)
    middle = np.array([rows.mean(), columns.mean()]) + 0.5
    angles = np.arange(number) * (2 * np.pi / number)
    directions = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    lengths = np.arange(0, float(np.hypot(*mask.shape)), 0.25)
    at = np.floor(middle + directions[:, None] * lengths[:, None]).astype(int)
    inside = ((at >= 0) & (at < mask.shape)).all(axis=2)
    at[~inside] = 0
    within = inside & mask[at[..., 0], at[..., 1]]
    last = np.where(within.any(axis=1), len(lengths) - within[:, ::-1].argmax(axis=1), 0)
    return np.asarray(middle + directions * (last * 0.25)[:, None])


def around(mask: Mask, number: int) -> Points:
    """(K, 2) points along the border of a mask's largest piece, equally far from each other."""
    finer = cv2.resize(mask.astype(np.float32), None, fx=FINER, fy=FINER, interpolation=cv2.INTER_LINEAR)
    lines, _ = cv2.findContours((finer > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    line = (max(lines, key=len)[:, 0, ::-1] + 0.5) / FINER
    closed = np.concatenate([line, line[:1]])
    along = np.append(0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T)))
    places = np.arange(number) * (along[-1] / number)
    return np.stack([np.interp(places, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def overlap(points: Points, mask: Mask) -> float:
    """Intersection over union of what lies within points (K, 2), (y, x), and a mask (H, W)."""
    canvas = np.zeros((mask.shape[0] * FINER, mask.shape[1] * FINER), np.uint8)
    at = np.round((points[:, ::-1] * FINER - 0.5) * 64).astype(np.int32)
    cv2.fillPoly(canvas, [at[:, None]], 1, shift=6)
    wanted = np.repeat(np.repeat(mask, FINER, axis=0), FINER, axis=1)
    return float((wanted & (canvas > 0)).sum() / (wanted | (canvas > 0)).sum())


def _ellipse(box: Points) -> Points:
    angles = np.arange(64) * (2 * np.pi / 64)
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return np.asarray(middle + half * np.stack([np.sin(angles), np.cos(angles)], axis=1))


def _masks(folder: Path) -> Iterator[Mask]:
    files = sorted(one for one in folder.glob("*.png") if not one.stem.endswith("raw8"))
    for file in files[:: max(1, len(files) // FILES)]:
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert image is not None
        for value in np.unique(image)[1 : MOST_CELLS + 1]:
            mask = image == value
            if mask.sum() >= LEAST_PX:
                rows, columns = np.nonzero(mask)
                cut = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
                yield np.pad(cut, 3)


def _metadata(sequence: int) -> FrameMetadata:
    return FrameMetadata(camera_id="bench", run_id="r", sequence=sequence, acquired_at_ns=sequence)


def _told(frames: list[Detections]) -> list[float]:
    """What the outlines of detections share with their own label images."""
    found = []
    for one in frames:
        assert one.labels is not None
        assert one.outlines_px is not None
        for number, points in enumerate(one.outlines_px, 1):
            mask = one.labels == number
            if mask.sum() >= LEAST_PX and not np.isnan(points).any():
                found.append(overlap(points, mask))
    return found


def _simulated(modality: str, model: str, *, labels: bool, cells: int = 45) -> list[Detections]:
    film = SimulatedConfig.model_validate({"modality": modality, "frames": 3, "seed": 3, "cells": cells})
    detector = TfliteConfig(model=model).build()
    frames = film.build().frames(Run("bench", "r", lambda: 0))
    return [detector.detect(frame, labels=labels, outlines=True) for frame in frames]


def _cost() -> Table:
    table = Table("cells", "without, least ms", "with, least ms", "ratio of pairs, median",
                  title="maps to cells with outlines, one core, by turns")  # fmt: skip
    maps, rules, side = drawn_maps(1, 32.0)
    shape = side, side
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(RUNS):
        for outlined, times in taken.items():
            work = partial(gather, maps=maps, shape_px=shape, outlined=outlined)
            started = time.perf_counter()
            work(decode(maps, rules, shape))
            times.append(1e3 * (time.perf_counter() - started))
    ratio = statistics.median(there / without for without, there in zip(*taken.values(), strict=True))
    table.add_row(str(CELLS), f"{min(taken[False]):.2f}", f"{min(taken[True]):.2f}", f"{ratio:.2f}")
    return table


def _sizes() -> Table:
    table = Table("cells", "record, bytes", "without outlines", "cells as JSON, bytes", "without outlines",
                  title="what outlines add to a frame")  # fmt: skip
    for cells in (45, 300):
        found = _simulated("fluorescence", "nuclei", labels=False, cells=cells)[0]
        tracker = KalmanConfig().build()
        _, tracks = tracker.update(tracker.initial_state(), found, 0)
        told = encode_tracks(tracks, found.model.class_names)
        row = [str(len(found))]
        records = [
            encode_detections(msgspec.structs.replace(found, outlines=one)) for one in (found.outlines, None)
        ]
        row += [f"{len(record):,}" for record in records]
        row += [f"{len(msgspec.json.encode(cells_view(told, record))):,}" for record in records]
        table.add_row(*row)
    return table
