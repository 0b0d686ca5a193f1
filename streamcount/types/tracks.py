"""Tracks: cells with an identity that persists from frame to frame."""

from __future__ import annotations

from enum import IntEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types.detections import Float32Array, Int64Array
from streamcount.types.frame import FrameMetadata


class TrackStatus(IntEnum):
    """Where a track is in its life: seen too seldom to trust, trusted, out of sight, over, or, as it seems, two.

    A dividing track waits until both daughters can be trusted, and ends then, or goes on if one of them was none.
    """

    TENTATIVE = 0
    CONFIRMED = 1
    LOST = 2
    ENDED = 3
    DIVIDING = 4


class Stage(IntEnum):
    """What is known of a division."""

    PROVISIONAL = 0
    CONFIRMED = 1
    RETRACTED = 2


class Divisions(msgspec.Struct, frozen=True, eq=False):
    """D divisions of which this frame told something new, in ascending order of the mother's id.

    mother_ids: (D,) int64. daughter_ids: (D, 2) int64, ascending. stages: (D,) uint8 of Stage.
    """

    mother_ids: Int64Array
    daughter_ids: Int64Array
    stages: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.mother_ids)


def no_divisions() -> Divisions:
    """Nothing new."""
    return Divisions(np.empty(0, np.int64), np.empty((0, 2), np.int64), np.empty(0, np.uint8))


class Tracks(msgspec.Struct, frozen=True, eq=False):
    """N tracks after one frame, those that end with it included.

    metadata: the frame's.
    image_shape: (height, width) of the frame, pixels.
    track_ids: (N,) int64, unique in the camera's run, from 1.
    parent_ids: (N,) int64, the mother's track id, 0 for none; of a tentative track it is not certain.
    generations: (N,) int32, divisions known between this track and its first ancestor.
    centroids_px: (N, 2) float32 (y, x); predicted where the track was not seen.
    velocities_px: (N, 2) float32, motion in pixels per frame.
    boxes_px: (N, 4) float32, half-open (y0, x0, y1, x1).
    class_ids: (N,) int64, the class with the largest mean probability over the track's life.
    status, previous_status: (N,) uint8 of TrackStatus, after this frame and before it.
    detection_rows: (N,) int64, the detection's row in this frame, -1 where the track was not seen.
    sightings: (N,) int32, frames in which the track was seen.
    first_sequences, last_sequences: (N,) int64, the frames in which the track was first and last seen.
    first_seen_ns, last_seen_ns: (N,) int64, when these frames were acquired.
    areas_px: (N,) float32, smoothed area. relative_areas: (N,) float32, the same over its largest in the track's
    life, at most 1.
    divisions: those that this frame started, confirmed or retracted. All tracks that they name are among the N.
    """

    metadata: FrameMetadata
    image_shape: tuple[int, int]
    track_ids: Int64Array
    parent_ids: Int64Array
    generations: NDArray[np.int32]
    centroids_px: Float32Array
    velocities_px: Float32Array
    boxes_px: Float32Array
    class_ids: Int64Array
    status: NDArray[np.uint8]
    previous_status: NDArray[np.uint8]
    detection_rows: Int64Array
    sightings: NDArray[np.int32]
    first_sequences: Int64Array
    last_sequences: Int64Array
    first_seen_ns: Int64Array
    last_seen_ns: Int64Array
    areas_px: Float32Array
    relative_areas: Float32Array
    divisions: Divisions = msgspec.field(default_factory=no_divisions)

    def __len__(self) -> int:
        return len(self.track_ids)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) which are trusted and were found in this frame."""
        return np.asarray((self.status == TrackStatus.CONFIRMED) & (self.detection_rows >= 0))


def rows_of(known_ids: Int64Array, wanted_ids: Int64Array) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """(M,) the row of each wanted id among the known ones, ascending, and whether it is there at all."""
    rows = np.searchsorted(known_ids, wanted_ids)
    there = np.zeros(len(wanted_ids), np.bool_)
    valid = rows < len(known_ids)
    there[valid] = known_ids[rows[valid]] == wanted_ids[valid]
    return rows, there
