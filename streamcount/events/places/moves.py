"""From tracks to events about zones and lines: a pure function of this frame's tracks and of what was told before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcount.events.memory import NO_CLASS, CellMemory, aligned, with_classes
from streamcount.events.places.geometry import BoolArray
from streamcount.events.places.layout import Place, PlacesMap
from streamcount.events.places.memory import (
    PlacesMemory,
    aligned_places,
    empty_places,
    kept_places,
)
from streamcount.events.scene import Scene
from streamcount.types import (
    Int64Array,
    LineCrossed,
    ModelIdentity,
    Tracks,
    TrackStatus,
    ZoneEntered,
    ZoneLeft,
)
from streamcount.types.tracks import rows_of

PlaceStory: TypeAlias = ZoneEntered | ZoneLeft | LineCrossed
Rows: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class CellsAround:
    """What was remembered of the cells before the frame, and after it: in and out of `cell_events`."""

    before: CellMemory
    after: CellMemory


def place_events(
    memory: PlacesMemory,
    tracks: Tracks,
    cells: CellsAround,
    model: ModelIdentity,
    places: PlacesMap,
    found: BoolArray | None = None,
) -> tuple[PlacesMemory, tuple[PlaceStory, ...], BoolArray]:
    """Who entered and left which zone and crossed which line in this frame, what to remember, and who is inside.

    Only confirmed cells are told of, and what is not seen stays where it was. A cell enters a zone when it is in
    it, and leaves it when it is out by more than the hysteresis, is no longer of the zone's classes, or its track
    ends: then at its last sighting. A line is crossed when the ways from sighting to sighting have led across it, and
    the cell is farther from it than the hysteresis. Events come in the order left, entered, crossed, each by zone or
    line and then by row. Where the memory is of other places, it begins anew and no one is told to have left.

    found: (D, Z), in which zones the frame's detections lie, where that is known already.
    The third value is (N, Z) bool, the cells in each zone, row by row as in `tracks`; a cell out of sight counts
    where it was, one that ended does not.
    """
    zones, lines = len(places.zones), len(places.lines)
    if memory.fingerprint != places.fingerprint:
        memory = empty_places(places.fingerprint, zones, lines)
    if not zones and not lines:
        return memory, (), np.zeros((len(tracks), 0), np.bool_)
    there = _there(tracks, places, found)
    scene = _Frame(tracks, cells, model, places, aligned_places(memory, tracks.track_ids), there)
    events = [*_zone_events(scene), *_line_events(scene)]
    copy = scene.memory
    rows = np.flatnonzero(copy.inside.any(axis=1) | copy.crossed.any(axis=1))
    return kept_places(copy, rows), tuple(events), copy.inside


@dataclass(frozen=True)
class _Frame:
    """What the makers of the events need. `memory` has a row for each track, and is written to.

    there: (N, Z) in which zones the cells are that are seen.
    """

    tracks: Tracks
    cells: CellsAround
    model: ModelIdentity
    places: PlacesMap
    memory: PlacesMemory
    there: BoolArray

    @cached_property
    def seen(self) -> BoolArray:
        """(N,) the cells that may move."""
        return self.tracks.seen

    @cached_property
    def ended(self) -> BoolArray:
        """(N,) the tracks that are over with this frame."""
        return np.asarray(self.tracks.status == TrackStatus.ENDED)

    def told_classes(self, rows: Rows) -> Int64Array:
        """(n,) the class last told of these cells; the tracker's where none was."""
        told = self.tracks.class_ids[rows]
        for cells in (self.cells.before, self.cells.after):
            cells = with_classes(cells, self.model.class_names)
            places, known = rows_of(cells.track_ids, self.tracks.track_ids[rows])
            classes = cells.told_classes[places[known]]
            told[np.flatnonzero(known)[classes != NO_CLASS]] = classes[classes != NO_CLASS]
        return told

    def classes_of(self, rows: Rows) -> dict[int, int]:
        """The same by row."""
        return dict(zip(rows.tolist(), self.told_classes(rows).tolist(), strict=True)) if len(rows) else {}

    @cached_property
    def scene(self) -> Scene:
        """Who says the fields of events about cells as this frame shows them."""
        return Scene(self.tracks, self.cells.after, self.model)

    @cached_property
    def last_scene(self) -> Scene:
        """The same of cells that ended, as they were last seen: these must be looked up."""
        before = with_classes(self.cells.before, self.model.class_names)
        return Scene(self.tracks, aligned(before, self.tracks.track_ids)[0], self.model)

    def wanted(self, place: Place, rows: Rows) -> BoolArray:
        """(n,) whether these cells are of a class that the place is for."""
        if not place.classes:
            return np.ones(len(rows), np.bool_)
        return np.asarray(place.wanted(self.model.class_names)[self.told_classes(rows)])


def _there(tracks: Tracks, places: PlacesMap, found: BoolArray | None) -> BoolArray:
    if found is None:
        return places.zones_of(tracks.centroids_px, tracks.boxes_px)
    # A track that is seen is where its detection is; the last row is what -1 looks up.
    return np.concatenate([found, np.zeros((1, found.shape[1]), np.bool_)])[tracks.detection_rows]


def _zone_events(frame: _Frame) -> list[PlaceStory]:
    if not frame.places.zones:
        return []
    tracks, memory, places = frame.tracks, frame.memory, frame.places
    now_ns = tracks.metadata.acquired_at_ns
    there = frame.there
    leaving, entering = np.zeros_like(there), there & ~memory.inside & frame.seen[:, None]
    out = memory.inside & ~there & frame.seen[:, None]
    rows, columns = np.nonzero(out)
    if len(rows):
        points = places.points_of(columns, tracks.centroids_px[rows], tracks.boxes_px[rows])
        leaving[rows, columns] = places.zone_outlines.passed(columns, points, tracks.areas_px[rows])
    for column, zone in enumerate(places.zones):
        if zone.classes:
            wanted = frame.wanted(zone, np.arange(len(tracks)))
            entering[:, column] &= wanted
            leaving[:, column] |= memory.inside[:, column] & ~wanted & frame.seen
    leaving |= memory.inside & frame.ended[:, None]
    told = frame.classes_of(np.flatnonzero((leaving | entering).any(axis=1)))
    events: list[PlaceStory] = [
        _left(frame, row, column, told[row]) for column, row in np.argwhere(leaving.T).tolist()
    ]
    for column, row in np.argwhere(entering.T).tolist():
        said = frame.scene.said(row, told[row])
        events.append(ZoneEntered(zone=places.zones[column].name, **said))
    memory.inside[leaving], memory.since_ns[leaving] = False, 0
    memory.inside[entering], memory.since_ns[entering] = True, now_ns
    return events


def _left(frame: _Frame, row: int, column: int, class_id: int) -> ZoneLeft:
    over = bool(frame.ended[row])
    said = frame.last_scene.said(row, class_id, last=True) if over else frame.scene.said(row, class_id)
    dwell_ns = said["happened_at_ns"] - int(frame.memory.since_ns[row, column])
    # A camera's clock may have been put back in between.
    return ZoneLeft(zone=frame.places.zones[column].name, dwell_ns=max(0, dwell_ns), **said)


def _line_events(frame: _Frame) -> list[PlaceStory]:
    if not frame.places.lines:
        return []
    tracks, crossed, before = frame.tracks, frame.memory.crossed, frame.cells.before
    at, known = rows_of(before.track_ids, tracks.track_ids)
    moved = np.flatnonzero(frame.seen & known)
    # The last sighting of cells that were told of; of those that are told of now, the first.
    befores, afters = before.centroids_px[at[moved]], tracks.centroids_px[moved]
    net = crossed[moved] + frame.places.crossings(befores, afters)
    crossed[moved] = np.clip(net, -127, 127)
    places, columns = np.nonzero(net)
    rows = moved[places]
    points = tracks.centroids_px[rows].astype(np.float64)
    away = frame.places.line_outlines.passed(columns, points, tracks.areas_px[rows])
    rows, columns = rows[away], columns[away]
    events: list[PlaceStory] = []
    for column in np.unique(columns).tolist():
        line, mine = frame.places.lines[column], rows[columns == column]
        for row, class_id in frame.classes_of(mine[frame.wanted(line, mine)]).items():
            forward = crossed[row, column] > 0
            said = frame.scene.said(row, class_id)
            events.append(LineCrossed(line=line.name, direction="forward" if forward else "backward", **said))
    crossed[rows, columns] = 0
    crossed[frame.ended] = 0
    return events
