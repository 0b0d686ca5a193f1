"""Where things lie in pictures, before anything is drawn: trees side by side, and the axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.lineage.choices import Axis
from streamcount.lineage.model import Family, Lineage, Track

# Between the last line of a family and the first of the next one, in distances of lines.
BETWEEN = 0.7
_SECOND_NS = 1e9
# Up to how many seconds a unit of time is used, and how long it is.
_UNITS = (
    (180.0, "s", 1.0),
    (180 * 60.0, "min", 60.0),
    (72 * 3600.0, "h", 3600.0),
    (np.inf, "days", 86_400.0),
)


@dataclass(frozen=True)
class Place:
    """A track's line: x, in distances of lines; its daughters', with the frame in which they are first there."""

    track: Track
    x: float
    fork: int | None = None
    daughters_x: tuple[float, ...] = ()
    from_fork: int | None = None


def lay_out(families: Sequence[Family]) -> list[Place]:
    """The lines of all families, side by side: cells without daughters at whole distances, mothers amid theirs."""
    places: list[Place] = []
    next_x = 0.0
    for family in families:
        x: dict[int, float] = {}
        members = {track.track_id: track for track in family.tracks}
        forks = {track.track_id: _fork(track, members) for track in family.tracks}
        leaves = [track.track_id for track in family.tracks if forks[track.track_id] is None]
        for track_id in leaves:
            x[track_id] = next_x
            next_x += 1
        # Daughters come after their mothers in the family, so that backwards theirs are known first.
        for track in reversed(family.tracks):
            if forks[track.track_id] is not None:
                x[track.track_id] = float(np.mean([x[one] for one in track.daughter_ids if one in x]))
        for track in family.tracks:
            daughters = tuple(x[one] for one in track.daughter_ids if one in x)
            begin = forks.get(track.parent_id)
            places.append(Place(track, x[track.track_id], forks[track.track_id], daughters, begin))
        next_x += BETWEEN
    return places


def _fork(track: Track, members: dict[int, Track]) -> int | None:
    begins = [members[one].first_sequence for one in track.daughter_ids if one in members]
    return min(begins) if begins else None


class Clock:
    """From frames to the axis of time, counted from the run's first frame."""

    def __init__(self, lineage: Lineage, axis: Axis) -> None:
        frames = lineage.frames
        begins = [track.first_sequence for track in lineage.tracks]
        ends = [track.last_sequence for track in lineage.tracks]
        self.first = min([frames[0].sequence] if frames else begins, default=0)
        self.last = max([frames[-1].sequence] if frames else ends, default=self.first)
        self._sequences = np.array([shown.sequence for shown in frames], np.float64)
        times_s = np.array([shown.time_ns for shown in frames], np.float64) / _SECOND_NS
        self.label = "frame"
        self._times = self._sequences
        if axis is Axis.time and lineage.has_times and len(frames) > 1 and times_s[-1] > times_s[0]:
            span_s = times_s[-1] - times_s[0]
            unit, seconds = next((name, length) for most, name, length in _UNITS if span_s <= most)
            self.label = f"time, {unit}"
            self._times = (times_s - times_s[0]) / seconds

    def __call__(self, sequences: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Places on the axis; between frames that were counted, in proportion."""
        wanted = np.asarray(sequences, np.float64)
        if self.label == "frame":
            return wanted
        return np.interp(wanted, self._sequences, self._times)


def spans(sequences: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of frames without a hole, first and last of each; sequences (P,) ascending."""
    if not len(sequences):
        return []
    breaks = np.flatnonzero(np.diff(sequences) > 1)
    firsts = sequences[np.concatenate([[0], breaks + 1])]
    lasts = sequences[np.concatenate([breaks, [len(sequences) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
