"""Cells per mL of a simulated haemocytometer whose concentration is known: coverage, and what the edges do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from streamcount.config import parse_settings
from streamcount.pipeline import Pipeline
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.sources.simulated.world import World
from streamcount.statistics import Estimate
from streamcount.types import Frame, WindowClosed

FIELDS = 1000
PIXEL_UM, DEPTH_UM, DILUTION = 0.5, 100.0, 2.0
HEIGHT_PX, WIDTH_PX = 480, 640
# Cells that the field holds on average.
MEANS = (5, 15, 30)
UM3_PER_ML = 1e12
# A square within the field, further from its edges than a cell is wide.
INSET_PX = 40
SQUARE = [
    (INSET_PX, INSET_PX),
    (INSET_PX, WIDTH_PX - INSET_PX),
    (HEIGHT_PX - INSET_PX, WIDTH_PX - INSET_PX),
    (HEIGHT_PX - INSET_PX, INSET_PX),
]
SETTINGS = f"""
[detector]
kind = "watershed"
min_diameter_um = 8
max_diameter_um = 40
[figures]
edges = "EDGES"
[chamber]
depth_um = {DEPTH_UM}
dilution = {DILUTION}
[windows.all]
length_s = 3600
[cameras.chamber]
pixel_size_um = {PIXEL_UM}
[cameras.chamber.source]
kind = "simulated"
[cameras.chamber.zones.square]
points_px = {[[y, x] for y, x in SQUARE]}
"""


class Field(NamedTuple):
    """One field of the chamber. field: cells per mL of the whole field by the rule of haemocytometers; whole: by its
    whole cells; square: of a square within it; all_per_ml: had all that was found been counted."""

    field: Estimate
    whole: Estimate
    square: Estimate
    all_per_ml: float


def volume_ml() -> float:
    """Of the undiluted sample under the field."""
    return HEIGHT_PX * WIDTH_PX * PIXEL_UM**2 * DEPTH_UM / UM3_PER_ML / DILUTION


def filled(cells_per_ml: float, seed: int) -> SimulatedConfig:
    """A field of a new filling of the chamber: cells lie in it by chance, independently of each other.

    The field's edges cut cells, since the microscope's specimen is larger than its field by a known margin. So the
    specimen has a Poisson number of cells, and the field what falls into it.
    """
    config = SimulatedConfig(
        seed=seed, width_px=WIDTH_PX, height_px=HEIGHT_PX, pixel_size_um=PIXEL_UM, cells=0,
        class_mix={"nucleated": 1.0}, frames=1, divisions_per_hour=0, deaths_per_hour=0,
    )  # fmt: skip
    empty = World(config, np.random.default_rng(seed))
    larger = float(np.prod(empty.view_um + 2 * empty.margin_um) / np.prod(empty.view_um))
    rng = np.random.default_rng((seed, 1))
    number = rng.poisson(cells_per_ml * volume_ml() * larger)
    # The microscope takes a number of cells in view, and not every number in the specimen comes of a whole one:
    # of the two nearest either is taken, so that the mean is right.
    fewer = int(number / larger)
    below, above = round(fewer * larger), round((fewer + 1) * larger)
    return config.model_copy(update={"cells": fewer + int(rng.random() < (number - below) / (above - below))})


def looked_at(by_rule: Pipeline, by_whole: Pipeline, cells_per_ml: float, seed: int) -> Field:
    """What a field of a chamber is told to hold."""
    source = filled(cells_per_ml, seed).build()
    frame = next(iter(source.frames(Run("chamber", f"r{seed}", lambda: 0))))
    told, found = _told(by_rule, frame)
    whole, _ = _told(by_whole, frame)
    return Field(told[""], whole[""], told["square"], found / volume_ml())


def _told(pipeline: Pipeline, frame: Frame) -> tuple[dict[str, Estimate], int]:
    """Cells per mL by zone, and how many cells were found."""
    state, result = pipeline.step(pipeline.initial_state("chamber"), frame)
    _, closed = pipeline.finish(state)
    [window] = [event for event in closed.events if isinstance(event, WindowClosed)]
    told = {
        each.zone: Estimate(each.value, each.low or 0.0, each.high or 0.0)
        for each in window.figures
        if (each.name, each.class_name) == ("cells_per_ml", "")
    }
    return told, len(result.detections)


def fields(mean: float, number: int, first_seed: int) -> Iterator[Field]:
    """Of a concentration at which a field holds so many cells on average."""
    by_rule, by_whole = (
        parse_settings(SETTINGS.replace("EDGES", edges), environment={}).pipeline("chamber")
        for edges in ("haemocytometer", "whole-cells")
    )
    for seed in range(first_seed, first_seed + number):
        yield looked_at(by_rule, by_whole, mean / volume_ml(), seed)


def run(console: Console) -> None:
    """Measures and prints."""
    cv2.setNumThreads(1)
    table = Table(
        *("cells a field", "cells/mL", "coverage %", "bias %", "by whole cells: coverage %", "bias %"),
        *("of a square within: coverage %", "bias %"),
        *("bias of all in sight %", "standard error %"),
        title=f"a simulated chamber, watershed, {FIELDS} fields each",
    )
    for mean in MEANS:
        true = mean / volume_ml()
        found = list(fields(mean, FIELDS, 1000 * mean))
        row = [str(mean), f"{true:.3g}"]
        for told in zip(*((each.field, each.whole, each.square) for each in found), strict=True):
            row.append(f"{100 * np.mean([each.low <= true <= each.high for each in told]):.1f}")
            row.append(f"{100 * (np.mean([each.value for each in told]) / true - 1):+.1f}")
        row.append(f"{100 * (np.mean([each.all_per_ml for each in found]) / true - 1):+.1f}")
        table.add_row(*row, f"{100 / np.sqrt(mean * FIELDS):.1f}")
    console.print(table)
