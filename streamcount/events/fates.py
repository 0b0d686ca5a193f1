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
from streamcount.types.ranges import each_in

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
# How far a cell can be before it is missed, in steps as long as its last ones: it may be past the edge then.
STEPS = 2.0
# Where so many of them are more than its diameter, it may have outrun its link, and its end be that of another, taken
# for it.
OUTRUN_STEPS = 1.3


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
    told: list[Fate] = [LEFT if out else LOST for out in left]
    inside = np.flatnonzero(~left & ~doubtful)
    if len(inside):
        outran = OUTRUN_STEPS / STEPS * steps_px > 2 * np.sqrt(tracks.areas_px[rows] / np.pi)
        ends = _in_view(tracks, rows[inside], boxes[inside], shrunk[inside], outran[inside], config)
        for place, fate in zip(inside.tolist(), ends, strict=True):
            told[place] = fate
    return told


def _in_view(
    tracks: Tracks,
    rows: NDArray[np.intp],
    boxes: NDArray[np.float64],
    shrunk: NDArray[np.bool_],
    outran: NDArray[np.bool_],
    config: EventsConfig,
) -> list[Fate]:
    """What became of n tracks that end in view, last seen in `boxes` (n, 4). shrunk, outran: (n,)."""
    there = np.flatnonzero((tracks.detection_rows >= 0) & (tracks.status != TrackStatus.ENDED))
    middles, reaches_px = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1) / 2
    largest_px = float(np.sqrt(tracks.areas_px[there].max(initial=0.0) / np.pi))
    ends, near = _near(middles[:, 0], np.maximum(reaches_px, largest_px), tracks.centroids_px[there, 0])
    near = there[near]
    away_px = np.hypot(*(tracks.centroids_px[near] - middles[ends]).T)
    areas = tracks.areas_px[near]
    # What came into sight only after the cell was gone, in its place.
    later = (tracks.first_sequences[near] > tracks.last_sequences[rows[ends]]) & (away_px < reaches_px[ends])
    pieces = later & (areas < PIECE_SHARE * tracks.areas_px[rows[ends]])
    fragmented = _numbers(ends[pieces], len(rows)) >= FEWEST_PIECES
    # It may be the same cell, not recognised.
    unsure = (_numbers(ends[later & ~pieces], len(rows)) > 0) | outran
    hidden = _numbers(ends[away_px < HIDDEN_RADII * np.sqrt(areas / np.pi)], len(rows)) > 0
    vanished = _was_clear(tracks, rows, config) & ~hidden & (not _picture_fails(tracks))
    return [
        "fragmented" if broken else LOST if doubt else "shrank" if small else "vanished" if gone else LOST
        for broken, doubt, small, gone in zip(fragmented, unsure, shrunk, vanished, strict=True)
    ]


def _near(
    heights_px: NDArray[np.float64], reaches_px: NDArray[np.float64], others_px: NDArray[np.floating]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of an end and one of the others that is within its reach in height."""
    order = np.argsort(others_px)
    heights = others_px[order]
    firsts = np.searchsorted(heights, heights_px - reaches_px)
    each = np.searchsorted(heights, heights_px + reaches_px) - firsts
    ends, places = each_in(firsts, each)
    return ends, order[places]


def _numbers(ends: NDArray[np.intp], number: int) -> NDArray[np.intp]:
    """(number,) how often each of them is among `ends`."""
    return np.bincount(ends, minlength=number)


def _picture_fails(tracks: Tracks) -> bool:
    followed = (tracks.previous_status == TrackStatus.CONFIRMED) | (
        tracks.previous_status == TrackStatus.LOST
    )
    unseen = tracks.detection_rows[followed] < 0
    return len(unseen) > FEW and float(unseen.mean()) > MANY_UNSEEN


def _was_clear(tracks: Tracks, rows: NDArray[np.intp], config: EventsConfig) -> NDArray[np.bool_]:
    """(n,) whether they were in clear sight for long enough that being gone says something."""
    enough = config.vanished_sightings
    if not enough:
        return np.zeros(len(rows), np.bool_)
    looks = tracks.last_sequences[rows] - tracks.first_sequences[rows] + 1
    sightings = tracks.sightings[rows]
    return np.asarray((sightings >= enough) & (looks - sightings <= 1 + MISSED_SHARE * looks))
