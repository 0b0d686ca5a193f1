"""What figures, zones, rules, abnormal cells and the picture's quality add to a frame's time, at 300 cells."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import msgspec
from rich.console import Console
from rich.table import Table

from bench.stages import frames_of
from streamcount.config import parse_settings
from streamcount.pipeline import Pipeline
from streamcount.types import Detections, Frame

CELLS, WIDTH_PX, HEIGHT_PX = 300, 1280, 960
WARM_UP = 5
BARE = """

windows = {}
[events]
abnormal_deviations = 0
unsure_below = 0
"""
WHOLE = """
[windows.ten]
length_s = 10
[windows.slide]
length_s = 60
every_s = 10
[chamber]
depth_um = 100
[alerts.few]
kind = "limit"
figure = "cells"
window = "ten"
below = 1
[alerts.jump]
kind = "jump"
figure = "cells"
window = "slide"
factor = 2
[cameras.bench]
pixel_size_um = 0.5
[cameras.bench.source]
kind = "simulated"
[cameras.bench.zones.a]
points_px = [[10, 10], [10, 400], [400, 400], [400, 10]]
[cameras.bench.zones.b]
points_px = [[10, 600], [10, 1200], [400, 900]]
[cameras.bench.zones.c]
points_px = [[500, 10], [500, 600], [900, 600], [900, 10]]
[cameras.bench.zones.d]
points_px = [[500, 700], [500, 1200], [900, 1200], [900, 700]]
[cameras.bench.lines.up]
points_px = [[960, 640], [0, 640]]
[cameras.bench.lines.across]
points_px = [[480, 0], [480, 1280]]
"""


def run(console: Console) -> None:
    """Prints the share that all of it adds to finding and following, in turns on the same frames.

    What is added is told frame by frame, so that what else the machine does meanwhile falls on both.
    """
    frames = frames_of(WIDTH_PX, HEIGHT_PX, CELLS)
    bare, whole = (parse_settings(text).pipeline("bench") for text in (BARE, WHOLE))
    plain, full = _Runner(bare, bare.detector.detect), _Runner(whole, whole.detect)
    for frame in frames:
        plain.step(frame)
        full.step(frame)
    table = Table(
        "", "detect ms", "advance ms", "both", title=f"a frame of {full.cells} cells, median of {len(frames)}"
    )
    for name, runner in (("finding and following", plain), ("with all figures", full)):
        times = [statistics.median(every) for every in (runner.detect_ms, runner.advance_ms, runner.total_ms)]
        table.add_row(name, *(f"{one:.2f}" for one in times))
    console.print(table)
    added = [more - less for more, less in zip(full.total_ms, plain.total_ms, strict=True)]
    share = statistics.median(added) / statistics.median(plain.total_ms)
    console.print(
        f"All of it adds {statistics.median(added):.2f} ms to a frame, {share:.1%} of finding and following."
    )


class _Runner:
    def __init__(self, pipeline: Pipeline, detect: Callable[[Frame], Detections]) -> None:
        self._pipeline, self._detect = pipeline, detect
        self._state = pipeline.initial_state("bench")
        self._detected: list[float] = []
        self._advanced: list[float] = []
        self.cells = 0

    def step(self, frame: Frame) -> None:
        """One more frame, under the clock."""
        started = time.perf_counter()
        found = self._detect(frame)
        between = time.perf_counter()
        meta = msgspec.structs.replace(found.metadata, camera_id="bench")
        found = msgspec.structs.replace(found, metadata=meta)
        resumed = time.perf_counter()
        self._state, _ = self._pipeline.advance(self._state, found)
        self._advanced.append(1e3 * (time.perf_counter() - resumed))
        self._detected.append(1e3 * (between - started))
        self.cells = len(found)

    @property
    def detect_ms(self) -> list[float]:
        """Of each frame but the first ones."""
        return self._detected[WARM_UP:]

    @property
    def advance_ms(self) -> list[float]:
        """Of each frame but the first ones."""
        return self._advanced[WARM_UP:]

    @property
    def total_ms(self) -> list[float]:
        """Both, of each frame but the first ones."""
        return [one + other for one, other in zip(self.detect_ms, self.advance_ms, strict=True)]
