"""In how many frames of a window each cell was seen, and was dead, dividing or abnormal: what intervals rest on."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types import Int64Array, Tracks, TrackStatus
from streamcount.types.tracks import rows_of
from streamcount.windows.seen import Seen
from streamcount.windows.state import Layout, OpenWindow, WindowsState, roles_of


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
    # All windows at once, (W, 1 + R, P, N): they are of one layout, and each frame moves them all.
    before = np.stack([window.sightings for window in windows])
    after = np.zeros((*before.shape[:3], tracks), np.int32)
    after[..., places] = before.take(stay, axis=3)
    gone = before.take(over, axis=3)
    # Most tracks that end were never trusted, and so never sighted.
    if gone.any():
        windows = _with_lives(windows, gone, over_classes)
    return tuple(
        msgspec.structs.replace(window, sightings=sightings)
        for window, sightings in zip(windows, after, strict=True)
    )


def _with_lives(
    windows: tuple[OpenWindow, ...], sightings: NDArray[np.int32], classes: Int64Array
) -> tuple[OpenWindow, ...]:
    """The windows with these sightings (W, 1 + R, P, N) summed up."""
    rows = sightings.astype(np.float64)
    seen, roles = rows[:, 0], rows[:, 1:]
    of_class = (classes[:, None] == np.arange(windows[0].lives.shape[2])).astype(np.float64)
    lives = np.stack([seen, seen * seen, seen > 0], axis=1) @ of_class
    role_lives = np.stack([roles, roles * roles, roles * seen[:, None]], axis=1).sum(axis=-1)
    return tuple(
        msgspec.structs.replace(window, lives=window.lives + every, role_lives=window.role_lives + of_roles)
        for window, every, of_roles in zip(windows, lives, role_lives, strict=True)
    )


def folded(window: OpenWindow, classes: Int64Array) -> OpenWindow:
    """The window with all sightings summed up: no more of its frames will come."""
    if not window.sightings.any():
        return window
    (window,) = _with_lives((window,), window.sightings[None], classes)
    return msgspec.structs.replace(window, sightings=np.zeros_like(window.sightings))


def sighted(state: WindowsState, layout: Layout, seen: Seen) -> NDArray[np.int32]:
    """(1 + R, P, N) what a frame adds to a window's sightings, whose columns are the state's tracks.

    Cells that are trusted and were seen count, by the class that this frame shows.
    """
    tracks, around, roles = seen.tracks, seen.surroundings, roles_of(layout.model)
    rows = np.flatnonzero(tracks.seen)
    columns = np.searchsorted(state.track_ids, tracks.track_ids[rows])
    added = np.zeros((1 + len(roles), len(layout.places), len(state.track_ids)), np.int32)
    added[0, 0, columns] = 1
    if around is not None:
        added[0, 1:, columns] = around.tracks[rows]
    classes = seen.detections.class_ids[tracks.detection_rows[rows]]
    for plane, members in zip(added[1:], roles.values(), strict=True):
        plane[:, columns] = added[0][:, columns] * members[classes]
    return added
