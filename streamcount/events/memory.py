"""What the events about cells remember between two frames."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.events.population import Population, empty_population
from streamcount.types import Float32Array, Int64Array, Tracks
from streamcount.types.tracks import rows_of

NO_CLASS = -1
# What is kept of boxes and looks lies on a grid, so that it can be stored in half the bytes: eighths of a pixel, as
# whole pixels do, and parts of 2048.
PER_PIXEL, PER_LOOK = 8, 2048


class CellMemory(msgspec.Struct, frozen=True, eq=False):
    """N living tracks, in ascending order of id.

    class_names: what the class ids stand for.
    track_ids: (N,) int64.
    told_classes: (N,) int32, the class last told of the cell, -1 for none.
    other_classes, other_frames: (N,) int32, another class seen lately, and for how many sightings in a row.
    abnormal_told, alive_told, dead_told: (N,) bool, whether the cell was told to be of an abnormal class, of a
        living one, of a dead one, ever.
    centroids_px (N, 2), boxes_px (N, 4): float32, the first sighting of a cell that was not told of yet (its
        appearance is told of there), the last sighting of any other (its going is told of there); boxes in eighths of
        a pixel.
    looks: (N, 4) float32 in parts of 2048, means over the last whole sightings of the logarithms of area and
        slenderness, of the intensity, and of the certainty of the told class; NaN for what was not measured.
    sighted_frames, looked_frames: (N,) int32, sightings of the whole cell, and those of them in which it lay apart
        from others, so that its size, shape and intensity were looked at.
    out_frames: (N, 4) uint8, sightings in a row that were unusual in size, shape and intensity, or unsure.
    unlike_told: (N, 4) bool, which of these were told of the cell.
    population: what is usual among the camera's cells.
    """

    class_names: tuple[str, ...]
    track_ids: Int64Array
    told_classes: NDArray[np.int32]
    other_classes: NDArray[np.int32]
    other_frames: NDArray[np.int32]
    abnormal_told: NDArray[np.bool_]
    alive_told: NDArray[np.bool_]
    dead_told: NDArray[np.bool_]
    centroids_px: Float32Array
    boxes_px: Float32Array
    looks: Float32Array
    sighted_frames: NDArray[np.int32]
    looked_frames: NDArray[np.int32]
    out_frames: NDArray[np.uint8]
    unlike_told: NDArray[np.bool_]
    population: Population

    def __len__(self) -> int:
        return len(self.track_ids)


PER_CELL = tuple(
    name for name in CellMemory.__struct_fields__ if name not in ("class_names", "track_ids", "population")
)
_DEFAULTS = {"told_classes": NO_CLASS, "other_classes": NO_CLASS}


def empty_memory() -> CellMemory:
    """Before the first frame."""
    return CellMemory(
        class_names=(),
        track_ids=np.empty(0, np.int64),
        told_classes=np.empty(0, np.int32),
        other_classes=np.empty(0, np.int32),
        other_frames=np.empty(0, np.int32),
        abnormal_told=np.empty(0, np.bool_),
        alive_told=np.empty(0, np.bool_),
        dead_told=np.empty(0, np.bool_),
        centroids_px=np.empty((0, 2), np.float32),
        boxes_px=np.empty((0, 4), np.float32),
        looks=np.empty((0, 4), np.float32),
        sighted_frames=np.empty(0, np.int32),
        looked_frames=np.empty(0, np.int32),
        out_frames=np.empty((0, 4), np.uint8),
        unlike_told=np.empty((0, 4), np.bool_),
        population=empty_population(),
    )


def with_classes(memory: CellMemory, class_names: tuple[str, ...]) -> CellMemory:
    """The same memory under another model's classes; a class that it does not know by name is forgotten.

    What was usual is forgotten too: another model draws other outlines.
    """
    if class_names == memory.class_names:
        return memory
    numbers = [class_names.index(name) if name in class_names else NO_CLASS for name in memory.class_names]
    # The last entry is what -1 looks up.
    translation = np.array([*numbers, NO_CLASS], np.int32)
    return msgspec.structs.replace(
        memory,
        class_names=class_names,
        told_classes=translation[memory.told_classes],
        other_classes=np.full(len(memory), NO_CLASS, np.int32),
        other_frames=np.zeros(len(memory), np.int32),
        sighted_frames=np.zeros(len(memory), np.int32),
        looked_frames=np.zeros(len(memory), np.int32),
        out_frames=np.zeros_like(memory.out_frames),
        population=empty_population(),
    )


def aligned(memory: CellMemory, track_ids: Int64Array) -> tuple[CellMemory, NDArray[np.bool_]]:
    """The memory with one writable row for each of `track_ids`, and which of them it knew."""
    old = len(memory)
    if np.array_equal(memory.track_ids, track_ids[:old]):
        # The usual case: new tracks have the highest ids.
        new = len(track_ids) - old
        grown = {name: _grown(name, getattr(memory, name), new) for name in PER_CELL}
        return msgspec.structs.replace(memory, track_ids=track_ids, **grown), np.arange(len(track_ids)) < old
    places, known = rows_of(memory.track_ids, track_ids)
    arrays = {}
    for name in PER_CELL:
        before = getattr(memory, name)
        arrays[name] = _grown(name, before[:0], len(track_ids))
        arrays[name][known] = before[places[known]]
    return msgspec.structs.replace(memory, track_ids=track_ids, **arrays), known


def _grown(name: str, array: NDArray[Any], more: int) -> NDArray[Any]:
    """A copy with so many rows more, of cells of which nothing is known."""
    grown = np.empty((len(array) + more, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    grown[len(array) :] = _DEFAULTS.get(name, 0)
    return grown


def keep_places(memory: CellMemory, tracks: Tracks, rows: NDArray[np.intp]) -> None:
    """Writes where these tracks are into the memory, which has the same rows."""
    # Exact: the way across a line goes from where the last one ended.
    memory.centroids_px[rows] = tracks.centroids_px.take(rows, axis=0)
    memory.boxes_px[rows] = _on_grid(tracks.boxes_px.take(rows, axis=0), PER_PIXEL)


def settle_looks(memory: CellMemory) -> None:
    """Rounds the looks as they are kept, in place."""
    memory.looks[:] = _on_grid(memory.looks, PER_LOOK)


def _on_grid(values: Float32Array, steps: int) -> Float32Array:
    # Steps are powers of two, so that nothing but the rounding changes a value.
    return np.asarray(np.rint(values * np.float32(steps)) / np.float32(steps), np.float32)


def kept(memory: CellMemory, rows: NDArray[np.intp]) -> CellMemory:
    """The memory of these rows only, in ascending order of id."""
    if len(rows) == len(memory) and (memory.track_ids[1:] > memory.track_ids[:-1]).all():
        return memory
    rows = rows[np.argsort(memory.track_ids[rows], kind="stable")]
    arrays = {name: getattr(memory, name).take(rows, axis=0) for name in PER_CELL}
    return msgspec.structs.replace(memory, track_ids=memory.track_ids[rows], **arrays)
