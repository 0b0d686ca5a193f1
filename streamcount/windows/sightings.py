"""In how many frames of a window each cell was seen: what the interval of a mean count rests on."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types import Int64Array, Tracks, TrackStatus
from streamcount.types.tracks import rows_of
from streamcount.windows.state import OpenWindow, WindowsState


def aligned(state: WindowsState, tracks: Tracks) -> WindowsState:
    """The state with a column for each track that is not over; those that are over are summed up."""
    going_on = tracks.status != TrackStatus.ENDED
    ids, classes = tracks.track_ids[going_on], tracks.class_ids[going_on]
    if len(ids) and not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        ids, classes = ids[order], classes[order]
    if np.array_equal(ids, state.track_ids):
        return msgspec.structs.replace(state, track_classes=classes)
    places, there = rows_of(ids, state.track_ids)
    stay, over = np.flatnonzero(there), np.flatnonzero(~there)
    # Of the old columns those that stay, where they go, and those that are over.
    columns = stay, places[stay], over
    windows = _moved(state.windows, state.track_classes[over], columns, len(ids)) if state.windows else ()
    return msgspec.structs.replace(state, track_ids=ids, track_classes=classes, windows=windows)


def _moved(
    windows: tuple[OpenWindow, ...],
    over_classes: Int64Array,
    columns: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    tracks: int,
) -> tuple[OpenWindow, ...]:
    stay, places, over = columns
    # All windows at once, (W, P, N): they are of one layout, and each frame moves them all.
    before = np.stack([window.sightings for window in windows])
    after = np.zeros((*before.shape[:2], tracks), np.int32)
    after[:, :, places] = before.take(stay, axis=2)
    lives = [window.lives for window in windows]
    if len(over):
        added = _summed(before.take(over, axis=2), over_classes, lives[0].shape[2])
        lives = [old + added[:, row] for row, old in enumerate(lives)]
    return tuple(
        msgspec.structs.replace(window, sightings=sightings, lives=summed)
        for window, sightings, summed in zip(windows, after, lives, strict=True)
    )


def _summed(sightings: NDArray[np.int32], classes: Int64Array, number: int) -> NDArray[np.float64]:
    """(3, ..., C) sightings, their squares and the tracks seen at all, of (..., N) sightings."""
    rows = sightings.astype(np.float64)
    of_class = (classes[:, None] == np.arange(number)).astype(np.float64)
    return np.asarray(np.stack([rows, rows * rows, rows > 0]) @ of_class)


def folded(window: OpenWindow, classes: Int64Array) -> OpenWindow:
    """The window with all sightings summed up: no more of its frames will come."""
    if not window.sightings.any():
        return window
    lives = window.lives + _summed(window.sightings, classes, window.lives.shape[2])
    return msgspec.structs.replace(window, lives=lives, sightings=np.zeros_like(window.sightings))


def sighted(
    track_ids: Int64Array, tracks: Tracks, in_zones: NDArray[np.bool_] | None, places: int
) -> NDArray[np.int32]:
    """(P, N) what a frame adds to a window's sightings, whose columns are `track_ids`.

    Cells that are trusted and were seen count.
    in_zones: (M, Z), which tracks lie in which zone; None where there are no zones.
    """
    rows = np.flatnonzero(tracks.seen)
    columns = np.searchsorted(track_ids, tracks.track_ids[rows])
    added = np.zeros((places, len(track_ids)), np.int32)
    added[0, columns] = 1
    if in_zones is not None:
        added[1:, columns] = in_zones[rows].T
    return added
