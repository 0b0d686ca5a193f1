"""The tables of a store, the same in SQLite and PostgreSQL, and the rows that an event is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from streamcount.types import (
    AlertAcknowledged,
    AlertCleared,
    AlertRaised,
    AnyEvent,
    CellDivided,
    CountsUpdated,
    WindowClosed,
)
from streamcount.types.events import CellEvent
from streamcount.wire.cloudevents import encode_event

# 2: other views over the same tables.
VERSION = 2

Value: TypeAlias = str | int | float | None
Row: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True)
class Table:
    """columns: (name, type), types being "text", "integer" (64 bits) or "real" (64 bits), "?" behind it for nullable.

    by_time: it grows with the frames, and PostgreSQL keeps it in parts by `happened_at_ns`.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    by_time: bool = False

    def insert(self, mark: str) -> str:
        """The statement that adds a row which is not there yet. mark: "?" or "%s"."""
        names = ", ".join(name for name, _ in self.columns)
        marks = ", ".join(mark for _ in self.columns)
        return f"INSERT INTO {self.name} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"


@dataclass(frozen=True)
class Dialect:
    """How a database calls the types. key_has_time: a table in parts has its time in the key."""

    types: dict[str, str]
    key_has_time: bool

    def create(self, table: Table) -> str:
        """The statement that makes the table, without what follows the bracket."""
        columns = [
            f"{name} {self.types[kind.rstrip('?')]}{'' if kind.endswith('?') else ' NOT NULL'}"
            for name, kind in table.columns
        ]
        key = (*table.key, "happened_at_ns") if self.key_has_time and table.by_time else table.key
        columns.append(f"PRIMARY KEY ({', '.join(key)})")
        return f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join(columns)})"


SQLITE = Dialect({"text": "TEXT", "integer": "INTEGER", "real": "REAL"}, False)
POSTGRES = Dialect({"text": "TEXT", "integer": "BIGINT", "real": "DOUBLE PRECISION"}, True)

_WHERE = (("camera", "text"), ("run", "text"), ("sequence", "integer"), ("happened_at_ns", "integer"))

EVENTS = Table(
    "events",
    (
        ("message_id", "text"),
        ("event_id", "text"),
        ("kind", "text"),
        *_WHERE,
        ("decided_at_ns", "integer"),
        ("certainty", "text"),
        ("track_id", "integer?"),
        ("parent_id", "integer?"),
        ("generation", "integer?"),
        ("birth_sequence", "integer?"),
        ("class_name", "text?"),
        ("json", "text"),
    ),
    ("message_id",),
    by_time=True,
)
COUNTS = Table(
    "counts",
    (*_WHERE, ("class_name", "text"), ("cells", "integer")),
    ("camera", "run", "sequence", "class_name"),
    by_time=True,
)
WINDOWS = Table(
    "windows",
    (
        ("message_id", "text"),
        *_WHERE,
        ("decided_at_ns", "integer"),
        ("window_name", "text"),
        ("window_start_ns", "integer"),
        ("window_end_ns", "integer"),
        ("final", "integer"),
        ("complete", "integer"),
        ("reasons", "text"),
        ("frames", "integer"),
        ("frames_missing", "integer"),
        ("frames_flagged", "integer"),
        ("late_events", "integer"),
    ),
    ("message_id",),
)
FIGURES = Table(
    "figures",
    (
        ("message_id", "text"),
        ("happened_at_ns", "integer"),
        ("name", "text"),
        ("zone", "text"),
        ("class_name", "text"),
        ("value", "real"),
        ("low", "real?"),
        ("high", "real?"),
        ("unit", "text"),
    ),
    ("message_id", "name", "zone", "class_name"),
    by_time=True,
)
ALERTS = Table(
    "alerts",
    (
        ("message_id", "text"),
        *_WHERE,
        ("decided_at_ns", "integer"),
        ("kind", "text"),
        ("rule", "text"),
        ("severity", "text"),
        ("reason", "text"),
        ("figure", "text"),
        ("value", "real?"),
        ("limit_value", "real?"),
        ("since_ns", "integer"),
        ("raised_at_ns", "integer"),
    ),
    ("message_id",),
)
DAUGHTERS = Table(
    "daughters",
    (
        ("message_id", "text"),
        *_WHERE,
        ("mother_id", "integer"),
        ("daughter_id", "integer"),
        ("generation", "integer"),
    ),
    ("message_id", "daughter_id"),
)
# `events` is the first, so that the rows it takes are the events that were new.
TABLES = (EVENTS, COUNTS, WINDOWS, FIGURES, ALERTS, DAUGHTERS)

INDEXES = (
    "CREATE INDEX IF NOT EXISTS events_by_id ON events (event_id)",
    "CREATE INDEX IF NOT EXISTS events_by_time ON events (camera, kind, happened_at_ns)",
    "CREATE INDEX IF NOT EXISTS events_by_track ON events (camera, run, track_id)",
    "CREATE INDEX IF NOT EXISTS counts_by_time ON counts (camera, happened_at_ns)",
    "CREATE INDEX IF NOT EXISTS windows_by_time ON windows (camera, window_name, window_start_ns)",
    "CREATE INDEX IF NOT EXISTS alerts_by_rule ON alerts (camera, rule, decided_at_ns)",
    "CREATE INDEX IF NOT EXISTS daughters_by_mother ON daughters (camera, run, mother_id)",
)

VIEWS = {
    # An event told in stages, as it was told last: what is provisional gives way to what was decided.
    "current_events": """
        SELECT e.* FROM events e WHERE e.certainty <> 'provisional' OR NOT EXISTS (
            SELECT 1 FROM events later WHERE later.event_id = e.event_id AND later.certainty <> 'provisional')""",
    # A window as it was told last: what is final, in parts where settings were changed in it; until then the newest.
    "current_windows": """
        SELECT w.* FROM windows w WHERE NOT EXISTS (
            SELECT 1 FROM windows o WHERE o.camera = w.camera AND o.window_name = w.window_name
            AND o.window_start_ns = w.window_start_ns AND o.run = w.run AND w.final = 0 AND (o.final = 1
            OR o.decided_at_ns > w.decided_at_ns
            OR (o.decided_at_ns = w.decided_at_ns AND o.message_id > w.message_id)))""",
    "current_figures": """
        SELECT w.camera, w.run, w.window_name, w.window_start_ns, w.window_end_ns, w.final, w.complete, w.reasons,
            f.name, f.zone, f.class_name, f.value, f.low, f.high, f.unit
        FROM current_windows w JOIN figures f ON f.message_id = w.message_id""",
    # An alert with its end, NULL while it lasts.
    "alert_spans": """
        SELECT r.camera, r.run, r.rule, r.severity, r.reason, r.figure, r.value, r.limit_value, r.since_ns,
            r.decided_at_ns AS raised_at_ns, MIN(c.decided_at_ns) AS cleared_at_ns
        FROM alerts r LEFT JOIN alerts c ON c.kind = 'AlertCleared' AND c.camera = r.camera AND c.rule = r.rule
            AND c.raised_at_ns = r.decided_at_ns
        WHERE r.kind = 'AlertRaised'
        GROUP BY r.message_id, r.camera, r.run, r.rule, r.severity, r.reason, r.figure, r.value, r.limit_value,
            r.since_ns, r.decided_at_ns""",
    # One row a cell that an event speaks of; divisions that were retracted never happened. What died and is lost from
    # sight later has died.
    "cells": """
        SELECT camera, run, track_id, MAX(parent_id) AS parent_id, MAX(generation) AS generation,
            MIN(birth_sequence) AS birth_sequence, MIN(happened_at_ns) AS first_event_ns,
            COALESCE(MAX(CASE WHEN kind = 'CellDivided' THEN kind END),
                MAX(CASE WHEN kind = 'CellDied' THEN kind END),
                MAX(CASE WHEN kind = 'CellLeft' THEN kind END), MAX(CASE WHEN kind = 'CellLost' THEN kind END), '')
                AS fate,
            COALESCE(MAX(CASE WHEN kind = 'CellDivided' THEN sequence END),
                MAX(CASE WHEN kind = 'CellDied' THEN sequence END),
                MAX(CASE WHEN kind = 'CellLeft' THEN sequence END),
                MAX(CASE WHEN kind = 'CellLost' THEN sequence END)) AS fate_sequence
        FROM (
            SELECT camera, run, track_id, parent_id, generation, birth_sequence, happened_at_ns, kind, sequence
            FROM current_events WHERE track_id IS NOT NULL AND certainty <> 'retracted'
            UNION ALL
            SELECT d.camera, d.run, d.daughter_id, d.mother_id, d.generation, d.sequence, d.happened_at_ns, '',
                d.sequence
            FROM daughters d JOIN current_events e ON e.message_id = d.message_id WHERE e.certainty <> 'retracted'
        ) AS told GROUP BY camera, run, track_id""",
}


def rows_of(events: Iterable[AnyEvent]) -> dict[Table, list[Row]]:
    """The rows that the events are, by table."""
    rows: dict[Table, list[Row]] = {table: [] for table in TABLES}
    for event in events:
        message_id = event.message_id
        where = (event.camera_id, event.run_id, event.sequence, event.happened_at_ns)
        rows[EVENTS].append(_event_row(event, message_id, where))
        if isinstance(event, CountsUpdated):
            rows[COUNTS].append((*where, "", event.total))
            rows[COUNTS].extend((*where, name, cells) for name, cells in event.counts.items() if name)
        elif isinstance(event, WindowClosed):
            rows[WINDOWS].append(_window_row(event, message_id, where))
            rows[FIGURES].extend(
                (
                    message_id,
                    event.happened_at_ns,
                    f.name,
                    f.zone,
                    f.class_name,
                    f.value,
                    f.low,
                    f.high,
                    f.unit,
                )
                for f in event.figures
            )
        elif isinstance(event, AlertRaised | AlertCleared | AlertAcknowledged):
            rows[ALERTS].append(_alert_row(event, message_id, where))
        elif isinstance(event, CellDivided):
            rows[DAUGHTERS].extend(
                (message_id, *where, event.track_id, daughter, event.generation + 1)
                for daughter in event.daughter_ids
            )
    return rows


def _event_row(event: AnyEvent, message_id: str, where: Row) -> Row:
    cell: Row = (None,) * 5
    certainty = "confirmed"
    if isinstance(event, CellEvent):
        certainty = event.certainty
        cell = (event.track_id, event.parent_id, event.generation, event.birth_sequence, event.class_name)
    text = encode_event(event).decode()
    return (message_id, event.event_id, event.kind, *where, event.decided_at_ns, certainty, *cell, text)


def _window_row(event: WindowClosed, message_id: str, where: Row) -> Row:
    return (
        message_id,
        *where,
        event.decided_at_ns,
        event.window,
        event.window_start_ns,
        event.window_end_ns,
        int(event.final),
        int(event.complete),
        ",".join(event.reasons),
        event.frames,
        event.frames_missing,
        event.frames_flagged,
        event.late_events,
    )


def _alert_row(event: AlertRaised | AlertCleared | AlertAcknowledged, message_id: str, where: Row) -> Row:
    begin = (message_id, *where, event.decided_at_ns, event.kind, event.rule)
    if isinstance(event, AlertCleared):
        return (*begin, "", event.reason, "", None, None, 0, event.raised_at_ns)
    if isinstance(event, AlertAcknowledged):
        return (*begin, "", f"{event.who}: {event.remark}", "", None, None, 0, event.raised_at_ns)
    numbers = (event.figure, event.value, event.limit, event.since_ns, event.decided_at_ns)
    return (*begin, event.severity, event.reason, *numbers)


def newer(found: int, where: str) -> str:
    """What to say of a store whose tables are of a later version than this."""
    return f"{where} holds tables of version {found}, and this streamcount knows {VERSION}; use a newer streamcount"
