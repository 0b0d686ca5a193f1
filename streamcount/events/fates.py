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
# How far a cell can be before it is missed, in steps as long as its last ones.
STEPS = 2.0
# A cell that moves farther than this between two looks, in its own diameters, may have outrun its link.
OUTRUN_DIAMETERS = 0.5


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
    # Cut cells that go otherwise, part of them gone already, may have left as well; so may whole ones that are so
    # fast that they are past the edge in a step or two.
    doubtful = at_edge & (tracks.relative_areas[rows] < WHOLE_SHARE)
    steps_px = STEPS * np.hypot(*tracks.velocities_px[rows].T)
    fast = steps_px > config.border_margin_px
    beyond = last_boxes_px[rows] + steps_px[:, None] * np.array([-1.0, -1.0, 1.0, 1.0])
    doubtful |= fast & touched_edges(beyond.astype(np.float32), tracks.image_shape, 0.0).any(axis=1)
    sight = _Sight(tracks, config)
    return [
        LEFT if gone_out else LOST if doubt else sight.end(int(row), box, small)
        for row, box, gone_out, doubt, small in zip(rows, boxes, left, doubtful, shrunk, strict=True)
    ]


class _Sight:
    """The tracks in sight, by height in the image, so that each end looks at its surroundings only."""

    def __init__(self, tracks: Tracks, config: EventsConfig) -> None:
        self._tracks, self._config = tracks, config
        there = (tracks.detection_rows >= 0) & (tracks.status != TrackStatus.ENDED)
        rows = np.flatnonzero(there)
        self._rows = rows[np.argsort(tracks.centroids_px[rows, 0], kind="stable")]
        self._heights = tracks.centroids_px[self._rows, 0]
        self._largest_px = float(np.sqrt(tracks.areas_px[rows].max(initial=0.0) / np.pi))
        followed = np.isin(tracks.previous_status, (TrackStatus.CONFIRMED, TrackStatus.LOST))
        unseen = tracks.detection_rows[followed] < 0
        self._picture_fails = len(unseen) > FEW and float(unseen.mean()) > MANY_UNSEEN

    def end(self, row: int, box: NDArray[np.float64], shrunk: bool) -> Fate:
        """What became of a track that ends in view, last seen in `box`."""
        tracks, middle = self._tracks, (box[:2] + box[2:]) / 2
        reach_px = max(box[2] - box[0], box[3] - box[1]) / 2
        far_px = max(reach_px, self._largest_px)
        near = self._rows[slice(*np.searchsorted(self._heights, (middle[0] - far_px, middle[0] + far_px)))]
        away_px = np.hypot(*(tracks.centroids_px[near] - middle).T)
        areas = tracks.areas_px[near]
        # What came into sight only after the cell was gone, in its place.
        later = (tracks.first_sequences[near] > tracks.last_sequences[row]) & (away_px < reach_px)
        pieces = later & (areas < PIECE_SHARE * tracks.areas_px[row])
        if pieces.sum() >= FEWEST_PIECES:
            return "fragmented"
        if (later & ~pieces).any() or self._may_outrun(row):
            return LOST  # It may be the same cell, not recognised.
        if shrunk:
            return "shrank"
        if self._picture_fails or (away_px < HIDDEN_RADII * np.sqrt(areas / np.pi)).any():
            return LOST
        return "vanished" if self._was_clear(row) else LOST

    def _may_outrun(self, row: int) -> bool:
        """A small end or a sudden one of so fast a cell may be another cell, taken for it."""
        diameter_px = 2 * np.sqrt(self._tracks.areas_px[row] / np.pi)
        return bool(np.hypot(*self._tracks.velocities_px[row]) > OUTRUN_DIAMETERS * diameter_px)

    def _was_clear(self, row: int) -> bool:
        tracks, enough = self._tracks, self._config.vanished_sightings
        looks = int(tracks.last_sequences[row] - tracks.first_sequences[row]) + 1
        sightings = int(tracks.sightings[row])
        clear = looks - sightings <= 1 + MISSED_SHARE * looks
        return bool(enough and sightings >= enough and clear)
