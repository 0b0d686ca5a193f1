"""Tracks: cells with an identity that persists from frame to frame."""

from __future__ import annotations

from enum import IntEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types.detections import Float32Array, Int64Array
from streamcount.types.frame import FrameMetadata


class TrackStatus(IntEnum):
    """Where a track is in its life: seen too seldom to trust, trusted, out of sight, over."""

    TENTATIVE = 0
    CONFIRMED = 1
    LOST = 2
    ENDED = 3


class Tracks(msgspec.Struct, frozen=True, eq=False):
    """N tracks after one frame, those that end with it included.

    metadata: the frame's.
    image_shape: (height, width) of the frame, pixels.
    track_ids: (N,) int64, unique in the camera's run, from 1.
    parent_ids: (N,) int64, the mother's track id, 0 for none.
    centroids_px: (N, 2) float32 (y, x); predicted where the track was not seen.
    velocities_px: (N, 2) float32, motion in pixels per frame.
    boxes_px: (N, 4) float32, half-open (y0, x0, y1, x1).
    class_ids: (N,) int64, the class with the largest mean probability over the track's life.
    status, previous_status: (N,) uint8 of TrackStatus, after this frame and before it.
    detection_rows: (N,) int64, the detection's row in this frame, -1 where the track was not seen.
    first_sequences, last_sequences: (N,) int64, the frames in which the track was first and last seen.
    first_seen_ns, last_seen_ns: (N,) int64, when these frames were acquired.
    """

    metadata: FrameMetadata
    image_shape: tuple[int, int]
    track_ids: Int64Array
    parent_ids: Int64Array
    centroids_px: Float32Array
    velocities_px: Float32Array
    boxes_px: Float32Array
    class_ids: Int64Array
    status: NDArray[np.uint8]
    previous_status: NDArray[np.uint8]
    detection_rows: Int64Array
    first_sequences: Int64Array
    last_sequences: Int64Array
    first_seen_ns: Int64Array
    last_seen_ns: Int64Array

    def __len__(self) -> int:
        return len(self.track_ids)
