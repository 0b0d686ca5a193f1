"""A cell's family from a store, which has what was told of cells and not where they were."""

from __future__ import annotations

from dataclasses import replace

from streamcount.lineage.build import LineageBuilder
from streamcount.lineage.model import Lineage, Shown, Track
from streamcount.sinks.store import questions
from streamcount.sinks.store.questions import Store
from streamcount.types import CellAppeared
from streamcount.wire import decode_event


def read_stored(store: Store, camera: str, track_id: int, run: str | None = None) -> Lineage:
    """The whole family of a cell, from its first known ancestor on, without sightings.

    run: the last one of the camera if None. A cell of whose end nothing was told is there up to the last frame that
    was counted, since an end is always told. Raises SinkError where the store knows no such camera, run or cell.
    """
    run = run or questions.last_run(store, camera)
    line = questions.lineage(store, camera, track_id, run)
    mothers = {int(row[0]): int(row[1] or 0) for row in line.rows}
    root = track_id
    while mothers.get(root):
        root = mothers[root]
    builder = LineageBuilder(f"{camera} {run}")
    for sequence, time_ns in questions.counted_ends(store, camera, run):
        builder.frame(Shown(sequence, time_ns))
    appeared = set()
    for (text,) in questions.family_events(store, camera, root, run).rows:
        event = decode_event(str(text).encode())
        builder.event(event)
        if isinstance(event, CellAppeared):
            appeared.add(event.track_id)
        builder.frame(Shown(event.sequence, event.happened_at_ns))
    built = builder.build()
    family = questions.lineage(store, camera, root, run)
    column = family.columns.index("birth_sequence")
    births = {int(row[0]): row[column] for row in family.rows if row[0] not in appeared}
    end = built.frames[-1] if built.frames else None
    return replace(built, tracks=tuple(_bounded(track, births, end) for track in built.tracks))


def _bounded(track: Track, births: dict[int, int | None], end: Shown | None) -> Track:
    birth = births.get(track.track_id)
    # Of daughters no event tells that they appeared.
    if birth is not None:
        track = replace(track, first_sequence=int(birth))
    if track.fate == "divided":
        track = replace(track, last_sequence=track.fate_sequence - 1)
    elif track.fate == "at-end" and end is not None:
        track = replace(
            track, last_sequence=end.sequence, fate_sequence=end.sequence, last_seen_ns=end.time_ns
        )
    return replace(track, last_sequence=max(track.first_sequence, track.last_sequence))
