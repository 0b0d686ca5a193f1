"""How many odd cells of the simulated microscope are told, at how many false alarms, and what looking costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.stages import measure as timed
from streamcount.config import parse_settings
from streamcount.detection import Detector
from streamcount.detection.features import described
from streamcount.events import EventsConfig, cell_events
from streamcount.events.abnormal import density, elongations, slenderness
from streamcount.events.borders import touched_edges
from streamcount.events.population import FEATURES, deviations, empty_population, learned
from streamcount.pipeline import Pipeline, StepResult
from streamcount.sources.base import Run
from streamcount.sources.images import read_image
from streamcount.sources.simulated import SimulatedConfig
from streamcount.sources.simulated.config import ODDITIES
from streamcount.sources.simulated.models import KINDS
from streamcount.sources.simulated.truth import FrameTruth
from streamcount.sources.simulated.world import Phase
from streamcount.types import CellAbnormal, Detections, Frame, FrameMetadata

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "chula_rbc12"
SHAPES = (
    *(
        "normal",
        "macrocyte",
        "microcyte",
        "spherocyte",
        "target cell",
        "stomatocyte",
        "ovalocyte",
        "teardrop",
    ),
    *("burr cell", "schistocyte", "uncategorised", "hypochromia", "elliptocyte"),
)
# Limits were chosen on films of the seeds 701 to 712, and not on these.
SEEDS = (*range(601, 609), *range(801, 809))
FRAMES, CELLS, SIDE_PX = 40, 150, 1024
# A cell that was whole in view for fewer frames could not be judged.
LEAST_FRAMES = 15
WATERSHED = '[detector]\nkind = "watershed"'
MODEL = '[detector]\nkind = "tflite"\nmodel = "blood-smear"'


@dataclass
class Tally:
    """Of the cells that were whole in view for long enough: how many there were, and which were told."""

    cells: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    unmatched: int = 0


def settled(config: SimulatedConfig, text: str) -> Iterator[tuple[FrameTruth, StepResult]]:
    """A film's truth, and what the pipeline makes of it."""
    pipeline: Pipeline = parse_settings(text, environment={}).pipeline("bench")
    state = pipeline.initial_state("bench")
    for frame, truth in config.build().scenes(Run("bench", "r", lambda: 0)):
        state, result = pipeline.step(state, frame)
        yield truth, result


def film(tally: Tally, config: SimulatedConfig, text: str) -> None:
    """Adds one film."""
    frames: Counter[int] = Counter()
    kinds: dict[int, str] = {}
    told: dict[int, set[str]] = {}
    nowhere: set[int] = set()
    shape = (config.height_px, config.width_px)
    for truth, result in settled(config, text):
        whole = ~touched_edges(truth.boxes_px, shape, 3.0).any(axis=1)
        frames.update(truth.ids[whole].tolist())
        for one, odd, phase, number in zip(
            truth.ids.tolist(),
            truth.odd.tolist(),
            truth.phases.tolist(),
            truth.class_ids.tolist(),
            strict=True,
        ):
            name = truth.class_names[number]
            # Of an abnormal class, which is told as "class" where the model knows it.
            usual = f"usual {name}" if KINDS[name].abnormal else "usual"
            kinds[one] = ODDITIES[odd - 1] if odd else kinds.get(one, usual)
            if not odd and phase != Phase.LIVING:
                kinds[one] = "dividing or dying"
        for event in result.events:
            if not isinstance(event, CellAbnormal) or event.reason == "class":
                continue
            place = np.array(event.centroid_px)
            away = np.hypot(*(truth.centroids_px - place).T)
            near = int(np.argmin(away))
            if away[near] ** 2 > truth.areas_px[near] / np.pi:
                nowhere.add(event.track_id)
                continue
            told.setdefault(int(truth.ids[near]), set()).add(event.reason)
    tally.unmatched += len(nowhere)
    for one, kind in kinds.items():
        if frames[one] < LEAST_FRAMES:
            continue
        tally.cells[kind] += 1
        if one in told:
            tally.told[kind] += 1
            tally.reasons.update(f"{kind}: {reason}" for reason in told[one])


def _simulated(console: Console) -> None:
    looks = {
        "red cells, watershed": (WATERSHED, {"class_mix": {"red": 1.0}}),
        "blood, blood-smear": (MODEL, {}),
        "nuclei, watershed": (WATERSHED, {"modality": "fluorescence", "class_mix": {"nucleated": 1.0}}),
    }
    for name, (text, more) in looks.items():
        tally = Tally()
        for seed in SEEDS:
            size = {"width_px": SIDE_PX, "height_px": SIDE_PX, "cells": CELLS, "frames": FRAMES}
            film(tally, SimulatedConfig(seed=seed, odd_share=0.04, **size, **more), text)
        table = Table("cells", "looked at", "told", "share", "reasons", title=f"{name}, {len(SEEDS)} films")
        for kind, number in tally.cells.items():
            reasons = [
                f"{reason.split(': ')[1]} {count}"
                for reason, count in tally.reasons.items()
                if reason.startswith(f"{kind}:")
            ]
            share = tally.told[kind] / number
            table.add_row(kind, str(number), str(tally.told[kind]), f"{share:.4f}", ", ".join(reasons))
        odd = sum(tally.cells[kind] for kind in ODDITIES)
        hits = sum(tally.told[kind] for kind in ODDITIES)
        usual = max(tally.cells["usual"], 1)
        false = (tally.told["usual"] + tally.unmatched) / usual
        console.print(table)
        console.print(
            f"{name}: recall {hits / max(odd, 1):.3f} of {odd}, false alarms {1000 * false:.2f} per 1,000 usual "
            f"cells ({tally.unmatched} of them where no cell is)"
        )


def labelled_smears(
    detector: Detector, most: int = 435
) -> Iterator[tuple[Frame, Detections, NDArray[np.intp], NDArray[np.int64]]]:
    """Of each smear of Chula: what is found, the rows of single cells that have a label, and the labels.

    None where the set is missing.
    """
    for number, path in enumerate(sorted((DATA / "images").glob("*.jpg"))[:most]):
        meta = FrameMetadata(camera_id="bench", run_id="r", sequence=number, acquired_at_ns=number)
        frame = Frame(np.ascontiguousarray(read_image(path)[..., :3]), meta)
        found = detector.detect(frame)
        lines = (DATA / "labels" / f"{path.stem}.txt").read_text().split("\n")
        points = np.array([[float(word) for word in line.split()[:3]] for line in lines if line.strip()])
        if not len(points) or not len(found):
            continue
        inside = (points[:, None, [1, 0]] >= found.boxes_px[None, :, :2]).all(axis=2)
        inside &= (points[:, None, [1, 0]] < found.boxes_px[None, :, 2:]).all(axis=2)
        # A box with two points is two cells in one.
        single = np.flatnonzero(inside.sum(axis=0) == 1)
        yield frame, found, single, points[np.argmax(inside[:, single], axis=0), 2].astype(np.int64)


def _chula(console: Console) -> None:
    """Single looks at real red cells, against all that were looked at before: no camera, and no second sighting."""
    detector = parse_settings(WATERSHED, environment={}).pipeline("bench").detector
    rows, kinds, population = [], [], empty_population(1, 2000)
    for frame, seen, single, labels in labelled_smears(detector):
        found = described(seen, frame.image)
        whole = ~touched_edges(found.boxes_px, found.image_shape, 3.0).any(axis=1)[single]
        if found.intensities is None:
            continue
        looks = np.stack(
            [
                np.log(found.areas_px),
                np.log(elongations(slenderness(found.boxes_px, found.areas_px))),
                density(found.intensities),
            ],
            axis=1,
        )[single[whole]]
        rows.append(looks)
        kinds.append(labels[whole])
        population = learned(population, np.zeros(len(looks), np.int64), looks, np.ones(len(looks), np.bool_))
    if not rows:
        console.print(f"no images in {DATA}: nothing is told of real shapes")
        return
    looks, labels = np.concatenate(rows), np.concatenate(kinds)
    away = deviations(population, np.zeros(len(looks), np.int64), looks.astype(np.float32))
    out = np.abs(away) > EventsConfig().abnormal_deviations
    out[:, 1] &= away[:, 1] > 0
    table = Table("shape", "cells", *FEATURES, "any", title="Chula: share beyond the default limit, one look")
    for number, name in enumerate(SHAPES):
        mine = out[labels == number]
        if len(mine):
            shares = [f"{share:.3f}" for share in (*mine.mean(axis=0), mine.any(axis=1).mean())]
            table.add_row(name, str(len(mine)), *shares)
    console.print(table)


def _cost(console: Console) -> None:
    config = SimulatedConfig(seed=1, width_px=1024, height_px=1024, cells=300, frames=60, odd_share=0.02)
    pipeline = parse_settings(WATERSHED, environment={}).pipeline("bench")
    frames = list(config.build().frames(Run("bench", "r", lambda: 0)))
    detect = timed("detect", [lambda f=f: pipeline.detect(f) for f in frames])
    found = [pipeline.detect(frame) for frame in frames]
    look = timed(
        "described", [lambda f=f, d=d: described(d, f.image) for f, d in zip(frames, found, strict=True)]
    )
    state, steps, judged, plain = pipeline.initial_state("bench"), [], [], []
    for one in found:
        before = state
        steps.append(lambda s=before, d=one: pipeline.advance(s, d))
        state, result = pipeline.advance(state, one)
        arguments = (before.cells, result.tracks, one.model, 0, EventsConfig())
        judged.append(lambda a=arguments, d=one: cell_events(*a, d))
        plain.append(lambda a=arguments: cell_events(*a))
    advance = timed("advance", steps)
    with_looks, without = timed("judged", judged), timed("plain", plain)
    judge_ms = with_looks.median_ms - without.median_ms
    whole_ms = detect.median_ms + advance.median_ms
    console.print(
        f"{np.mean([len(one) for one in found]):.0f} cells: looks {look.median_ms:.2f} ms, "
        f"judging {judge_ms:.2f} ms, "
        f"together {(look.median_ms + judge_ms) / whole_ms:.3f} of detect and advance ({whole_ms:.1f} ms)"
    )


def run(console: Console) -> None:
    """Measures and prints."""
    cv2.setNumThreads(1)
    _cost(console)
    _chula(console)
    _simulated(console)
