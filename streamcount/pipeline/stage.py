"""How far the stage moved since the last frame, as the judge of pictures is told it."""

from __future__ import annotations

import numpy as np

from streamcount.statistics import median, medians
from streamcount.tracking import TrackerState
from streamcount.tracking.drift import FEWEST_CELLS, common_shift
from streamcount.tracking.gating import diameters_of
from streamcount.types import Detections, Tracks, TrackStatus
from streamcount.types.tracks import rows_of

# Where fewer of the cells were found again, some of those that were may be others.
FOLLOWED_SHARE = 0.8
# Those of them that are others differ by more than so many diameters in where they went.
SCATTERED = 0.2
# So many cells tell a far shift as well as all of them, in a fraction of the time.
ENOUGH_FAR = 100
# What cells have in common is the stage's where it is so many times what they differ by.
STANDS_OUT = 2.0


def stage_shift(before: TrackerState, tracks: Tracks, detections: Detections) -> tuple[float, float] | None:
    """(y, x) in diameters of a usual cell, since the last frame seen; None where there are too few cells to say.

    before: the tracker's state after that frame. It is the median displacement of the cells, where it stands out from
    what they differ by: cells that wander each for itself have none. Where many of them were not found again it is
    the displacement by which most of them lie on cells again, up to half of the picture, if there is one.
    """
    trusted = np.flatnonzero(before.status == TrackStatus.CONFIRMED)
    if len(trusted) < FEWEST_CELLS:
        return None
    usual_px = median(diameters_of(before.areas_px[trusted]))
    rows, known = rows_of(tracks.track_ids, before.track_ids[trusted])
    known[known] &= tracks.detection_rows[rows[known]] >= 0
    places_px = before.motion[trusted, :2].astype(np.float64)
    moved_px = tracks.centroids_px[rows[known]] - places_px[known]
    shift_px = medians(moved_px) if len(moved_px) else np.zeros(2)
    apart_px = median(np.hypot(*(moved_px - shift_px).T)) if len(moved_px) else np.inf
    if len(moved_px) < FOLLOWED_SHARE * len(trusted) and apart_px > SCATTERED * usual_px:
        some_px = places_px[:: -(-len(places_px) // ENOUGH_FAR)]
        found_px = detections.centroids_px.astype(np.float64)
        far_px = common_shift(some_px, found_px, usual_px, detections.image_shape)
        if far_px.any():
            shift_px, apart_px = far_px, 0.0
    if np.hypot(*shift_px) < STANDS_OUT * apart_px:
        return 0.0, 0.0
    return float(shift_px[0]) / usual_px, float(shift_px[1]) / usual_px
