"""One cell's life: its sizes, its family, what was kept of it; made of events and tracks when somebody asks."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
import numpy as np

from streamcount.config import Settings
from streamcount.errors import SourceError
from streamcount.lineage.choices import Axis
from streamcount.lineage.model import Lineage, family_of
from streamcount.service.dashboard.history import History, Told
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.past import MS, Past
from streamcount.sinks.store.questions import Answer
from streamcount.types import AnyEvent, CellAbnormal, CellEvent

# A page asks for sizes, family, tree and snapshots one after the other: one reading serves them.
KEPT_LIVES, FRESH_S = 4, 10.0
SIZES = ("camera", "run", "track_id", "sequence", "happened_at_ns", "area_px", "area_um2", "y_px", "x_px")


class FamilyCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of a family. birth, fate: as in docs/lineage.md. Times are ms since 1970 UTC, 0 where not known."""

    track_id: int
    parent_id: int
    generation: int
    birth: str
    fate: str
    first_ms: int
    last_ms: int
    class_name: str


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The cell's first known ancestor and all that came of it, mothers before daughters."""

    root: int
    generations: int
    members: list[FamilyCell]


class Lives:
    """Reads what is known of a cell: events from the store, else from Kafka; tracks from Kafka. Safe for threads.

    Methods raise SourceError where the run has no such confirmed cell, BrokerError where Kafka cannot be read.
    """

    def __init__(self, settings: Settings, model: LiveModel, history: History, past: Past) -> None:
        self._settings = settings
        self._model = model
        self._history = history
        self._past = past
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, int], tuple[float, list[AnyEvent], Lineage]] = OrderedDict()

    def events(self, camera_id: str, run_id: str, track_id: int) -> list[AnyEvent]:
        """Events of the cell and its family; from Kafka, those of the whole run."""
        return self._read(camera_id, run_id, track_id)[0]

    def sizes(self, camera_id: str, run_id: str, track_id: int) -> Told:
        """A row a sighting, with the area as the tracker smooths it, in pixels and, where it is known how large they
        are, in µm²."""
        lineage = self._read(camera_id, run_id, track_id)[1]
        lineage.track(track_id)
        points = lineage.points.taken(lineage.points.of(track_id))
        pixel_um2 = self._pixel_um2(camera_id)
        areas = points.areas_px.astype(np.float64).round(1).tolist()
        places = points.centroids_px.astype(np.float64).round(2).tolist()
        rows = [
            (
                camera_id,
                run_id,
                track_id,
                sequence,
                at_ns,
                area,
                pixel_um2 and round(area * pixel_um2, 3),
                y,
                x,
            )
            for sequence, at_ns, area, (y, x) in zip(
                points.sequences.tolist(), points.times_ns.tolist(), areas, places, strict=True
            )
        ]
        return Told("kafka", Answer(SIZES, tuple(rows)))

    def family(self, camera_id: str, run_id: str, track_id: int) -> Family:
        """All that are known of its family."""
        found = family_of(self._read(camera_id, run_id, track_id)[1], track_id)
        members = [
            FamilyCell(
                track_id=one.track_id,
                parent_id=one.parent_id,
                generation=one.generation,
                birth=one.birth,
                fate=one.fate,
                first_ms=one.first_seen_ns // MS,
                last_ms=one.last_seen_ns // MS,
                class_name=one.class_name,
            )
            for one in found.tracks
        ]
        return Family(root=found.root.track_id, generations=found.generations, members=members)

    def snapshots(self, camera_id: str, run_id: str, track_id: int) -> list[tuple[CellAbnormal, bool]]:
        """What was found abnormal of it, and whether a picture of that is kept; names alone are no pictures."""
        found = snapshots_of(self.events(camera_id, run_id, track_id), track_id)
        return [(one, self._past.snapshot(one) is not None) for one in found]

    def tree(self, camera_id: str, run_id: str, track_id: int) -> bytes:
        """The family's tree as SVG. Raises ConfigurationError without matplotlib."""
        from streamcount.lineage.tree import tree_svg

        lineage = self._read(camera_id, run_id, track_id)[1]
        return tree_svg(lineage, [family_of(lineage, track_id)], Axis.time)

    def _read(self, camera_id: str, run_id: str, track_id: int) -> tuple[list[AnyEvent], Lineage]:
        key, now_s = (camera_id, run_id, track_id), time.monotonic()
        # One reading at a time: whoever asks for the same meanwhile waits for it, and has it then.
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and now_s - kept[0] < FRESH_S:
                return kept[1], kept[2]
            events = self._history.family_events(camera_id, run_id, track_id)
            if events is None:
                events = self._past.cell_events(camera_id, run_id)
            born_ns = _first_ns(events, track_id)
            if born_ns is None:
                raise SourceError(f"{camera_id}: no event of run {run_id} tells of a cell {track_id}")
            lineage = self._past.lineage(camera_id, run_id, events, born_ns // MS)
            self._kept[key] = (now_s, events, lineage)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_LIVES:
                self._kept.popitem(last=False)
            return events, lineage

    def _pixel_um2(self, camera_id: str) -> float | None:
        settings = self._settings.cameras.get(camera_id)
        size_um = settings.pixel_size_um if settings else None
        if size_um is None:
            size_um = self._model.look(
                camera_id, lambda one: one.pictures[-1].pixel_size_um if one.pictures else None
            )
        return None if size_um is None else size_um * size_um


def snapshots_of(events: Sequence[AnyEvent], track_id: int) -> list[CellAbnormal]:
    """The findings of a cell that have a name for a picture, by time, each once."""
    found = {
        one.snapshot: one
        for one in events
        if isinstance(one, CellAbnormal) and one.track_id == track_id and one.snapshot
    }
    return sorted(found.values(), key=lambda one: (one.happened_at_ns, one.snapshot))


def _first_ns(events: Sequence[AnyEvent], track_id: int) -> int | None:
    """When the family of a cell is first told of."""
    times = [
        one.happened_at_ns
        for one in events
        if isinstance(one, CellEvent)
        and (one.track_id == track_id or track_id in getattr(one, "daughter_ids", ()))
    ]
    return min(times, default=None)
