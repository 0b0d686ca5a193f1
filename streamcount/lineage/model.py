"""A run as a table of tracks, and of the sightings that they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import SourceError
from streamcount.types import Float32Array, Int64Array

Birth: TypeAlias = Literal["at-start", "entered", "appeared", "divided"]
Fate: TypeAlias = Literal["divided", "died", "left", "lost", "ended", "at-end"]

BIRTHS: tuple[Birth, ...] = ("at-start", "entered", "appeared", "divided")
FATES: tuple[Fate, ...] = ("divided", "died", "left", "lost", "ended", "at-end")


@dataclass(frozen=True)
class Track:
    """One confirmed cell from its first to its last sighting.

    parent_id: its mother's id, 0 for none. daughter_ids: ascending, empty unless it divided.
    generation: divisions between it and its first known ancestor.
    first_sequence, last_sequence: frames of its first and last sighting, and first_seen_ns, last_seen_ns their times.
    birth: "divided" (a daughter), "at-start" (in the run's first frame), "entered" (over the border), "appeared".
    fate: "divided", "died", "left", "lost", "ended" (the source does not say how), "at-end" (still followed when the
    run ended). fate_sequence: the frame of it: first one with the daughters, of the death, of the last sighting else.
    reason: of a death, as its event tells it; "" otherwise.
    class_name: of most of its sightings. sightings: how many are known.
    """

    track_id: int
    parent_id: int
    generation: int
    daughter_ids: tuple[int, ...]
    first_sequence: int
    last_sequence: int
    first_seen_ns: int
    last_seen_ns: int
    birth: Birth
    fate: Fate
    fate_sequence: int
    reason: str
    class_name: str
    sightings: int


@dataclass(frozen=True)
class Points:
    """P sightings in ascending order of track and frame, one of each track in a frame at most.

    track_ids, sequences, times_ns: (P,) int64. centroids_px: (P, 2) float32 (y, x). areas_px: (P,) float32, NaN where
    it is not known. class_ids: (P,) int64 into `Lineage.class_names`, -1 where it is not known. rows: (P,) int64, the
    sighting has the value row + 1 in the frame's label image, -1 where that is not known.
    """

    track_ids: Int64Array
    sequences: Int64Array
    times_ns: Int64Array
    centroids_px: Float32Array
    areas_px: Float32Array
    class_ids: Int64Array
    rows: Int64Array

    def __len__(self) -> int:
        return len(self.track_ids)

    def of(self, track_id: int) -> slice:
        """Where the track's sightings lie."""
        first, end = np.searchsorted(self.track_ids, [track_id, track_id + 1]).tolist()
        return slice(first, end)

    def taken(self, rows: Int64Array | NDArray[np.bool_] | slice) -> Points:
        """Those of these rows only."""
        return Points(
            self.track_ids[rows], self.sequences[rows], self.times_ns[rows], self.centroids_px[rows],
            self.areas_px[rows], self.class_ids[rows], self.rows[rows],
        )  # fmt: skip


def no_points() -> Points:
    """Nothing was seen."""
    none = np.empty(0, np.int64)
    return Points(none, none, none, np.empty((0, 2), np.float32), np.empty(0, np.float32), none, none)


def joined(blocks: Sequence[Points]) -> Points:
    """All of them, in order; of repeated sightings the first."""
    if not blocks:
        return no_points()
    names = list(Points.__dataclass_fields__)
    everything = Points(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names))
    keys = np.stack([everything.track_ids, everything.sequences], axis=1)
    _, rows = np.unique(keys, axis=0, return_index=True)
    return everything.taken(rows)


@dataclass(frozen=True)
class Shown:
    """A frame of the run. source, index: file and frame in it as results name them, "" from topics.

    mask: its label image where there is one, see `Points.rows`."""

    sequence: int
    time_ns: int
    source: str = ""
    index: int = 0
    mask: Path | None = None


@dataclass(frozen=True)
class Divisions:
    """How many divisions were told of, by the last word on each."""

    confirmed: int = 0
    retracted: int = 0
    undecided: int = 0


@dataclass(frozen=True)
class Lineage:
    """A run. tracks: ascending by id. frames: ascending by sequence; those never counted are not among them.

    image_shape: (height, width) of the frames in pixels, None where the source does not tell.
    has_times: whether times are of the source, and not merely counted. unreadable: records that were passed over.
    """

    name: str
    tracks: tuple[Track, ...]
    points: Points
    class_names: tuple[str, ...]
    frames: tuple[Shown, ...]
    divisions: Divisions = field(default_factory=Divisions)
    image_shape: tuple[int, int] | None = None
    has_times: bool = True
    unreadable: int = 0

    def track(self, track_id: int) -> Track:
        """The track of this id. Raises SourceError where the run has none."""
        for track in self.tracks:
            if track.track_id == track_id:
                return track
        known = f"ids go from {self.tracks[0].track_id} to {self.tracks[-1].track_id}" if self.tracks else ""
        raise SourceError(f"{self.name}: there is no confirmed cell {track_id}; {known or 'it has no cells'}")

    def only(self, track_ids: Sequence[int]) -> Lineage:
        """The same run with these tracks only."""
        chosen = frozenset(track_ids)
        rows = np.isin(self.points.track_ids, np.array(sorted(chosen), np.int64))
        kept = tuple(track for track in self.tracks if track.track_id in chosen)
        return replace(self, tracks=kept, points=self.points.taken(rows))


@dataclass(frozen=True)
class Family:
    """A first ancestor with all that came of it. tracks: mothers before daughters, a daughter's line before her
    sister's. generations: how many there are, 1 where nobody divided."""

    root: Track
    tracks: tuple[Track, ...]
    generations: int

    def __len__(self) -> int:
        return len(self.tracks)

    @property
    def track_ids(self) -> list[int]:
        """Ids of all of them."""
        return [track.track_id for track in self.tracks]


def families(lineage: Lineage) -> list[Family]:
    """All families, by the root's id."""
    by_id = {track.track_id: track for track in lineage.tracks}
    roots = [track for track in lineage.tracks if track.parent_id not in by_id]
    found = []
    for root in roots:
        members = tuple(_descend(root, by_id))
        depth = 1 + max(track.generation for track in members) - root.generation
        found.append(Family(root, members, depth))
    return found


def family_of(lineage: Lineage, track_id: int) -> Family:
    """The family that the cell belongs to. Raises SourceError where the run has no such cell."""
    lineage.track(track_id)
    return next(family for family in families(lineage) if track_id in family.track_ids)


def _descend(root: Track, by_id: dict[int, Track]) -> Iterator[Track]:
    # Without recursion: a family that divides for weeks may be deeper than Python's stack.
    waiting = [root]
    while waiting:
        track = waiting.pop()
        yield track
        waiting.extend(by_id[one] for one in reversed(track.daughter_ids) if one in by_id)
