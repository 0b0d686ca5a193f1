"""What zones and lines remember between two frames."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types import Int64Array
from streamcount.types.tracks import rows_of


class PlacesMemory(msgspec.Struct, frozen=True, eq=False):
    """N tracks of which there is something to remember, in ascending order of id; Z zones, L lines.

    fingerprint: of the places that it is about; under others it says nothing.
    track_ids: (N,) int64.
    inside: (N, Z) bool, whether the cell was told to be in the zone. since_ns: (N, Z) int64, when it was told to have
        entered; 0 where it is not in.
    crossed: (N, L) int8, how the cell has crossed the line since it was last well away from it: 1 forward, -1
        backward, 0 not, or forth and back.
    """

    fingerprint: str
    track_ids: Int64Array
    inside: NDArray[np.bool_]
    since_ns: Int64Array
    crossed: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.track_ids)


def empty_places(fingerprint: str = "", zones: int = 0, lines: int = 0) -> PlacesMemory:
    """Nothing is in a zone or near a line."""
    return PlacesMemory(
        fingerprint=fingerprint,
        track_ids=np.empty(0, np.int64),
        inside=np.empty((0, zones), np.bool_),
        since_ns=np.empty((0, zones), np.int64),
        crossed=np.empty((0, lines), np.int8),
    )


def aligned_places(memory: PlacesMemory, track_ids: Int64Array) -> PlacesMemory:
    """The memory with one writable row for each of `track_ids`, ascending or not."""
    rows, known = rows_of(memory.track_ids, track_ids)
    arrays = {}
    for name in ("inside", "since_ns", "crossed"):
        old = getattr(memory, name)
        new = np.zeros((len(track_ids), old.shape[1]), old.dtype)
        new[known] = old[rows[known]]
        arrays[name] = new
    return PlacesMemory(fingerprint=memory.fingerprint, track_ids=track_ids, **arrays)


def kept_places(memory: PlacesMemory, rows: NDArray[np.intp]) -> PlacesMemory:
    """The memory of these rows only, in ascending order of id."""
    rows = rows[np.argsort(memory.track_ids[rows], kind="stable")]
    return PlacesMemory(
        fingerprint=memory.fingerprint,
        track_ids=memory.track_ids[rows],
        inside=memory.inside[rows],
        since_ns=memory.since_ns[rows],
        crossed=memory.crossed[rows],
    )
