"""From frames, sightings and events, in any order and repeated or not, to a table of tracks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamcount.lineage.model import (
    Birth,
    Divisions,
    Fate,
    Lineage,
    Points,
    Shown,
    Track,
    joined,
)
from streamcount.types import (
    AnyEvent,
    CellAppeared,
    CellDied,
    CellDivided,
    CellEvent,
    CellLeft,
    CellLost,
    Int64Array,
)

# The last word on an event counts, also where a crash repeats an earlier one after it.
_WEIGHT = {"provisional": 0, "confirmed": 1, "retracted": 1}


@dataclass
class _Told:
    """What events and sightings tell of one cell. times: when a frame that an event names was acquired."""

    parent_id: int = 0
    generation: int = 0
    appeared: CellAppeared | None = None
    ends: dict[Fate, CellEvent] = field(default_factory=dict)
    class_name: str = ""
    times: dict[int, int] = field(default_factory=dict)


class LineageBuilder:
    """Collects a run. Sightings of ids that are never confirmed, by an event or by `confirm`, are left out."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._events: dict[str, CellEvent] = {}
        self._frames: dict[int, Shown] = {}
        self._blocks: list[Points] = []
        self._confirmed: set[int] = set()
        self._parents: dict[int, int] = {}
        self._generations: dict[int, int] = {}
        self._class_ids: dict[str, int] = {}
        self.image_shape: tuple[int, int] | None = None
        self.unreadable = 0

    def frame(self, shown: Shown) -> None:
        """A frame that was counted; of repeated ones the first stays."""
        self._frames.setdefault(shown.sequence, shown)

    def class_id(self, name: str) -> int:
        """The number of a class, the next free one for a new name."""
        return self._class_ids.setdefault(name, len(self._class_ids))

    def sight(self, points: Points) -> None:
        """Sightings, in any order; their class ids are of `class_id`."""
        if len(points):
            self._blocks.append(points)

    def confirm(self, track_id: int, parent_id: int = 0, generation: int = 0) -> None:
        """The track can be trusted, and so can its mother."""
        self._confirmed.add(track_id)
        if parent_id:
            self._parents[track_id] = parent_id
        if generation:
            self._generations[track_id] = generation

    def event(self, event: AnyEvent) -> None:
        """An event; those that are about no cell say nothing here."""
        if not isinstance(event, CellEvent):
            return
        known = self._events.get(event.event_id)
        if known is None or _rank(event) >= _rank(known):
            self._events[event.event_id] = event

    def build(self) -> Lineage:
        """The table."""
        told, divisions = self._told()
        daughters = _daughters(told)
        points = self._points(frozenset(told))
        frames = tuple(self._frames[sequence] for sequence in sorted(self._frames))
        generations = _generations(told)
        # Of the frames that were counted: events may name earlier ones, whose frames a topic no longer holds.
        first = frames[0].sequence if frames else 0
        tracks = []
        for track_id in sorted(told):
            one = _Life(told[track_id], points.taken(points.of(track_id)), daughters.get(track_id, ()), first)
            tracks.append(one.track(track_id, generations[track_id], tuple(self._class_ids)))
        return Lineage(
            self._name, tuple(tracks), points, tuple(self._class_ids), frames, divisions, self.image_shape,
            unreadable=self.unreadable,
        )  # fmt: skip

    def _told(self) -> tuple[dict[int, _Told], Divisions]:
        told: dict[int, _Told] = {track_id: _Told() for track_id in self._confirmed}
        stages: Counter[str] = Counter()
        refused: set[int] = set()
        born: dict[int, int] = {}
        for event in sorted(self._events.values(), key=lambda one: one.decided_at_ns):
            if isinstance(event, CellDivided):
                stages[event.certainty] += 1
                if event.certainty == "confirmed":
                    born.update(dict.fromkeys(event.daughter_ids, event.track_id))
                else:
                    refused.update(event.daughter_ids)
            if event.certainty == "confirmed":
                _note(told.setdefault(event.track_id, _Told()), event)
        for track_id in born:
            told.setdefault(track_id, _Told())
        for track_id, one in told.items():
            said = self._parents.get(track_id) or one.parent_id
            # Whoever is a daughter of an undecided or retracted division alone is nobody's daughter.
            one.parent_id = born.get(track_id, 0 if track_id in refused else said)
            one.generation = max(one.generation, self._generations.get(track_id, 0))
            if one.parent_id not in told:
                one.parent_id = 0
        return told, Divisions(stages["confirmed"], stages["retracted"], stages["provisional"])

    def _points(self, confirmed: frozenset[int]) -> Points:
        points = joined(self._blocks)
        return points.taken(np.isin(points.track_ids, np.array(sorted(confirmed), np.int64)))


@dataclass(frozen=True)
class _Life:
    """All that is known of one cell. points: its own. first: the run's first frame."""

    told: _Told
    points: Points
    daughters: tuple[int, ...]
    first: int

    def track(self, track_id: int, generation: int, class_names: tuple[str, ...]) -> Track:
        times = self.told.times | dict(
            zip(self.points.sequences.tolist(), self.points.times_ns.tolist(), strict=True)
        )
        begin, end = self._begin(), self._end()
        fate, fate_sequence, reason = self._fate(end)
        return Track(
            track_id=track_id,
            parent_id=self.told.parent_id,
            generation=generation,
            daughter_ids=self.daughters,
            first_sequence=begin,
            last_sequence=end,
            first_seen_ns=times.get(begin, 0),
            last_seen_ns=times.get(end, 0),
            birth=self._birth(begin),
            fate=fate,
            fate_sequence=fate_sequence,
            reason=reason,
            class_name=_most(self.points.class_ids, class_names) or self.told.class_name,
            sightings=len(self.points),
        )

    def _begin(self) -> int:
        begins: list[int] = self.points.sequences[:1].tolist()
        if self.told.appeared is not None:
            begins.append(self.told.appeared.sequence)
        return min(begins or list(self.told.times) or [0])

    def _end(self) -> int:
        ends: list[int] = [self._begin(), *self.points.sequences[-1:].tolist()]
        # A division is told of the first frame that shows the daughters: its mother is gone then.
        ends += [event.sequence for fate, event in self.told.ends.items() if fate != "divided"]
        return max(ends)

    def _birth(self, begin: int) -> Birth:
        if self.told.parent_id:
            return "divided"
        if begin <= self.first:
            return "at-start"
        return "entered" if self.told.appeared is not None and self.told.appeared.entered else "appeared"

    def _fate(self, end: int) -> tuple[Fate, int, str]:
        """What became of it, in which frame, and why. A cell told dead that is then lost from sight has died."""
        for fate in ("divided", "died", "left", "lost"):
            if (event := self.told.ends.get(fate)) is not None:
                return fate, event.sequence, event.reason if isinstance(event, CellDied) else ""
        if self.daughters:
            return "divided", end + 1, ""
        return "at-end", end, ""


def _note(told: _Told, event: CellEvent) -> None:
    told.parent_id = event.parent_id or told.parent_id
    told.generation = max(told.generation, event.generation)
    told.class_name = event.class_name
    told.times[event.sequence] = event.happened_at_ns
    if isinstance(event, CellAppeared):
        told.appeared = event
    ends: dict[type[Any], Fate] = {
        CellDivided: "divided", CellDied: "died", CellLeft: "left", CellLost: "lost"
    }  # fmt: skip
    if (fate := ends.get(type(event))) is not None:
        # Of two deaths, first by class and then by going, the first is when it died.
        told.ends.setdefault(fate, event)


def _daughters(told: dict[int, _Told]) -> dict[int, tuple[int, ...]]:
    daughters: dict[int, tuple[int, ...]] = {}
    for track_id in sorted(told):
        if parent_id := told[track_id].parent_id:
            daughters[parent_id] = (*daughters.get(parent_id, ()), track_id)
    return daughters


def _rank(event: CellEvent) -> tuple[int, int]:
    return _WEIGHT[event.certainty], event.decided_at_ns


def _generations(told: dict[int, _Told]) -> dict[int, int]:
    """By track: divisions from the first ancestor known; of a first one, what was told of it."""
    found: dict[int, int] = {}
    for track_id in told:
        line = [track_id]
        while line[-1] not in found and told[line[-1]].parent_id and told[line[-1]].parent_id not in line:
            line.append(told[line[-1]].parent_id)
        found.setdefault(line[-1], told[line[-1]].generation)
        for mother, daughter in zip(line[:0:-1], line[-2::-1], strict=True):
            found[daughter] = found[mother] + 1
    return found


def _most(class_ids: Int64Array, names: tuple[str, ...]) -> str:
    """The class of most sightings, the lowest number of equals; "" where none is known."""
    known = class_ids[class_ids >= 0]
    return names[int(np.bincount(known).argmax())] if len(known) else ""
