"""Cells per mL of a simulated haemocytometer whose concentration is known: coverage, and what the edge rule does."""

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
from streamcount.statistics import counted_in
from streamcount.types import WindowClosed

FIELDS = 1000
PIXEL_UM, DEPTH_UM, DILUTION = 0.5, 100.0, 2.0
HEIGHT_PX, WIDTH_PX = 480, 640
# Cells that the field holds on average.
MEANS = (5, 15, 30)
UM3_PER_ML = 1e12
SETTINGS = f"""
[detector]
kind = "watershed"
min_diameter_um = 8
max_diameter_um = 40
[chamber]
depth_um = {DEPTH_UM}
dilution = {DILUTION}
[windows.all]
length_s = 3600
[cameras.chamber]
pixel_size_um = {PIXEL_UM}
[cameras.chamber.source]
kind = "simulated"
"""


class Field(NamedTuple):
    """One field of the chamber. cells_per_ml: told, with its interval; all_per_ml: had all that was found been
    counted; true_per_ml: had all cells been found as they are, and counted by the rule."""

    cells_per_ml: float
    low: float
    high: float
    all_per_ml: float
    true_per_ml: float


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
    number = np.random.default_rng((seed, 1)).poisson(cells_per_ml * volume_ml() * larger)
    return config.model_copy(update={"cells": round(number / larger)})


def looked_at(pipeline: Pipeline, cells_per_ml: float, seed: int) -> Field:
    """What a field of a chamber is told to hold."""
    source = filled(cells_per_ml, seed).build()
    frame, truth = next(iter(source.scenes(Run("chamber", f"r{seed}", lambda: 0))))
    state, result = pipeline.step(pipeline.initial_state("chamber"), frame)
    _, closed = pipeline.finish(state)
    [window] = [event for event in closed.events if isinstance(event, WindowClosed)]
    [told] = [each for each in window.figures if (each.name, each.class_name) == ("cells_per_ml", "")]
    assert told.low is not None
    assert told.high is not None
    ruled = counted_in(truth.boxes_px, (0, 0, HEIGHT_PX, WIDTH_PX)).sum()
    found = np.array([len(result.detections), ruled]) / volume_ml()
    return Field(told.value, told.low, told.high, *found.tolist())


def fields(mean: float, number: int, first_seed: int) -> Iterator[Field]:
    """Of a concentration at which a field holds so many cells on average."""
    pipeline = parse_settings(SETTINGS, environment={}).pipeline("chamber")
    for seed in range(first_seed, first_seed + number):
        yield looked_at(pipeline, mean / volume_ml(), seed)


def run(console: Console) -> None:
    """Measures and prints."""
    cv2.setNumThreads(1)
    table = Table(
        *("cells a field", "cells/mL", "coverage %", "bias by the rule %", "of all cells in sight %"),
        *("were all cells found %", "standard error %"),
        title=f"a simulated chamber, watershed, {FIELDS} fields each",
    )
    for mean in MEANS:
        true = mean / volume_ml()
        found = list(fields(mean, FIELDS, 1000 * mean))
        covered = np.mean([each.low <= true <= each.high for each in found])
        means = (
            np.mean([each.cells_per_ml for each in found]) / true,
            np.mean([each.all_per_ml for each in found]) / true,
            np.mean([each.true_per_ml for each in found]) / true,
        )
        told = (f"{100 * (each - 1):+.1f}" for each in means)
        error = 100 / np.sqrt(mean * FIELDS)
        table.add_row(str(mean), f"{true:.3g}", f"{100 * covered:.1f}", *told, f"{error:.1f}")
    console.print(table)
