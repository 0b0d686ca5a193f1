"""Milliseconds and memory of following cells, divisions on, one thread, beside other trackers in the same run.

trackpy links frame by frame, laptrack two frames at a time, btrack the whole film at once. byotrack is not measured:
it brings PyTorch with CUDA, some gigabytes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.environment import ROOT, pinned_python
from bench.stages import measure
from streamcount.detection import LabelsConfig
from streamcount.pipeline import Pipeline, PipelineState
from streamcount.tracking import KalmanConfig
from streamcount.types import Detections, FrameMetadata, ModelIdentity
from streamcount.wire import decode_state, encode_state

CELLS = (300, 1_000, 5_000)
FRAMES, WARM_UP = 40, 5
DIAMETER_PX, AREA_PER_CELL_PX = 20.0, 3_000.0
REACH_PX = 25.0
# Bars for one thread: ms a frame by number of cells; of the state of 1,000 cells, kB, and ms to encode and decode it.
MOST_MS = {1_000: 5.0, 5_000: 25.0}
MOST_STATE_KB, MOST_CODING_MS = {1_000: 100.0}, {1_000: 1.0}
# Environments of the peers, each with pins of its own name, and who runs in it.
PEERS = {"peers": ("trackpy", "laptrack"), "btrack": ("btrack",)}
SCRIPTS = {"peers": "peers_tracking.py", "btrack": "peers_btrack.py"}
MODEL = ModelIdentity("film", "0" * 64, ("one", "two", "three"))


def film(cells: int, seed: int = 1) -> list[Detections]:
    """Cells that creep, 2 % missed in each frame, 1 % clutter, and one in two hundred divided in each frame."""
    rng = np.random.default_rng(seed)
    side = float(np.sqrt(cells * AREA_PER_CELL_PX))
    places = rng.uniform(0, side, (cells, 2))
    diameters = rng.normal(DIAMETER_PX, 1.5, cells)
    frames = []
    for sequence in range(FRAMES):
        places = places + rng.normal(0, 1.0, places.shape)
        splits = rng.random(len(places)) < 0.005
        # As many leave as are born, so that the number stays.
        gone = rng.permutation(len(places))[: int(splits.sum())]
        arm = rng.normal(size=(int(splits.sum()), 2))
        arm *= 0.4 * diameters[splits][:, None] / np.hypot(*arm.T)[:, None]
        kept = ~splits
        kept[gone] = False
        small = diameters[splits] / np.sqrt(2)
        places = np.concatenate([places[kept], places[splits] + arm, places[splits] - arm])
        diameters = np.concatenate([np.minimum(diameters[kept] * 1.005, 24.0), small, small])
        frames.append(_seen(sequence, places, diameters, side, rng))
    return frames


def _seen(
    sequence: int, places: np.ndarray, diameters: np.ndarray, side: float, rng: np.random.Generator
) -> Detections:
    there = rng.random(len(places)) >= 0.02
    clutter = rng.uniform(0, side, (rng.poisson(0.01 * len(places)), 2))
    points = np.concatenate([places[there], clutter]).astype(np.float32)
    sizes = np.concatenate([diameters[there], np.full(len(clutter), 12.0)]).astype(np.float32)
    half = sizes[:, None] / 2
    return Detections(
        metadata=FrameMetadata(
            camera_id="bench", run_id="run", sequence=sequence, acquired_at_ns=10**18 + sequence * 10**9
        ),
        image_shape=(round(side), round(side)),
        model=MODEL,
        centroids_px=points,
        boxes_px=np.concatenate([points - half, points + half], axis=1),
        areas_px=(np.pi / 4 * sizes**2).astype(np.float32),
        class_probabilities=rng.dirichlet((8, 1, 1), len(points)).astype(np.float32),
    )


def run(console: Console) -> None:
    """Prints what following takes at each number of cells."""
    table = Table("cells", "advance ms", "slowest of 20", "state kB", "encode + decode ms", "peak memory MB",
                  *(f"{peer} ms" for peers in PEERS.values() for peer in peers),
                  title="following, a frame")  # fmt: skip
    for cells in CELLS:
        frames = film(cells)
        pipeline, state, times = _advance(frames[:-1])
        data = encode_state(state)
        both = measure("state", [lambda state=state: decode_state(encode_state(state))] * 20).median_ms
        peak_mb = _peak_mb(partial(pipeline.advance, state, frames[-1]))
        ours = statistics.median(times)
        told = {name: value for environment in PEERS for name, value in _ask(environment, frames).items()}
        table.add_row(
            str(cells), f"{ours:.2f}{_bar(ours, MOST_MS.get(cells))}", f"{np.percentile(times, 95):.2f}",
            f"{len(data) / 1000:.0f}{_bar(len(data) / 1000, MOST_STATE_KB.get(cells))}",
            f"{both:.2f}{_bar(both, MOST_CODING_MS.get(cells))}", f"{peak_mb:.1f}",
            *(f"{value:.1f} ({value / ours:.1f} x)" if isinstance(value, float) else str(value)
              for value in told.values()),
        )  # fmt: skip
    console.print(table)


def _bar(value: float, most: float | None) -> str:
    return "" if most is None else f" (<= {most:g}: {'met' if value <= most else 'MISSED'})"


def _advance(frames: list[Detections]) -> tuple[Pipeline, PipelineState, list[float]]:
    pipeline = Pipeline(LabelsConfig().build(), KalmanConfig().build())
    state, times = pipeline.initial_state("bench"), []
    for detections in frames:
        started = time.perf_counter()
        state, _ = pipeline.advance(state, detections)
        times.append(1e3 * (time.perf_counter() - started))
    return pipeline, state, times[WARM_UP:]


def _peak_mb(work: Callable[[], object]) -> float:
    """Memory that the work takes at most, its results included."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def _ask(environment: str, frames: list[Detections]) -> dict[str, float | str]:
    """Milliseconds a frame of the peers of an environment, or why there are none."""
    python = pinned_python(environment, ROOT / "requirements" / f"{environment}.txt")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.npz"
        points = {f"{i:04d}": frame.centroids_px.astype(np.float64) for i, frame in enumerate(frames)}
        np.savez(path, **points)  # type: ignore[arg-type]
        command = [python, Path(__file__).with_name(SCRIPTS[environment]), path, str(REACH_PX)]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            told = subprocess.run(
                command, check=True, capture_output=True, text=True, env=one_thread, timeout=900
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return {peer: f"none: {type(error).__name__}" for peer in PEERS[environment]}
    result: dict[str, float | str] = json.loads(told.stdout.splitlines()[-1])
    return result
