"""A run from the records of the topics `events` and `tracks`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamcount.config import Settings
from streamcount.errors import FrameError, SourceError
from streamcount.lineage.build import LineageBuilder
from streamcount.lineage.model import Lineage, Points, Shown
from streamcount.service.reading import read_topic
from streamcount.types import Tracks, TrackStatus
from streamcount.wire import decode_event, decode_tracks
from streamcount.wire.records import TracksRecord

CLIENT = "streamcount-lineage"
# How many records were passed, and of how many.
Tick = Callable[[int, int], None]


def read_run(
    settings: Settings, camera: str, run_id: str | None = None, tick: Tick = lambda done, total: None
) -> Lineage:
    """A camera's run as the topics `events` and `tracks` hold it now; its last one unless `run_id` names one.

    tick: told of both topics, one after the other. Raises SourceError where there is no such camera or run,
    BrokerError where Kafka cannot be read.
    """
    builders, last = _read_events(settings, camera, tick)
    chosen = last if run_id is None else run_id
    if chosen not in builders:
        known = ", ".join(sorted(builders))
        raise SourceError(f"{camera}: there is no event of run {chosen}; the topics hold {known}")
    builder = builders[chosen]
    # Far cheaper than decoding each record of the other runs.
    mark = chosen.encode()
    for record in read_topic(settings, settings.topics.name("tracks"), client_id=CLIENT, tick=tick):
        if record.key == camera.encode() and mark in (record.value or b""):
            try:
                told = decode_tracks(record.value)
            except FrameError:
                # As another version wrote it.
                builder.unreadable += 1
                continue
            if told.tracks.metadata.run_id == chosen:
                take_tracks(builder, told)
    return builder.build()


def _read_events(settings: Settings, camera: str, tick: Tick) -> tuple[dict[str, LineageBuilder], str]:
    """The camera's runs, events told, and the one that was told of last."""
    builders: dict[str, LineageBuilder] = {}
    last, last_ns = "", -1
    others: set[str] = set()
    unreadable = 0
    for record in read_topic(settings, settings.topics.name("events"), client_id=CLIENT, tick=tick):
        if record.key != camera.encode():
            others.add((record.key or b"?").decode("utf-8", "replace"))
            continue
        try:
            event = decode_event(record.value or b"")
        except FrameError:
            unreadable += 1
            continue
        builder = builders.setdefault(event.run_id, LineageBuilder(f"{camera} {event.run_id}"))
        builder.event(event)
        if event.decided_at_ns >= last_ns:
            last, last_ns = event.run_id, event.decided_at_ns
    if not builders:
        known = f"there are events of {', '.join(sorted(others))}" if others else "there are no events at all"
        raise SourceError(f"{camera}: no event of this camera on {settings.topics.name('events')}; {known}")
    for builder in builders.values():
        builder.unreadable = unreadable
    return builders, last


def take_tracks(builder: LineageBuilder, record: TracksRecord) -> None:
    """Add a frame's tracks: all sightings, also those before a track is confirmed.

    A mother is believed where her daughter's track is confirmed. Areas are the tracker's smoothed ones.
    """
    tracks = record.tracks
    meta = tracks.metadata
    builder.frame(Shown(meta.sequence, meta.acquired_at_ns))
    builder.image_shape = tracks.image_shape
    for row in np.flatnonzero(tracks.status == TrackStatus.CONFIRMED).tolist():
        builder.confirm(int(tracks.track_ids[row]), int(tracks.parent_ids[row]), int(tracks.generations[row]))
    builder.sight(
        _points(tracks, np.array([builder.class_id(name) for name in record.class_names], np.int64))
    )


def _points(tracks: Tracks, numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Points:
    rows = np.flatnonzero(tracks.detection_rows >= 0)
    return Points(
        track_ids=tracks.track_ids[rows],
        sequences=np.full(len(rows), tracks.metadata.sequence, np.int64),
        times_ns=np.full(len(rows), tracks.metadata.acquired_at_ns, np.int64),
        centroids_px=tracks.centroids_px[rows],
        areas_px=tracks.areas_px[rows],
        class_ids=numbers[tracks.class_ids[rows]],
        rows=tracks.detection_rows[rows],
    )
