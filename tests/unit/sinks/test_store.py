"""Questions to a store, and its tables, in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcount.config import parse_settings
from streamcount.errors import ConfigurationError, SinkError
from streamcount.sinks.base import secret_of
from streamcount.sinks.store import questions
from streamcount.sinks.store.jsonl import JsonLinesSink
from streamcount.sinks.store.parquet import ParquetSink
from streamcount.sinks.store.postgres import PostgresConfig, PostgresSink, month_of
from streamcount.sinks.store.questions import Store, Wanted, open_store
from streamcount.sinks.store.sqlite import SqliteConfig, SqliteSink
from streamcount.wire import decode_event
from streamcount.wire.cloudevents import parse_time
from streamcount.wire.signing import sign, verify
from tests.postgres import Postgres, running_server
from tests.sunk import DAY_NS, SECOND_NS, START_NS, counts, every_kind, series


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    yield from running_server()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that holds one event of every kind, told in an order that Kafka may give."""
    if request.param == "sqlite":
        config: SqliteConfig | PostgresConfig = SqliteConfig(path=tmp_path / "store.sqlite")
    else:
        config = PostgresConfig(kind="postgres", url=request.getfixturevalue("server").url)
    events = every_kind()
    random.Random(3).shuffle(events)
    sink = config.build()
    sink.open()
    sink.write(events)
    sink.close()
    opened = open_store(config)
    yield opened
    opened.close()


def rows(answer: questions.Answer, *columns: str) -> list[tuple]:
    places = [answer.columns.index(one) for one in columns]
    return [tuple(row[place] for place in places) for row in answer.rows]


def test_cameras(store):
    assert rows(questions.cameras(store), "camera", "run", "frames", "most_cells") == [
        ("scope-1", "run-1", 1, 3),
        ("scope-2", "run-1", 1, 6),
    ]


def test_counts_by_class_and_time(store):
    answer = questions.counts(store, Wanted(camera="scope-2"), 60 * SECOND_NS)
    assert [(row[1], float(row[3]), int(row[6])) for row in answer.rows] == [
        ("", 6, 1),
        ("cell", 5, 1),
        ("dead", 1, 1),
    ]
    assert questions.counts(store, Wanted(from_ns=START_NS + 2 * SECOND_NS), SECOND_NS).rows == ()


def test_of_too_many_rows_the_first_by_time_are_told_in_the_usual_order_and_that_there_are_more(store):
    for limit, truncated in ((4, True), (6, False), (0, False)):
        answer = questions.counts(store, Wanted(limit=limit), SECOND_NS)
        assert (len(answer.rows), answer.truncated) == (limit or 6, truncated)
        assert list(answer.rows) == sorted(answer.rows, key=lambda row: row[:3])
        for ask in (questions.figures, questions.events, questions.detailed_events, questions.alerts):
            everything = ask(store, Wanted())
            assert not everything.truncated
            assert ask(store, Wanted(limit=len(everything.rows))) == everything
            first = ask(store, Wanted(limit=1))
            assert (len(first.rows), first.truncated) == (1, True)
            assert first.rows[0] in everything.rows


def test_events_have_what_only_their_kind_tells(store):
    answer = questions.detailed_events(store, Wanted(equal={"kind": "ZoneLeft"}))
    assert rows(answer, *questions.DETAILS) == [("left", None, None, 5.0, None, None)]
    answer = questions.detailed_events(store, Wanted(equal={"kind": "QualityChanged"}))
    assert rows(answer, "flags", "reason") == [("blurred", None)]


def test_the_ends_of_a_run_and_its_cameras_are_known(store):
    assert questions.counted_ends(store, "scope-1", "run-1") == [(1, START_NS + SECOND_NS)] * 2
    assert questions.counted_ends(store, "scope-1", "other") == []
    assert questions.last_run(store, "scope-1") == "run-1"
    with pytest.raises(SinkError, match="no camera none; it has: scope-1, scope-2"):
        questions.require_camera(store, "none")


def test_a_window_is_told_as_it_was_told_last(store):
    answer = questions.figures(store, Wanted(equal={"name": "cells"}))
    assert rows(answer, "value", "low", "high", "final") == [(4.5, 3.5, 5.5, 1)]


def test_a_provisional_event_gives_way_to_what_was_decided(store):
    answer = questions.events(store, Wanted(equal={"kind": "CellDivided"}))
    assert rows(answer, "track_id", "certainty") == [(1, "confirmed"), (2, "retracted")]


def test_alerts_have_their_ends_and_one_that_lasts_has_none(store):
    answer = questions.alerts(store, Wanted())
    assert rows(answer, "rule", "cleared_at_ns", "value") == [
        ("crowded", START_NS + 30 * SECOND_NS, 9.0),
        ("dirty", None, None),
    ]


def test_a_family_holds_ancestors_and_descendants_and_no_daughter_of_a_retracted_division(store):
    expected = [(1, 0, "CellDivided"), (3, 1, "CellDied"), (4, 1, "")]
    for asked in (1, 3):
        found = rows(questions.lineage(store, "scope-1", asked), "track_id", "parent_id", "fate")
        assert [one for one in found if asked == 1 or one[0] != 4] == [
            e for e in expected if asked == 1 or e[0] != 4
        ]
    assert rows(questions.lineage(store, "scope-1", 2), "track_id") == [(2,)]
    for camera, track in (("scope-1", 5), ("scope-9", 1)):
        with pytest.raises(SinkError, match="no c"):
            questions.lineage(store, camera, track)


def test_the_last_count_at_a_time_and_how_far_the_counts_go(store):
    answer = questions.counted_at(store, "scope-2", START_NS + SECOND_NS)
    assert {row[3]: int(row[4]) for row in answer.rows} == {"": 6, "cell": 5, "dead": 1}
    assert questions.counted_at(store, "scope-2", START_NS - 1).rows == ()
    known = questions.extent(store, "scope-2")
    assert known is not None
    assert START_NS <= known[0] == known[1]
    assert questions.extent(store, "scope-9") is None


def test_a_familys_events_are_whole_and_of_the_last_word(store):
    told = [
        decode_event(str(row[0]).encode())
        for row in questions.family_events(store, "scope-1", 3, "run-1").rows
    ]
    assert {one.track_id for one in told} == {1, 3}
    assert [one.certainty for one in told if one.kind == "CellDivided"] == ["confirmed"]
    with pytest.raises(SinkError, match="no cell"):
        questions.family_events(store, "scope-1", 5, "run-1")


def test_what_is_asked_of_a_store_changes_nothing(store):
    with pytest.raises(SinkError):
        store.ask("DELETE FROM events")
    with pytest.raises(SinkError):
        store.ask("SELECT * FROM events WHERE camera = ? AND no_such_column = 1", ("a",))


def test_names_that_are_sql_stay_names(store):
    assert questions.events(store, Wanted(camera="x' OR '1'='1")).rows == ()


def test_a_store_of_a_later_version_is_refused(tmp_path):
    config = SqliteConfig(path=tmp_path / "store.sqlite")
    sink = config.build()
    sink.open()
    sink.close()
    with sqlite3.connect(config.path) as db:
        db.execute("INSERT INTO streamcount_schema VALUES (99)")
    for attempt in (config.build().open, lambda: open_store(config)):
        with pytest.raises(SinkError, match="version 99"):
            attempt()


def test_an_event_that_can_never_be_stored_is_told_so_and_takes_nothing_with_it(tmp_path, server):
    for sink in (SqliteSink(tmp_path / "store.sqlite"), PostgresSink(server.url)):
        sink.open()
        with pytest.raises(SinkError) as told:
            sink.write([counts(901, 1, "new"), counts(902, 2**63, "new")])
        assert not told.value.retry
        assert sink.write([counts(901, 1, "new")]) == 1
        sink.close()


def test_postgres_is_cut_by_months(server):
    import psycopg

    sink = PostgresSink(server.url)
    sink.open()
    sink.write([counts(n, 1, "monthly", 31 * DAY_NS) for n in range(3)])
    sink.close()
    with psycopg.connect(server.url) as db:
        parts = {
            name
            for (name,) in db.execute("SELECT relname FROM pg_class WHERE relispartition AND relkind='r'")
        }
    assert {"counts_2026_01", "counts_2026_03", "counts_2026_04", "events_2026_01"} <= parts
    first, end = month_of(parse_time("2024-02-29T23:59:59.999999999Z"))
    assert (first, end) == (parse_time("2024-02-01T00:00:00Z"), parse_time("2024-03-01T00:00:00Z"))


def test_a_postgres_killed_while_it_is_written_loses_and_doubles_nothing(server):
    import psycopg

    events = series(4000)
    lasting: list[str] = []
    killer = threading.Event()

    def kill() -> None:
        killer.wait(30)
        server.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    sink = PostgresSink(server.url)
    sink.open()
    failed: SinkError | None = None
    for start in range(0, len(events), 50):
        try:
            sink.write(events[start : start + 50])
            lasting += [event.message_id for event in events[start : start + 50]]
        except SinkError as error:
            failed = error
            break
        if len(lasting) == 500:
            killer.set()
    thread.join()
    assert failed is not None, "it was killed too late to matter"
    assert failed.retry
    server.start()
    query = "SELECT message_id FROM events WHERE kind = 'CountsUpdated'"
    with psycopg.connect(server.url) as db:
        assert set(lasting) <= {one for (one,) in db.execute(query)}
    sink.open()
    sink.write(events)
    sink.close()
    with psycopg.connect(server.url) as db:
        found = [one for (one,) in db.execute(query)]
    assert len(found) == len(set(found))
    assert {event.message_id for event in events} <= set(found)


def test_lines_that_a_crash_left_unnoted_or_unfinished_are_mended(tmp_path):
    events = series(10)
    sink = JsonLinesSink(tmp_path)
    sink.open()
    sink.write(events[:4])
    sink.close()
    other = JsonLinesSink(tmp_path / "other")
    other.open()
    other.write(events[4:8])
    other.close()
    whole = next((tmp_path / "other").glob("*.jsonl")).read_bytes()
    path = next(tmp_path.glob("*.jsonl"))
    for cut in (len(whole), len(whole) - 1, len(whole) - 200, 1):
        before = path.read_bytes()
        path.write_bytes(before + whole[:cut])
        again = JsonLinesSink(tmp_path)
        again.open()
        again.write(events)
        again.close()
        lines = path.read_bytes().splitlines()
        assert len(lines) == len(set(lines)) == len(events)
        path.write_bytes(before)
        (tmp_path / "_index.sqlite").unlink()


@pytest.mark.parametrize("kind", [JsonLinesSink, ParquetSink])
def test_two_at_once_in_a_folder_are_refused(tmp_path, kind):
    pytest.importorskip("pyarrow")
    first, second = kind(tmp_path), kind(tmp_path)
    first.open()
    first.write(series(2))
    with pytest.raises(SinkError, match="locked") as told:
        second.open()
    assert told.value.retry
    first.close()
    second.open()
    assert second.write(series(3)) == 1
    second.close()


def test_parquet_files_that_a_crash_left_unnoted_are_noted(tmp_path):
    pytest.importorskip("pyarrow")
    events = series(10)
    sink = ParquetSink(tmp_path)
    sink.open()
    sink.write(events)
    sink.close()
    for left in tmp_path.glob("_index*"):
        left.unlink()
    (next(tmp_path.glob("day=*/camera=*")) / ".part-cut.parquet").write_bytes(b"PAR1")
    sink.open()
    assert sink.write(events) == 0
    sink.close()
    assert not list(tmp_path.rglob(".part-*"))


def test_a_signature_holds_for_its_body_secret_and_time_only():
    signature = sign(b"body", b"secret", 1000)
    # printf 1000.body | openssl dgst -sha256 -hmac secret
    assert signature == "t=1000,v1=b758bf26aabb35e5311bc10fd17ab6ad0881e9717e7d5fa7e233f3cea6868b45"
    assert verify(b"body", b"secret", signature, 1299)
    assert not verify(b"body", b"secret", signature, 1301)
    assert not verify(b"Body", b"secret", signature, 1000)
    assert not verify(b"body", b"Secret", signature, 1000)
    assert not verify(b"body", b"secret", signature.replace("t=1000", "t=1001"), 1000)
    assert not verify(b"body", b"secret", "nonsense", 1000)


def test_secrets_stand_in_variables_only(monkeypatch):
    monkeypatch.setenv("STORE_PASSWORD", "hidden")
    assert secret_of("STORE_PASSWORD") == "hidden"
    with pytest.raises(ConfigurationError, match="NOT_SET_HERE"):
        secret_of("NOT_SET_HERE")
    for url in ("postgresql://me:hidden@db/x", "host=db password=hidden"):
        with pytest.raises(ConfigurationError) as told:
            parse_settings(f'[sinks.a]\nkind = "postgres"\nurl = "{url}"', environment={})
        assert "hidden" not in str(told.value)
        assert "password_env" in str(told.value)
