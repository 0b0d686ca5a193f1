"""Cells that touch and are found as one: whose track has no detection now, but is under another's.

Such a track is not missed: nobody could have seen it. It waits, so that it is itself again when the two come apart,
and what comes apart is no division.
"""

from __future__ import annotations

import numpy as np

from streamcount.statistics import median
from streamcount.tracking.gating import pairs_within
from streamcount.tracking.motion import Float64Array
from streamcount.tracking.state import TrackerState
from streamcount.types import Detections, Int64Array, TrackStatus

# Two cells found as one have at least this share of both areas; what goes on hiding one is at least this much larger.
SHARE_OF_BOTH, LARGER = 0.75, 1.2


def hidden_tracks(
    predicted: TrackerState, detections: Detections, links: tuple[Int64Array, Int64Array], longest: int
) -> Int64Array:
    """Rows of the tracks that are hidden now, ascending.

    links: rows of tracks and of the detections that they were linked to. longest: frames after which it is over. A
    track that was hidden before is lost without a miss.
    """
    rows, found = links
    free = np.ones(len(predicted), np.bool_)
    free[rows] = False
    was_hidden = (predicted.status == TrackStatus.LOST) & (predicted.misses == 0)
    recent = detections.metadata.sequence - predicted.last_sequences <= longest
    waiting = np.flatnonzero(free & recent & ((predicted.status == TrackStatus.CONFIRMED) | was_hidden))
    if not len(waiting) or not len(rows):
        return np.empty(0, np.int64)
    # Only the large can hide another.
    rows, found = _large(predicted, detections, rows, found)
    if not len(rows):
        return np.empty(0, np.int64)
    areas = detections.areas_px[found].astype(np.float64)
    radii: Float64Array = np.sqrt(areas / np.pi)
    hosts, places, _ = pairs_within(
        detections.centroids_px.take(found, axis=0).astype(np.float64),
        radii,
        predicted.motion.take(waiting, axis=0)[:, :2].astype(np.float64),
    )
    own, others = predicted.areas_px[waiting[places]], predicted.areas_px[rows[hosts]]
    least = np.where(was_hidden[waiting[places]], LARGER * own, SHARE_OF_BOTH * (own + others))
    return np.unique(waiting[places[areas[hosts] >= least]])


def _large(
    predicted: TrackerState, detections: Detections, rows: Int64Array, found: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """The links whose detection is larger than its track was, or than the usual cell."""
    areas = detections.areas_px[found]
    least = np.minimum(predicted.areas_px[rows], np.float32(median(areas)))
    large = areas >= LARGER * least
    return rows[large], found[large]
