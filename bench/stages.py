"""Milliseconds of one frame in each stage, beside scikit-image's watershed on the same frames, one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from streamcount.config import parse_settings
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.types import Detections, Frame
from streamcount.wire import (
    decode_image,
    encode_detections,
    encode_event,
    encode_image,
    encode_state,
    encode_tracks,
)

FRAMES = 40
SIZES = {(640, 480): 45, (1024, 1024): 150}


@dataclass(frozen=True)
class Stage:
    """What one stage takes: the median over frames, and the slowest of twenty."""

    name: str
    median_ms: float
    p95_ms: float


def measure(name: str, work: Sequence[Callable[[], object]]) -> Stage:
    """Runs each piece once to warm up and once for the clock."""
    work[0]()
    times = []
    for piece in work:
        started = time.perf_counter()
        piece()
        times.append(1e3 * (time.perf_counter() - started))
    return Stage(name, statistics.median(times), float(np.percentile(times, 95)))


def frames_of(width_px: int, height_px: int, cells: int) -> list[Frame]:
    """A simulated blood smear."""
    source = SimulatedConfig(
        seed=1, width_px=width_px, height_px=height_px, cells=cells, frames=FRAMES
    ).build()
    return list(source.frames(Run("bench", "run-1", lambda: 0)))


def skimage_watershed(image: np.ndarray) -> int:
    """The usual recipe of scikit-image's documentation: Otsu, distance transform, peaks, watershed."""
    from scipy import ndimage
    from skimage.color import rgb2gray
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu
    from skimage.measure import regionprops_table
    from skimage.segmentation import watershed

    grey = rgb2gray(image)
    mask = ndimage.binary_fill_holes(grey < threshold_otsu(grey))
    distance = ndimage.distance_transform_edt(mask)
    peaks = peak_local_max(distance, min_distance=10, labels=ndimage.label(mask)[0])
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distance, markers, mask=mask)
    return len(regionprops_table(labels, properties=("centroid", "bbox", "area"))["area"])


def run(console: Console) -> None:
    """Measures and prints."""
    cv2.setNumThreads(1)
    for (width_px, height_px), cells in SIZES.items():
        frames = frames_of(width_px, height_px, cells)
        stages = list(_stages(frames))
        peer = measure(
            "scikit-image watershed", [lambda f=f: skimage_watershed(f.image) for f in frames[:10]]
        )
        table = Table(
            "stage", "median ms", "p95 ms", "of scikit-image's watershed", title=f"{width_px}x{height_px}"
        )
        for stage in [*stages, peer]:
            share = stage.median_ms / peer.median_ms
            table.add_row(stage.name, f"{stage.median_ms:.2f}", f"{stage.p95_ms:.2f}", f"{share:.3f}")
        console.print(table)


def _stages(frames: list[Frame]) -> Sequence[Stage]:
    jpegs = [encode_image(frame.image, "jpeg") for frame in frames]
    stages = [
        measure("encode JPEG (camera)", [lambda f=f: encode_image(f.image, "jpeg") for f in frames]),
        measure("decode JPEG", [lambda j=j: decode_image(j, "image/jpeg", 10**9) for j in jpegs]),
    ]
    found: list[Detections] = []
    for title, text in (
        ("detect, watershed", '[detector]\nkind = "watershed"'),
        ("detect, blood-smear int8", '[detector]\nkind = "tflite"\nmodel = "blood-smear"'),
    ):
        pipeline = parse_settings(text, environment={}).pipeline("bench")
        stages.append(measure(title, [lambda f=f, p=pipeline: p.detect(f) for f in frames]))
        found = [pipeline.detect(frame) for frame in frames]
    state = pipeline.initial_state("bench")
    linked, results = [], []
    for detections in found:
        started = time.perf_counter()
        state, result = pipeline.advance(state, detections)
        linked.append(1e3 * (time.perf_counter() - started))
        results.append(result)
    stages.append(Stage("link and tell events", statistics.median(linked), float(np.percentile(linked, 95))))

    def encode(index: int) -> None:
        result = results[index]
        encode_detections(found[index])
        encode_tracks(result.tracks, found[index].model.class_names)
        for event in result.events:
            encode_event(event)
        encode_state(state)

    stages.append(measure("encode outputs and state", [lambda i=i: encode(i) for i in range(len(frames))]))
    return stages
