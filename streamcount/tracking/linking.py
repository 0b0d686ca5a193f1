"""Which detection is which track's: how far each is looked for, what a pair costs, and the cheapest set of pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.statistics import median
from streamcount.tracking.assignment import assign
from streamcount.tracking.config import KalmanConfig
from streamcount.tracking.gating import (
    class_difference,
    diameters_of,
    intensity_difference,
    overlaps,
    pairs_within,
    size_difference,
    twice,
    usual_contrast,
)
from streamcount.tracking.motion import Float64Array
from streamcount.tracking.state import TrackerState
from streamcount.types import Detections, FrameMetadata, Int64Array, TrackStatus

# The gate of a cell that is out of sight widens as a random walk does, but no further than this.
WIDEST_GATE = 2.0
# Cells are looked for within so many times the usual surprise, but at least this far, in diameters; those seen once,
# whose speed is not known, farther by this factor.
USUAL_SURPRISES, LEAST_GATE, UNKNOWN_SPEED = 10.0, 0.7, 1.5
# A gate reaches as far as so many usual surprises, beyond which one step of a random walk in 65,000 leads, but no
# farther than so many times `gate_diameters`.
FAR_SURPRISES, FARTHEST = 4.0, 3.0
# The usual surprise follows a frame with n links by n / (n + this) of a tenth.
SURPRISE_SHARE, SURPRISE_LINKS = 0.1, 10
# Of the sums over steps and speeds so much is left a frame later.
SPEED_MEMORY = 0.9
# What is more than so many times larger or smaller is not the same cell.
LARGEST_CHANGE = 6.0
# How much a centroid moves at rest because the outline changes, in diameters.
SHAPE_CHANGE = 0.25


def gates_px(config: KalmanConfig, predicted: TrackerState, metadata: FrameMetadata) -> Float64Array:
    """(N,) how far from where it is expected each track is looked for, pixels."""
    sequence = metadata.sequence
    unseen = np.sqrt(np.maximum(sequence - predicted.last_sequences, 1))
    surprise = predicted.surprise_diameters
    # Where cells go far between two frames, the usual gate cuts off a part of them.
    farthest = min(max(FAR_SURPRISES * surprise, config.gate_diameters), FARTHEST * config.gate_diameters)
    gates = farthest * np.minimum(unseen, WIDEST_GATE)
    if surprise:
        usual = np.maximum(USUAL_SURPRISES * surprise * unseen, LEAST_GATE)
        usual[predicted.hits == 1] *= UNKNOWN_SPEED
        gates = np.minimum(gates, usual)
    diameters = diameters_of(predicted.areas_px)
    result: Float64Array = gates * diameters
    if config.max_speed_um_s is not None and metadata.pixel_size_um:
        seconds = (metadata.acquired_at_ns - predicted.last_seen_ns) * 1e-9
        fastest_px = config.max_speed_um_s * np.maximum(seconds, 0.0) / metadata.pixel_size_um
        # A cell at rest is not found at the very same place either.
        result = np.minimum(result, fastest_px + SHAPE_CHANGE * diameters)
    return result


def link(
    config: KalmanConfig,
    predicted: TrackerState,
    detections: Detections,
    order: Int64Array,
    found_px: Float64Array,
) -> tuple[Int64Array, Int64Array]:
    """Rows of tracks and ranks (positions in `order`) of detections that belong together.

    found_px: (M, 2), the detections' places by rank.
    """
    radii = gates_px(config, predicted, detections.metadata)
    points = predicted.motion[:, :2].astype(np.float64)
    # A mother who divides waits for her daughters' proof, and is nothing that is seen.
    able = np.flatnonzero(predicted.status != TrackStatus.DIVIDING)
    rows, ranks, distances = pairs_within(points.take(able, axis=0), radii[able], found_px)
    rows = able[rows]
    found = order[ranks]
    boxes = predicted.box_offsets_px.take(rows, axis=0).astype(np.float64) + twice(points.take(rows, axis=0))
    costs = np.square(distances / radii[rows])
    costs += config.overlap_weight * (
        1.0 - overlaps(boxes, detections.boxes_px.take(found, axis=0).astype(np.float64))
    )
    costs += config.size_weight * size_difference(
        predicted.areas_px[rows].astype(np.float64), detections.areas_px[found].astype(np.float64)
    )
    costs += config.class_weight * class_difference(
        predicted.class_sums.take(rows, axis=0).astype(np.float64),
        detections.class_probabilities.take(found, axis=0),
    )
    if config.intensity_weight and detections.intensities is not None:
        costs += config.intensity_weight * intensity_difference(
            predicted.intensities[rows],
            detections.intensities[found],
            usual_contrast(detections.intensities),
        )
    change = predicted.areas_px[rows] / np.maximum(detections.areas_px[found], 1e-6)
    costs[np.maximum(change, 1 / np.maximum(change, 1e-6)) > LARGEST_CHANGE] = np.inf
    return assign(rows, ranks, costs, config.max_cost)


def surprise_of(
    predicted: TrackerState, rows: Int64Array, centroids_px: Float64Array, sequence: int
) -> float:
    """The running median of how far from where they were expected cells are seen, in diameters."""
    steady = _steady(predicted, rows, sequence)
    number = int(steady.sum())
    if not number:
        return predicted.surprise_diameters
    rows = rows[steady]
    away = np.hypot(*(centroids_px[steady] - predicted.motion.take(rows, axis=0)[:, :2]).T)
    now = median(away / diameters_of(predicted.areas_px[rows]))
    before = predicted.surprise_diameters or now
    return before + SURPRISE_SHARE * number / (number + SURPRISE_LINKS) * (now - before)


def persistence_of(state: TrackerState, most: float) -> float:
    """What share of its speed a cell keeps from one frame to the next: 0 to `most`.

    Steps regressed on the speeds before them. It falls with the time between frames, since cells turn: the speed of
    half an hour ago says nothing.
    """
    if not state.speed_squares:
        return most
    return min(max(state.speed_products / state.speed_squares, 0.0), most)


def persisting(
    before: TrackerState, predicted: TrackerState, rows: Int64Array, places_px: Float64Array, sequence: int
) -> tuple[float, float]:
    """The new `speed_products` and `speed_squares`. rows: the tracks seen at places_px (n, 2).

    Steps are those on the stage: what it moved is in the prediction.
    """
    steady = _steady(before, rows, sequence)
    rows = rows[steady]
    products, squares = SPEED_MEMORY * before.speed_products, SPEED_MEMORY * before.speed_squares
    if not len(rows):
        return products, squares
    diameters = diameters_of(before.areas_px[rows])[:, None]
    speeds = before.motion.take(rows, axis=0)[:, 2:].astype(np.float64) / diameters
    moved = predicted.motion.take(rows, axis=0)
    # Where it was expected less its faded speed is where it was, on the stage as it lies now.
    steps = (places_px[steady] - (moved[:, :2] - moved[:, 2:])) / diameters
    return products + float((steps * speeds).sum()), squares + float(np.square(speeds).sum())


def _steady(state: TrackerState, rows: Int64Array, sequence: int) -> NDArray[np.bool_]:
    """(n,) which of these tracks have a speed, and were seen in the frame before this one."""
    return np.asarray((state.hits[rows] > 1) & (state.last_sequences[rows] == sequence - 1))
