"""Why a track is over: the cell left over the edge, died in view, or was lost.

Death is told where the picture shows it: the cell shrank far below its largest size, small pieces lie where it was,
or a cell that was in clear sight all its life is gone from one frame to the next and nothing is there that could hide
it or be it. All else is lost. Shrinking and falling into pieces are the classical signs of apoptosis (Kerr, Wyllie
and Currie, British Journal of Cancer 26, 239, 1972).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcount.events.borders import moves_out, outside, touched_edges
from streamcount.events.config import EventsConfig
from streamcount.types import Float32Array, Tracks, TrackStatus

Fate: TypeAlias = Literal["left", "lost", "shrank", "fragmented", "vanished"]
LEFT: Fate = "left"
LOST: Fate = "lost"

# A piece is smaller than this share of the cell, and there are at least so many.
PIECE_SHARE, FEWEST_PIECES = 0.4, 2
# A record is clear if the cell was missed once, and in one look of ten beyond.
MISSED_SHARE = 0.1
# Where more of the cells than this are out of sight, it is the picture that fails.
MANY_UNSEEN, FEW = 0.2, 10
# What is nearer than this to another's centre, in that one's radii, is under it.
HIDDEN_RADII = 0.6
# A cell at the edge that is nearly as large as ever has not begun to leave.
WHOLE_SHARE = 0.8


def fates(
    tracks: Tracks, last_boxes_px: Float32Array, rows: NDArray[np.intp], config: EventsConfig
) -> list[Fate]:
    """What became of the tracks in `rows`. last_boxes_px: (N, 4), where each of the N tracks was last seen."""
    boxes = last_boxes_px[rows].astype(np.float64)
    touched = touched_edges(last_boxes_px[rows], tracks.image_shape, config.border_margin_px)
    at_edge = np.asarray(touched.any(axis=1))
    shrunk = tracks.relative_areas[rows] < config.shrunk_share
    left: NDArray[np.bool_] = outside(tracks.centroids_px[rows], tracks.image_shape) | moves_out(
        last_boxes_px[rows],
        tracks.velocities_px[rows],
        tracks.image_shape,
        config.border_margin_px,
        config.outward_diameters,
    )
    # What the edge cuts gets smaller because it goes out, though its centroid hardly moves.
    left |= at_edge & shrunk
    # Cut cells that go otherwise, part of them gone already, may have left as well.
    doubtful = at_edge & (tracks.relative_areas[rows] < WHOLE_SHARE)
    return [
        LEFT if gone_out else LOST if doubt else _end_in_view(tracks, int(row), box, small, config)
        for row, box, gone_out, doubt, small in zip(rows, boxes, left, doubtful, shrunk, strict=True)
    ]


def _end_in_view(
    tracks: Tracks, row: int, box: NDArray[np.float64], shrunk: bool, config: EventsConfig
) -> Fate:
    others = (tracks.detection_rows >= 0) & (tracks.status != TrackStatus.ENDED)
    others[row] = False
    away_px = np.hypot(*(tracks.centroids_px - (box[:2] + box[2:]) / 2).T)
    # What came into sight only after the cell was gone, in its place.
    later = others & (tracks.first_sequences > tracks.last_sequences[row])
    later &= away_px < max(box[2] - box[0], box[3] - box[1]) / 2
    pieces = later & (tracks.areas_px < PIECE_SHARE * tracks.areas_px[row])
    if pieces.sum() >= FEWEST_PIECES:
        return "fragmented"
    if (later & ~pieces).any():
        return LOST  # It may be the same cell, not recognised.
    if shrunk:
        return "shrank"
    followed = np.isin(tracks.previous_status, (TrackStatus.CONFIRMED, TrackStatus.LOST))
    if (tracks.detection_rows[followed] < 0).mean() > MANY_UNSEEN and followed.sum() > FEW:
        return LOST
    if (others & (away_px < HIDDEN_RADII * np.sqrt(tracks.areas_px / np.pi))).any():
        return LOST
    looks = int(tracks.last_sequences[row] - tracks.first_sequences[row]) + 1
    sightings, enough = int(tracks.sightings[row]), config.vanished_sightings
    clear = looks - sightings <= 1 + MISSED_SHARE * looks
    return "vanished" if enough and sightings >= enough and clear else LOST
