"""Cells that are unlike the camera's own cells of their class, or of which the model cannot tell what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.events.borders import touched_edges, touched_neighbours
from streamcount.events.certainty import certainties, why_unsure
from streamcount.events.config import EventsConfig
from streamcount.events.memory import CellMemory
from streamcount.events.population import FEATURES, Population, deviations, empty_population, learned
from streamcount.types import Detections, Float32Array, FrameMetadata, Int64Array, Tracks

REASONS = (*FEATURES, "unsure")
SIZE, SHAPE, INTENSITY, UNSURE = range(len(REASONS))
# What is larger and longer than usual by as many deviations may be two cells that touch, taken for one; such a pair
# has at least this elongation.
PAIR_DEVIATIONS, PAIR_ELONGATION = 2.0, 1.3
# A sighting that differs by more from what the cell was, in logarithms of area and slenderness, is one of something
# else, such as two cells in one outline: it is not judged, and moves the mean by this at most.
STEADY = 0.25
# Darker than this share of the ground is dark: an optical density of 3.
DARKEST = 0.05


@dataclass(frozen=True)
class Finding:
    """A cell is abnormal for a reason. row: the track's. score, explanation: as in CellAbnormal."""

    row: int
    reason: str
    score: float
    explanation: str


def snapshot_name(metadata: FrameMetadata, track_id: int, reason: str) -> str:
    """The name under which the picture of an abnormal cell is kept: the same at each replay."""
    return f"{metadata.camera_id}/{metadata.run_id}/{metadata.sequence}/{track_id}/{reason}"


def slenderness(boxes_px: Float32Array, areas_px: Float32Array) -> Float32Array:
    """(N,) float32, at least 1: mean of an ellipse's axis ratio and its inverse, from a cell's box and its area.

    An ellipse with half-axes a and b, however it is turned, has the area pi a b and a box with
    height^2 + width^2 = 4 (a^2 + b^2), which give (a / b + b / a) / 2. Unlike the ratio itself, which chance can only
    raise, it scatters little where cells are round. boxes_px: (N, 4). areas_px: (N,).
    """
    sides = np.maximum(boxes_px[:, 2:] - boxes_px[:, :2], 1e-3).astype(np.float64)
    products = np.maximum(areas_px.astype(np.float64) / np.pi, 1e-6)
    return np.asarray(np.maximum((sides**2).sum(axis=1) / 8 / products, 1.0), np.float32)


def elongations(slender: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) at least 1: longer over shorter axis of ellipses of this `slenderness`.

    Where the area is only that of the ellipse in the box, it is the box's longer side over the shorter.
    """
    half = np.maximum(slender.astype(np.float64), 1.0)
    return np.asarray(half + np.sqrt(half**2 - 1))


def density(intensities: Float32Array) -> Float32Array:
    """(N,) of intensities (N,): where negative, less the optical density that they amount to.

    A stain absorbs a share of the light, so twice as much of it has twice the density, but less than twice the
    contrast (Beer and Lambert): densities of usual cells scatter about evenly.
    """
    dark = np.log(np.maximum(1 + np.minimum(intensities, 0), DARKEST))
    return np.asarray(np.where(intensities < 0, dark, intensities), np.float32)


def unlike(
    memory: CellMemory,
    tracks: Tracks,
    detections: Detections,
    seen: NDArray[np.bool_],
    config: EventsConfig,
) -> tuple[Population, list[Finding]]:
    """The population with this frame's cells, and which cells turned out to be abnormal, by reason and row.

    memory: the frame's own copy of N rows, whose looks, streaks and told reasons are written to. seen: (N,) which
    cells are to be looked at; those that touch the edge, and so may be cut, are left out. Of those that touch another
    cell only the class's probability is looked at, since outlines are guessed there. Give no frame whose picture is
    bad: blur alone makes cells large and pale.
    """
    population = _population(memory, len(detections.model.class_names), config)
    cut = touched_edges(tracks.boxes_px, tracks.image_shape, config.border_margin_px).any(axis=1)
    rows = np.flatnonzero(seen & ~cut & (memory.told_classes >= 0))
    if not len(rows):
        return population, []
    class_ids = memory.told_classes[rows].astype(np.int64)
    clear, steady = _look(memory, detections, rows, tracks.detection_rows[rows], config)
    looks = memory.looks[rows]
    features = looks[:, :UNSURE].copy()
    features[:, SHAPE] = np.log(elongations(np.exp(looks[:, SHAPE])))
    away = deviations(population, class_ids, features)
    away[population.cells[class_ids] < config.abnormal_least_cells] = np.nan
    pairs = (away[:, [SIZE, SHAPE]] > PAIR_DEVIATIONS).all(axis=1)
    pairs &= features[:, SHAPE] > np.log(PAIR_ELONGATION)
    away[pairs, :INTENSITY] = np.nan
    findings = []
    for row, reason in _newly_out(memory, rows, away, clear & steady, config):
        if reason == UNSURE:
            findings.append(_unsure(row, memory, tracks, detections, config))
        else:
            deviation = float(away[np.searchsorted(rows, row), reason])
            findings.append(_unlike(row, reason, deviation, memory, tracks))
    ages = memory.looked_frames[rows]
    first = clear & (ages == config.abnormal_hold_frames)
    again = (ages - config.abnormal_hold_frames) % config.population_every_frames == 0
    due = first | (clear & (ages > config.abnormal_hold_frames) & again)
    return learned(population, class_ids[due], features[due], first[due]), findings


def _population(memory: CellMemory, classes: int, config: EventsConfig) -> Population:
    """What is remembered, or a new beginning under another model or another size of the sample."""
    shape = memory.population.samples.shape
    same = shape[:2] == (classes, config.population_cells)
    return memory.population if same else empty_population(classes, config.population_cells)


def _look(
    memory: CellMemory,
    detections: Detections,
    rows: NDArray[np.intp],
    found: Int64Array,
    config: EventsConfig,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Takes one more sighting into each cell's smoothed looks. found: the detections' rows.

    Which of the rows lie apart from other cells, and which look as they did before.
    """
    boxes, areas = detections.boxes_px[found], detections.areas_px[found]
    now = np.full((len(rows), len(REASONS)), np.nan, np.float32)
    now[:, SIZE] = np.log(np.maximum(areas, 1e-3))
    now[:, SHAPE] = np.log(slenderness(boxes, areas))
    if detections.intensities is not None:
        now[:, INTENSITY] = density(detections.intensities[found])
    clear = ~touched_neighbours(detections.boxes_px, found)
    now[:, UNSURE] = certainties(detections, found, memory.told_classes[rows], clear, config)
    memory.sighted_frames[rows] += 1
    memory.looked_frames[rows[clear]] += 1
    ages = np.repeat(memory.looked_frames[rows][:, None], len(REASONS), axis=1)
    ages[:, UNSURE] = memory.sighted_frames[rows]
    before = memory.looks[rows]
    before = np.where(np.isnan(before) | (ages <= 1), now, before)
    change = now - before
    outline = change[:, :INTENSITY]
    steady = (np.abs(outline) <= STEADY).all(axis=1)
    np.clip(outline, -STEADY, STEADY, out=outline)
    change[~clear, :UNSURE] = 0
    # The plain mean of the first sightings, then one that forgets.
    memory.looks[rows] = before + change / np.clip(ages, 1, config.abnormal_smoothing_frames)
    return clear, steady


def _newly_out(
    memory: CellMemory,
    rows: NDArray[np.intp],
    away: Float32Array,
    judged: NDArray[np.bool_],
    config: EventsConfig,
) -> list[tuple[int, int]]:
    """Cells that have now been out of the usual for long enough, as (row, reason), and were not told to be so.

    judged: (n,) whose size, shape and intensity this sighting tells; the streaks of the others stay as they were.
    """
    out = np.zeros((len(rows), len(REASONS)), np.bool_)
    limit = config.abnormal_deviations or np.inf
    # A comparison with NaN is false: what is not known is not judged.
    out[:, :UNSURE] = np.abs(away) > limit
    # A cell that is rounder than usual has no abnormal shape.
    out[:, SHAPE] = away[:, SHAPE] > limit
    out[:, UNSURE] = memory.looks[rows, UNSURE] < config.unsure_below
    longest = np.iinfo(memory.out_frames.dtype).max
    streaks = np.where(out, np.minimum(memory.out_frames[rows], longest - 1) + 1, 0)
    streaks[~judged, :UNSURE] = memory.out_frames[rows[~judged], :UNSURE]
    memory.out_frames[rows] = streaks
    told = (memory.out_frames[rows] >= config.abnormal_hold_frames) & ~memory.unlike_told[rows]
    memory.unlike_told[rows] |= told
    places, reasons = np.nonzero(told)
    return list(zip(rows[places].tolist(), reasons.tolist(), strict=True))


def _unsure(
    row: int, memory: CellMemory, tracks: Tracks, detections: Detections, config: EventsConfig
) -> Finding:
    """A cell of which the model is unsure, in words."""
    class_id, certainty = int(memory.told_classes[row]), float(memory.looks[row, UNSURE])
    words = why_unsure(detections, int(tracks.detection_rows[row]), class_id, certainty, config)
    return Finding(row, REASONS[UNSURE], certainty, words)


def _unlike(row: int, reason: int, deviation: float, memory: CellMemory, tracks: Tracks) -> Finding:
    """A cell unlike the others, in words. deviation: robust standard deviations from the median."""
    class_id = int(memory.told_classes[row])
    name, value = memory.class_names[class_id], float(memory.looks[row, reason])
    median = float(memory.population.quartiles[class_id, reason, 1])
    words = f"is {abs(deviation):.1f} robust deviations {'above' if deviation > 0 else 'below'} the median"
    pixel_um = tracks.metadata.pixel_size_um
    if reason == SIZE:
        scale, unit = (1.0, "px²") if pixel_um is None else (pixel_um**2, "µm²")
        figures = (f"area {np.exp(value) * scale:.4g} {unit}", f"{np.exp(median) * scale:.4g}")
    elif reason == SHAPE:
        ratio = float(elongations(np.exp([value]))[0])
        figures = (f"elongation {ratio:.2f}", f"{np.exp(median):.2f}")
    else:
        figures = (f"intensity {value:.3f}", f"{median:.3f}")
    return Finding(row, REASONS[reason], abs(deviation), f"{figures[0]} {words} {figures[1]} of class {name}")
