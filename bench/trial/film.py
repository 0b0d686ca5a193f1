"""A film of the trial: the truth's masks with faults put in, followed by the real pipeline, written and scored."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.trial.scenarios import Scenario
from streamcount.detection import Detector, LabelsConfig
from streamcount.detection.features import described
from streamcount.pipeline import Pipeline
from streamcount.scoring import score
from streamcount.scoring.matching import match_masks
from streamcount.sinks.ctc import CtcWriter
from streamcount.sources.base import Run
from streamcount.sources.simulated.truth import FrameTruth
from streamcount.tracking import KalmanConfig
from streamcount.types import (
    AnyEvent,
    CellAppeared,
    CellDied,
    CellDivided,
    CellEvent,
    Detections,
    Frame,
    Image,
    Tracks,
    TrackStatus,
)

RUN = Run("trial", "run", lambda: 1_700_000_000_000_000_000)
# Frames forgiven. A cell at the edge is in the truth from a quarter of its area on.
BIRTH_BUFFER, DEATH_BUFFER = 3, 3


@dataclass(frozen=True)
class Faults:
    """What a detector does to masks. missed: share of cells left out. clutter: false ones, a share of the cells."""

    missed: float = 0.02
    clutter: float = 0.01


@dataclass
class Figures:
    """What came of one film. divisions, births, deaths: (true, found, matched).

    Divisions are those of the written tracks; births and deaths are what the events say, births being cells that came
    into view after the first frame. followed: (cells found in two frames in a row, those of them that are one track
    in both): what linking made of what there was.
    """

    name: str
    cells: int
    measures: dict[str, float | None]
    divisions: tuple[int, int, int]
    births: tuple[int, int, int]
    deaths: tuple[int, int, int]
    followed: tuple[int, int]
    retracted: int
    advance_ms: float

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


Happening: TypeAlias = tuple[int, int]


@dataclass
class _Truth:
    """Which cell each track was in each frame, and when which cell was first to be seen and died, as (frame, cell).

    A cell that the faults hide in the first frame comes into view in the next.
    """

    cells: list[dict[int, int]] = field(default_factory=list)
    entered: list[Happening] = field(default_factory=list)
    died: list[Happening] = field(default_factory=list)
    known: set[int] = field(default_factory=set)

    def add(self, truth: FrameTruth, seen: FrameTruth, detections: Detections, tracks: Tracks) -> None:
        """A frame: its truth, what of it was to be seen, what was detected, and whose each detection is."""
        assert detections.labels is not None
        same = match_masks(truth.labels, detections.labels).one_to_one()
        rows = tracks.detection_rows.tolist()
        track_of = {
            row: track for row, track in zip(rows, tracks.track_ids.tolist(), strict=True) if row >= 0
        }
        self.cells.append({track_of[found - 1]: int(truth.ids[true - 1]) for true, found in same.items()})
        cells = zip(seen.ids.tolist(), seen.parents.tolist(), strict=True)
        new = {cell: parent for cell, parent in cells if cell not in self.known}
        self.known |= set(new)
        self.entered += [
            (truth.sequence, cell) for cell, parent in new.items() if truth.sequence and not parent
        ]
        # Told in the first frame without the cell.
        self.died += [(event.sequence - 1, event.id) for event in truth.events if event.kind == "died"]

    def followed(self) -> tuple[int, int]:
        """How many cells were found in two frames in a row, and how many of them by the same track."""
        found = made = 0
        for before, after in pairwise(self.cells):
            tracks = {cell: track for track, cell in before.items()}
            same = [tracks[cell] == track for track, cell in after.items() if cell in tracks]
            found, made = found + len(same), made + sum(same)
        return found, made

    def at(self, event: CellEvent) -> Happening:
        """The frame of an event, and the true cell that its track was then, 0 for none."""
        return event.sequence, self.cells[event.sequence].get(event.track_id, 0)


def _compared(true: list[Happening], told: list[Happening], buffer: int) -> tuple[int, int, int]:
    """(true, found, matched), each true one matched once."""
    left = list(true)
    for frame, cell in told:
        same = [one for one in left if one[1] == cell and abs(one[0] - frame) <= buffer]
        if same:
            left.remove(same[0])
    return len(true), len(told), len(true) - len(left)


def run_film(
    scenario: Scenario,
    tracker: KalmanConfig,
    faults: Faults,
    folder: Path,
    detector: Detector | None = None,
    intensities: bool = False,
) -> Figures:
    """Simulate, follow and score a film. folder: for its files, which are removed again.

    detector: finds the cells in the film's pictures, in place of the true masks with faults. intensities: whether the
    brightness of what the masks show is measured in the pictures, as it is of what a detector finds.
    """
    pipeline = Pipeline(detector or LabelsConfig().build(), tracker.build())
    state, times, events = pipeline.initial_state(RUN.camera_id), [], []
    known = _Truth()
    try:
        with CtcWriter(folder / "found") as found, CtcWriter(folder / "truth") as true:
            for frame, picture, truth in _looks(scenario, faults, detector is not None, intensities):
                detections = pipeline.detector.detect(frame, labels=True)
                if picture is not None:
                    detections = described(msgspec.structs.replace(detections, intensities=None), picture)
                started = time.perf_counter()
                state, result = pipeline.advance(state, detections)
                times.append(1e3 * (time.perf_counter() - started))
                assert result.tracks is not None
                found.write(truth.sequence, detections, result.tracks)
                seen = truth if detector is not None else _seen_of(truth, frame.image)
                true.write(truth.sequence, *_as_tracks(seen, frame))
                known.add(truth, seen, detections, result.tracks)
                events += result.events
        for name in [*(folder / "truth").glob("mask*.tif"), folder / "truth" / "res_track.txt"]:
            name.rename(name.with_name(name.name.replace("mask", "man_track").replace("res_", "man_")))
        told = score(folder / "truth", folder / "found")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    divisions = told.happenings.divisions[-1]
    deaths = [known.at(event) for event in events if isinstance(event, CellDied)]
    births = [
        known.at(event)
        for event in events
        if isinstance(event, CellAppeared) and event.sequence and not event.parent_id
    ]
    return Figures(
        name=scenario.name,
        cells=len(truth),
        measures=dict(told.measures),
        divisions=(divisions.true, divisions.found, divisions.matched),
        births=_compared(known.entered, births, BIRTH_BUFFER),
        deaths=_compared(known.died, deaths, DEATH_BUFFER),
        followed=known.followed(),
        retracted=_retracted(events),
        advance_ms=statistics.median(times),
    )


def _retracted(events: Iterable[AnyEvent]) -> int:
    return sum(isinstance(event, CellDivided) and event.certainty == "retracted" for event in events)


def _looks(
    scenario: Scenario, faults: Faults, own: bool, intensities: bool
) -> Iterator[tuple[Frame, Image | None, FrameTruth]]:
    """Each frame as the detector gets it, the picture in which brightness is to be measured, and the truth."""
    source, rng = scenario.config.build(), np.random.default_rng(scenario.config.seed)
    if own or intensities:
        for frame, truth in source.scenes(RUN):
            seen = frame if own else Frame(with_faults(truth.labels, faults, rng), frame.metadata)
            yield seen, frame.image, truth
        return
    for metadata, truth in source.truths(RUN):
        yield Frame(with_faults(truth.labels, faults, rng), metadata), None, truth


def with_faults(labels: NDArray[np.uint16], faults: Faults, rng: np.random.Generator) -> NDArray[np.uint16]:
    """(H, W) labels without the cells that were missed, and with discs where no cell is.

    Values of cells stay; clutter has values above. A disc that would lie on a cell is put elsewhere.
    """
    number = int(labels.max())
    kept = np.arange(number + 1, dtype=np.uint16)
    kept[1:][rng.random(number) < faults.missed] = 0
    faulty: NDArray[np.uint16] = kept[labels]
    areas = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    usual = float(np.sqrt(np.median(areas[areas > 0]) / np.pi)) if (areas > 0).any() else 8.0
    height, width = labels.shape
    for value in range(number + 1, number + 1 + rng.poisson(faults.clutter * number)):
        radius = usual * rng.uniform(0.4, 1.0)
        for _ in range(20):
            y, x = rng.uniform(0, height), rng.uniform(0, width)
            ys, xs = np.ogrid[:height, :width]
            disc = np.square(ys - y) + np.square(xs - x) <= radius**2
            if not (labels[disc].any() or faulty[disc].any()):
                faulty[disc] = value
                break
    return faulty


def _seen_of(truth: FrameTruth, image: NDArray[Any]) -> FrameTruth:
    """The truth of the cells that the faulty masks still show: linking is judged on what there was to link."""
    seen = np.isin(np.arange(1, len(truth) + 1), np.unique(image))
    values = np.zeros(len(truth) + 1, np.uint16)
    values[1:][seen] = np.arange(1, seen.sum() + 1)
    rows = {
        name: getattr(truth, name)[seen]
        for name in ("ids", "parents", "centroids_px", "boxes_px", "areas_px")
    }
    return msgspec.structs.replace(truth, labels=values[truth.labels], **rows)


def _as_tracks(truth: FrameTruth, frame: Frame) -> tuple[Detections, Tracks]:
    """The truth in the pipeline's own words, for the same writer."""
    number = len(truth)
    detections = LabelsConfig().build().detect(Frame(truth.labels, frame.metadata), labels=True)
    zeros, status = np.zeros(number, np.int64), np.full(number, TrackStatus.CONFIRMED, np.uint8)
    tracks = Tracks(
        metadata=frame.metadata,
        image_shape=detections.image_shape,
        track_ids=truth.ids,
        parent_ids=truth.parents,
        generations=np.zeros(number, np.int32),
        centroids_px=truth.centroids_px,
        velocities_px=np.zeros((number, 2), np.float32),
        boxes_px=truth.boxes_px,
        class_ids=zeros,
        status=status,
        previous_status=status,
        detection_rows=np.arange(number),
        sightings=np.ones(number, np.int32),
        first_sequences=zeros,
        last_sequences=zeros,
        first_seen_ns=zeros,
        last_seen_ns=zeros,
        areas_px=truth.areas_px,
        relative_areas=np.ones(number, np.float32),
    )
    return detections, tracks
