"""What the stores' views tell, in SQLite and in a real PostgreSQL, of what is told more than once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcount.sinks.store import questions, schema
from streamcount.sinks.store.postgres import PostgresConfig
from streamcount.sinks.store.questions import Store, Wanted, open_store
from streamcount.sinks.store.sqlite import SqliteConfig
from streamcount.types import AnyEvent, CellDied, CellLost, Figure, WindowClosed
from tests.postgres import Postgres, running_server
from tests.sunk import SECOND_NS, START_NS, at, cell


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    yield from running_server()


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteConfig | PostgresConfig:
    if request.param == "sqlite":
        return SqliteConfig(path=tmp_path / "store.sqlite")
    return PostgresConfig(kind="postgres", url=request.getfixturevalue("server").url)


def stored(config: SqliteConfig | PostgresConfig, events: list[AnyEvent]) -> Store:
    sink = config.build()
    sink.open()
    sink.write(events)
    sink.close()
    return open_store(config)


def births(camera: str, sequence: int, value: float, *, final: bool) -> WindowClosed:
    return WindowClosed(
        **at(sequence, camera),
        window="minute",
        window_start_ns=START_NS,
        window_end_ns=START_NS + 60 * SECOND_NS,
        final=final,
        complete=False,
        reasons=("settings-changed",),
        frames=sequence,
        figures=(Figure(name="births", value=value),),
    )


def told(store: Store, camera: str) -> list[float]:
    answer = questions.figures(store, Wanted(camera=camera))
    return [row[answer.columns.index("value")] for row in answer.rows]


def test_all_parts_of_a_window_in_which_settings_were_changed_are_told(config):
    events: list[AnyEvent] = [births("parts", 5, 3.0, final=False), births("parts", 9, 8.0, final=False)]
    assert told(stored(config, events), "parts") == [8.0], "the newest, while none is final"
    events += [births("parts", 20, 12.0, final=True), births("parts", 50, 4.0, final=True)]
    assert sorted(told(stored(config, events), "parts")) == [4.0, 12.0]


def fate(store: Store, camera: str) -> tuple[str, int]:
    answer = questions.lineage(store, camera, 1, "run-1")
    row = dict(zip(answer.columns, answer.rows[0], strict=True))
    return row["fate"], row["fate_sequence"]


def death(camera: str) -> list[AnyEvent]:
    died = CellDied(**at(20, camera), **cell(1), reason="class")
    return [died, CellLost(**at(40, camera), **cell(1))]


def test_a_dead_cell_that_is_lost_from_sight_has_died(config):
    assert fate(stored(config, death("bodies")), "bodies") == ("CellDied", 20)


def test_a_store_with_the_views_of_version_1_gets_those_of_now(config):
    stored(config, death("older")).close()
    alphabetical = schema.VIEWS["cells"].replace("'CellDied' THEN kind", "'' THEN kind")
    if isinstance(config, SqliteConfig):
        with sqlite3.connect(config.path) as db:
            db.execute("DROP VIEW cells")
            db.execute(f"CREATE VIEW cells AS {alphabetical}")
            db.execute("DELETE FROM streamcount_schema")
            db.execute("INSERT INTO streamcount_schema VALUES (1)")
    else:
        import psycopg

        with psycopg.connect(config.url) as db:
            db.execute(f"CREATE OR REPLACE VIEW cells AS {alphabetical}".encode())
            db.execute("DELETE FROM streamcount_schema")
            db.execute("INSERT INTO streamcount_schema VALUES (1)")
    before = open_store(config)
    assert fate(before, "older")[0] == "CellLost"
    before.close()
    assert fate(stored(config, []), "older") == ("CellDied", 20)
