"""The usual questions to a store, in SQLite or PostgreSQL, answered as columns and rows. Reading changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from streamcount.errors import SinkError
from streamcount.sinks.store import schema
from streamcount.sinks.store.postgres import PostgresConfig, connect
from streamcount.sinks.store.schema import Value
from streamcount.sinks.store.sqlite import SqliteConfig
from streamcount.wire.cloudevents import decode_event

# What only some kinds of events tell.
DETAILS = ("zone", "line", "direction", "dwell_s", "reason", "flags")


@dataclass(frozen=True)
class Answer:
    """columns: names; those that end in _ns are times, nanoseconds since 1970 UTC. truncated: there are more rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False


@dataclass(frozen=True)
class Wanted:
    """What to leave out: None and 0 leave out nothing. from_ns, to_ns: half-open. limit: most rows, the first by
    time; with `latest` the last ones.
    """

    camera: str | None = None
    run: str | None = None
    class_name: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    limit: int = 0
    equal: dict[str, Value] = field(default_factory=dict)
    latest: bool = False

    def where(self, time: str, class_column: str | None = None) -> tuple[str, list[Value]]:
        """The condition, with ? for each of its values."""
        asked: list[tuple[str, Value]] = [("camera = ?", self.camera), ("run = ?", self.run)]
        if class_column:
            asked.append((f"{class_column} = ?", self.class_name))
        asked += [(f"{time} >= ?", self.from_ns), (f"{time} < ?", self.to_ns)]
        asked += [(f"{name} = ?", value) for name, value in self.equal.items()]
        kept = [(text, value) for text, value in asked if value is not None]
        return " AND ".join(["1 = 1", *(text for text, _ in kept)]), [value for _, value in kept]


class Store(Protocol):
    """A store that is open for reading."""

    def ask(self, query: str, values: Iterable[Value] = ()) -> Answer:
        """The answer to a query with ? for its values. Raises SinkError."""

    def close(self) -> None:
        """Frees it."""


class SqliteStore:
    """A SQLite file, opened so that nothing can be changed. Raises SinkError."""

    def __init__(self, config: SqliteConfig) -> None:
        self._path = config.path
        if not config.path.is_file():
            raise SinkError(f"there is no store {config.path}; `streamcount sink` fills one")
        try:
            uri = f"{config.path.absolute().as_uri()}?mode=ro"
            self._db = sqlite3.connect(uri, uri=True, timeout=5.0)
        except sqlite3.Error as error:
            raise SinkError(f"{config.path} cannot be opened: {error}") from error
        _check_version(self, str(config.path))

    def ask(self, query: str, values: Iterable[Value] = ()) -> Answer:
        try:
            cursor = self._db.execute(query, tuple(values))
            return Answer(tuple(one[0] for one in cursor.description), tuple(cursor.fetchall()))
        except sqlite3.Error as error:
            raise SinkError(f"{self._path} cannot be asked: {error}") from error

    def close(self) -> None:
        self._db.close()


class PostgresStore:
    """A database of PostgreSQL, its session read-only. Raises SinkError."""

    def __init__(self, config: PostgresConfig) -> None:
        self._db = connect(config.url, config.password())
        self._db.read_only = True
        _check_version(self, "the database")

    def ask(self, query: str, values: Iterable[Value] = ()) -> Answer:
        import psycopg

        try:
            cursor = self._db.execute(query.replace("%", "%%").replace("?", "%s").encode(), tuple(values))
            names = tuple(one.name for one in cursor.description or ())
            return Answer(names, tuple(cursor.fetchall()))
        except psycopg.Error as error:
            raise SinkError(f"PostgreSQL cannot be asked: {error}") from error

    def close(self) -> None:
        self._db.close()


def open_store(config: SqliteConfig | PostgresConfig) -> Store:
    """The store that a sink fills. Raises SinkError, ConfigurationError."""
    return SqliteStore(config) if isinstance(config, SqliteConfig) else PostgresStore(config)


def _check_version(store: Store, where: str) -> None:
    found = store.ask("SELECT MAX(version) FROM streamcount_schema").rows[0][0]
    if found is not None and found > schema.VERSION:
        raise SinkError(schema.newer(found, where))


def cameras(store: Store) -> Answer:
    """Each run of each camera: frames counted, when, and cells seen in a frame at most."""
    return store.ask(
        "SELECT camera, run, COUNT(*) AS frames, MIN(happened_at_ns) AS first_ns, MAX(happened_at_ns) AS last_ns, "
        "MAX(cells) AS most_cells FROM counts WHERE class_name = '' GROUP BY camera, run ORDER BY camera, first_ns"
    )


def counts(store: Store, wanted: Wanted, every_ns: int) -> Answer:
    """Cells per frame in steps of time: mean, least and most in a step, and how many frames it has.

    every_ns: the step; steps begin at multiples of it. class_name "" is all classes together.
    """
    where, values = wanted.where("happened_at_ns", "class_name")
    step = max(int(every_ns), 1)
    # PostgreSQL has no / of integers and mean of float in common with SQLite unless the type is said.
    told = store.ask(
        f"SELECT camera, class_name, happened_at_ns - happened_at_ns % {step} AS start_ns, "
        "AVG(CAST(cells AS DOUBLE PRECISION)) AS mean, MIN(cells) AS low, MAX(cells) AS high, COUNT(*) AS frames "
        f"FROM counts WHERE {where} "
        f"GROUP BY camera, class_name, start_ns ORDER BY start_ns, camera, class_name{_limit(wanted)}",
        values,
    )
    return _within(told, wanted, "camera", "class_name", "start_ns")


def figures(store: Store, wanted: Wanted) -> Answer:
    """Figures of windows, each window as it was told last, with their confidence intervals."""
    where, values = wanted.where("window_start_ns", "class_name")
    told = store.ask(
        "SELECT camera, window_name, window_start_ns, window_end_ns, name, zone, class_name, value, low, high, unit, "
        f"final, complete, reasons FROM current_figures WHERE {where} "
        f"ORDER BY window_start_ns, camera, window_name, name, zone, class_name{_limit(wanted)}",
        values,
    )
    return _within(told, wanted, "camera", "window_name", "name", "zone", "class_name", "window_start_ns")


def events(store: Store, wanted: Wanted) -> Answer:
    """Events but counts and windows, each as it was told last, by time."""
    told = _events(store, wanted)
    return Answer(told.columns[:-1], tuple(row[:-1] for row in told.rows), told.truncated)


def detailed_events(store: Store, wanted: Wanted) -> Answer:
    """The same, each with its DETAILS; None for those that its kind does not tell."""
    told = _events(store, wanted)
    rows = tuple((*row[:-1], *_details(row[-1])) for row in told.rows)
    return Answer((*told.columns[:-1], *DETAILS), rows, told.truncated)


def _events(store: Store, wanted: Wanted) -> Answer:
    where, values = wanted.where("happened_at_ns", "class_name")
    order = "DESC" if wanted.latest else "ASC"
    told = store.ask(
        "SELECT camera, run, sequence, happened_at_ns, kind, certainty, track_id, class_name, json "
        "FROM current_events "
        f"WHERE kind NOT IN ('CountsUpdated', 'WindowClosed') AND {where} "
        f"ORDER BY happened_at_ns {order}, event_id {order}{_limit(wanted)}",
        values,
    )
    told = _within(told, wanted)
    return replace(told, rows=told.rows[::-1]) if wanted.latest else told


def _details(text: str) -> Iterator[Value]:
    event = decode_event(text.encode())
    for name in DETAILS:
        if name == "flags":
            flags = getattr(event, name, None)
            yield None if flags is None else ",".join(flags)
        elif name == "dwell_s":
            dwell_ns = getattr(event, "dwell_ns", None)
            yield None if dwell_ns is None else dwell_ns / 1e9
        else:
            yield getattr(event, name, None) or None


def alerts(store: Store, wanted: Wanted) -> Answer:
    """Alerts with their ends; `cleared_at_ns` is None while one lasts."""
    where, values = wanted.where("raised_at_ns")
    told = store.ask(
        "SELECT camera, rule, severity, raised_at_ns, cleared_at_ns, figure, value, limit_value, reason "
        f"FROM alert_spans WHERE {where} ORDER BY raised_at_ns, camera, rule{_limit(wanted)}",
        values,
    )
    return _within(told, wanted)


def counted_at(store: Store, camera: str, time_ns: int) -> Answer:
    """The last frame of a camera that was counted at or before a time, a row a class; "" is all together."""
    return store.ask(
        "SELECT run, sequence, happened_at_ns, class_name, cells FROM counts WHERE camera = ? AND happened_at_ns = "
        "(SELECT MAX(happened_at_ns) FROM counts WHERE camera = ? AND happened_at_ns <= ?)",
        (camera, camera, time_ns),
    )


def extent(store: Store, camera: str) -> tuple[int, int] | None:
    """Times of the first and the last frame of a camera that was counted; None where there is none."""
    first_ns, last_ns = store.ask(
        "SELECT MIN(happened_at_ns), MAX(happened_at_ns) FROM counts WHERE camera = ?", (camera,)
    ).rows[0]
    return None if first_ns is None else (int(first_ns), int(last_ns))


def counted_ends(store: Store, camera: str, run: str) -> list[tuple[int, int]]:
    """(sequence, time in ns) of the first and the last frame of a run that was counted; empty where there is none."""
    query = "SELECT sequence, happened_at_ns FROM counts WHERE camera = ? AND run = ? AND class_name = '' "
    asked = [
        store.ask(f"{query} ORDER BY sequence {order} LIMIT 1", (camera, run)).rows
        for order in ("ASC", "DESC")
    ]
    return [(int(row[0]), int(row[1])) for rows in asked for row in rows]


def require_camera(store: Store, camera: str) -> None:
    """Raises SinkError naming the known cameras and groups where nothing was told of this one."""
    if store.ask("SELECT 1 FROM events WHERE camera = ? LIMIT 1", (camera,)).rows:
        return
    known = ", ".join(row[0] for row in store.ask("SELECT DISTINCT camera FROM events ORDER BY 1").rows)
    raise SinkError(f"the store has no camera {camera}; it has: {known or 'none'}")


def last_run(store: Store, camera: str) -> str:
    """The run of a camera of which something was told last. Raises SinkError where there is no such camera."""
    require_camera(store, camera)
    # First of cells: an alert on a camera that was never heard is of no run that has any.
    for which in ("AND track_id IS NOT NULL", ""):
        newest = f"SELECT run FROM events WHERE camera = ? {which} ORDER BY happened_at_ns DESC, run LIMIT 1"
        if rows := store.ask(newest, (camera,)).rows:
            break
    return str(rows[0][0])


def family_events(store: Store, camera: str, track_id: int, run: str) -> Answer:
    """Events of the cell, its ancestors and descendants, each as it was told last, as JSON.

    Raises SinkError where the store knows no such run or cell.
    """
    known = lineage(store, camera, track_id, run)
    ids = [row[known.columns.index("track_id")] for row in known.rows]
    marks = ", ".join("?" * len(ids))
    return store.ask(
        f"SELECT json FROM current_events WHERE camera = ? AND run = ? AND track_id IN ({marks})",
        (camera, run, *ids),
    )


def lineage(store: Store, camera: str, track_id: int, run: str | None = None) -> Answer:
    """The cell, its ancestors and all its descendants, by generation. run: the last one of the camera if None.

    Raises SinkError where the store knows no such run or cell.
    """
    run = run or last_run(store, camera)
    told = store.ask(
        "SELECT track_id, parent_id, generation, birth_sequence, first_event_ns, fate, fate_sequence "
        "FROM cells WHERE camera = ? AND run = ? ORDER BY generation, track_id",
        (camera, run),
    )
    family = _family(told, track_id)
    if not family:
        raise SinkError(f"{camera}: the store knows no cell {track_id} in run {run}")
    return Answer(told.columns, tuple(row for row in told.rows if row[0] in family))


def _family(told: Answer, track_id: int) -> set[int]:
    mothers = {row[0]: row[1] for row in told.rows}
    if track_id not in mothers:
        return set()
    family, one = {track_id}, mothers[track_id]
    while one and one not in family:
        family.add(one)
        one = mothers.get(one, 0)
    daughters: dict[int, list[int]] = {}
    for cell, mother in mothers.items():
        daughters.setdefault(mother, []).append(cell)
    waiting, seen = [track_id], {track_id}
    while waiting:
        for cell in daughters.get(waiting.pop(), ()):
            if cell not in seen:
                seen.add(cell)
                waiting.append(cell)
    return family | seen


def _limit(wanted: Wanted) -> str:
    # One more than is wanted tells that there are more.
    return f" LIMIT {int(wanted.limit) + 1}" if wanted.limit else ""


def _within(told: Answer, wanted: Wanted, *order: str) -> Answer:
    """The rows that are wanted, which come by time, in the order of these columns."""
    rows, truncated = told.rows, 0 < wanted.limit < len(told.rows)
    if truncated:
        rows = rows[: wanted.limit]
    if order:
        at = [told.columns.index(name) for name in order]
        rows = tuple(sorted(rows, key=lambda row: [row[i] for i in at]))
    return replace(told, rows=rows, truncated=truncated)
