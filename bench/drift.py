"""Flags of drift in simulated films: of stages that jump or drift, and false ones of cells that move in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from streamcount.config import parse_settings
from streamcount.quality import QualityConfig
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.types import Frame

FRAMES, JUMP_AT, MARGIN_PX = 80, 30, 200
Film = Iterator[Frame]


def simulated(**settings: Any) -> Film:
    """A film of bright-field microscopy, or as set."""
    config = SimulatedConfig(**{"seed": 4, "frames": FRAMES, "cells": 60, **settings})
    return config.build().frames(Run("bench", "r", lambda: 0))


def seen_through(place_px: Callable[[int], int]) -> Film:
    """A film of which the stage moves the view down; the specimen is larger than it by MARGIN_PX."""
    for number, frame in enumerate(simulated(width_px=840, height_px=680)):
        top = min(place_px(number), MARGIN_PX - 1)
        part = frame.image[top : top - MARGIN_PX, :-MARGIN_PX]
        yield msgspec.structs.replace(frame, image=np.ascontiguousarray(part))


def flagged(film: Film) -> tuple[int, float]:
    """(frames flagged, the largest drift in diameters)."""
    pipeline = parse_settings('[detector]\nkind = "watershed"', environment={}).pipeline("bench")
    state, told, largest = pipeline.initial_state("bench"), 0, 0.0
    for frame in film:
        state, _ = pipeline.step(state, frame)
        told += "drift" in state.quality.flags
        largest = max(largest, float(np.hypot(*np.sum(state.quality.shifts, axis=0))))
    return told, largest


def films() -> Iterator[tuple[str, Film]]:
    """What is tried."""
    for modality in ("bright-field", "fluorescence"):
        for motion in ("persistent", "confined", "collective", "drifting"):
            for speed in (1.0, 4.0):
                name = f"{modality}, cells {motion}, {speed:g} µm/min"
                yield name, simulated(modality=modality, motion=motion, speed_um_per_min=speed)
    for speed in (0.3, 1.0, 3.0, 10.0):
        yield f"stage drifts, {speed:g} µm/min RMS", simulated(stage_drift_um_per_min=speed)
    for jump in (20, 40, 80, 150):
        yield f"stage jumps once, {jump} px", seen_through(lambda n, by=jump: by if n >= JUMP_AT else 0)  # type: ignore[misc]


def print_drift(console: Console) -> None:
    """Measures and prints."""
    limit = QualityConfig().drift_limit_diameters
    head = f"drift of the stage, {FRAMES} frames each; the limit is {limit:g} diameters"
    table = Table("film", "frames flagged", "largest drift, diameters", title=head)
    for name, film in films():
        told, largest = flagged(film)
        table.add_row(name, str(told), f"{largest:.2f}")
    console.print(table)
