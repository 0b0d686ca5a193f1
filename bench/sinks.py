"""How many events a second each sink keeps, beside sqlite3's bare `executemany` of the same rows."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from streamcount.sinks.base import EventSink
from streamcount.sinks.store import schema
from streamcount.sinks.store.jsonl import JsonLinesSink
from streamcount.sinks.store.parquet import ParquetSink
from streamcount.sinks.store.postgres import PostgresSink
from streamcount.sinks.store.sqlite import SqliteSink
from streamcount.types import AnyEvent
from tests.postgres import Postgres, programs
from tests.sunk import series

EVENTS = 40_000
BATCH = 2_000


def run(console: Console) -> None:
    """Writes a run of counts (an event is four rows: itself, the total, two classes) into each, and prints."""
    events = series(EVENTS)
    table = Table("sink", "events/s", "of bare sqlite3", title=f"{EVENTS} events in batches of {BATCH}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = _bare(folder / "bare.sqlite", events)
        table.add_row("bare sqlite3, rows made before", f"{bare:.0f}", "1.00")
        makers: dict[str, Callable[[], EventSink]] = {
            "sqlite": lambda: SqliteSink(folder / "store.sqlite"),
            "jsonl": lambda: JsonLinesSink(folder / "jsonl"),
            "parquet": lambda: ParquetSink(folder / "parquet"),
        }
        for kind, make in makers.items():
            rate = _rate(make(), events)
            table.add_row(kind, f"{rate:.0f}", f"{rate / bare:.2f}")
    if programs() is not None:
        server = Postgres()
        try:
            server.start()
            rate = _rate(PostgresSink(server.url), events)
            table.add_row("postgres", f"{rate:.0f}", f"{rate / bare:.2f}")
        finally:
            server.close()
    console.print(table)


def _batches(events: list[AnyEvent]) -> list[list[AnyEvent]]:
    return [events[start : start + BATCH] for start in range(0, len(events), BATCH)]


def _rate(sink: EventSink, events: list[AnyEvent]) -> float:
    sink.open()
    begun = time.perf_counter()
    for batch in _batches(events):
        sink.write(batch)
    taken = time.perf_counter() - begun
    sink.close()
    return len(events) / taken


def _bare(path: Path, events: list[AnyEvent]) -> float:
    """The same rows, made beforehand, into the same tables without an index but the key."""
    batches = [schema.rows_of(batch) for batch in _batches(events)]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    for one in schema.TABLES:
        db.execute(schema.SQLITE.create(one))
    begun = time.perf_counter()
    for batch in batches:
        db.execute("BEGIN")
        for one, rows in batch.items():
            db.executemany(one.insert("?"), rows)
        db.execute("COMMIT")
    taken = time.perf_counter() - begun
    db.close()
    return len(events) / taken
