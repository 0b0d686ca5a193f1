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
    # Columns of the old arrays that stay, and where they go.
    places, stay = rows_of(ids, state.track_ids)
    windows = tuple(
        _moved(window, state.track_classes, stay, places[stay], len(ids)) for window in state.windows
    )
    return msgspec.structs.replace(state, track_ids=ids, track_classes=classes, windows=windows)


def _moved(
    window: OpenWindow, classes: Int64Array, stay: NDArray[np.bool_], places: NDArray[np.intp], tracks: int
) -> OpenWindow:
    sightings = np.zeros((len(window.cells), tracks), np.int32)
    sightings[:, places] = window.sightings[:, stay]
    lives = window.lives
    if not stay.all():
        lives = lives + _summed(window.sightings[:, ~stay], classes[~stay], window.lives.shape[2])
    return msgspec.structs.replace(window, sightings=sightings, lives=lives)


def _summed(sightings: NDArray[np.int32], classes: Int64Array, number: int) -> NDArray[np.float64]:
    """(3, P, C) sightings, their squares and the tracks seen at all, of (P, N) sightings."""
    result = np.zeros((3, len(sightings), number))
    for place, row in enumerate(sightings.astype(np.float64)):
        for kind, weights in enumerate((row, row * row, (row > 0).astype(np.float64))):
            result[kind, place] = np.bincount(classes, weights, number)
    return result


def folded(window: OpenWindow, classes: Int64Array) -> OpenWindow:
    """The window with all sightings summed up: no more of its frames will come."""
    if not window.sightings.any():
        return window
    lives = window.lives + _summed(window.sightings, classes, window.lives.shape[2])
    return msgspec.structs.replace(window, lives=lives, sightings=np.zeros_like(window.sightings))


def with_sightings(
    window: OpenWindow, track_ids: Int64Array, tracks: Tracks, in_zones: NDArray[np.bool_] | None
) -> OpenWindow:
    """The window after a frame, whose columns are `track_ids`. Cells that are trusted and were seen count.

    in_zones: (M, Z), which tracks lie in which zone; None where there are no zones.
    """
    rows = np.flatnonzero(tracks.seen)
    columns = np.searchsorted(track_ids, tracks.track_ids[rows])
    sightings = window.sightings.copy()
    sightings[0, columns] += 1
    if in_zones is not None:
        sightings[1:, columns] += in_zones[rows].T
    return msgspec.structs.replace(window, sightings=sightings)
