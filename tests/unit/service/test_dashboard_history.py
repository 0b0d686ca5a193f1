"""A camera's past from the server's memory and from a store: the same answers, as JSON, CSV and Parquet."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("fastapi", reason="needs the extra dashboard")
from starlette.testclient import TestClient

from streamcount.config import Settings
from streamcount.config.settings import TopicName
from streamcount.errors import SinkError
from streamcount.service.dashboard import history as history_module
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.camera import KEPT_EVENTS
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.history import FIGURES, Counted, Database, History, Span
from streamcount.service.dashboard.lives import snapshots_of
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.sinks.store.sqlite import SqliteConfig, SqliteSink
from streamcount.types import AlertRaised, AnyEvent, CellAbnormal, CellAppeared, FrameMetadata
from streamcount.wire import encode_event
from streamcount.wire.cloudevents import frame_headers
from tests.sunk import DAY_NS, SECOND_NS, START_NS, at, cell, every_kind, series, window

EVENTS: list[AnyEvent] = [*series(30), *every_kind(), window(60, 5.0, final=True)]
DAYS_S = 5 * 86_400
ALL = Span(START_NS - SECOND_NS, START_NS + 3600 * SECOND_NS)


def filled() -> LiveModel:
    model = LiveModel()
    topics: dict[str, TopicName] = {
        "CountsUpdated": "counts",
        "WindowClosed": "windows",
        "AlertRaised": "alerts",
        "AlertCleared": "alerts",
    }
    for event in EVENTS:
        heard(model, topics.get(event.kind, "events"), event)
    return model


def heard(model: LiveModel, topic: TopicName, *events: AnyEvent) -> None:
    for event in events:
        record = Taken(topic, 0, 0, event.camera_id.encode(), encode_event(event), [], None)
        model.take(record, time.monotonic(), START_NS)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    config = SqliteConfig(path=tmp_path / "store.sqlite")
    sink = SqliteSink(config.path)
    sink.open()
    sink.write(EVENTS)
    sink.close()
    return config


@pytest.fixture(params=["server", "store"])
def history(request: pytest.FixtureRequest, database: Database) -> History:
    """The same past, either in memory or in a store of which the memory holds nothing."""
    return History(filled()) if request.param == "server" else History(LiveModel(), database)


def test_memory_and_store_tell_the_same(database: Database) -> None:
    held, stored = History(filled()), History(LiveModel(), database)
    for ask in (
        lambda one: one.counts("scope-1", ALL, 10 * SECOND_NS),
        lambda one: one.figures("scope-1", ALL),
        lambda one: one.figures("scope-1", ALL, "cells", "minute"),
        lambda one: one.figures("scope-1", ALL, "viability"),
    ):
        first, second = ask(held), ask(stored)
        assert (first.source, second.source) == ("server", "store")
        assert first.answer == second.answer
    # The memory keeps the newest word of each event, as the store's view does; alerts are in both.
    first, second = held.events("scope-1", ALL), stored.events("scope-1", ALL)
    assert first.answer.columns == second.answer.columns
    assert {row[:6] for row in second.answer.rows} <= {row[:6] for row in first.answer.rows}


def test_of_many_events_the_last_ones_are_told_in_ascending_order(history: History) -> None:
    everything = history.events("scope-1", ALL).answer.rows
    assert len(everything) > 3
    assert history.events("scope-1", ALL, latest=3).answer.rows == everything[-3:]
    assert history.events("scope-1", ALL, latest=len(everything) + 1).answer.rows == everything


def test_the_last_count_at_or_before_a_moment_is_told(history: History) -> None:
    for offset_ns in (0, SECOND_NS // 2):
        found = history.counted_at("scope-1", START_NS + 8 * SECOND_NS + offset_ns)
        assert found == Counted("run-1", 8, START_NS + 8 * SECOND_NS, 2, {"cell": 1, "dead": 1})
    assert history.counted_at("scope-1", START_NS - 1) is None
    assert history.counted_at("nobody", START_NS) is None


def test_how_far_back_the_past_goes(history: History) -> None:
    known = history.extent_ns("scope-1")
    assert known is not None
    assert known[0] == START_NS
    assert known[1] >= START_NS + 29 * SECOND_NS
    assert history.extent_ns("nobody") is None


def test_memory_is_asked_first_and_the_store_for_what_lies_before(database: Database) -> None:
    model = filled()
    model.is_read_since("counts", START_NS)
    both = History(model, database)
    assert both.counts("scope-1", Span(START_NS, ALL.to_ns), SECOND_NS).source == "server"
    assert both.counts("scope-1", Span(START_NS - 60 * SECOND_NS, ALL.to_ns), SECOND_NS).source == "store"


def test_a_window_of_a_day_does_not_speak_for_those_of_minutes(database: Database) -> None:
    """A dashboard that was just started has heard of a day that began long ago, and of the last minutes."""
    model = LiveModel()
    day = msgspec.structs.replace(window(0, 5.0, final=True), window="day", window_start_ns=START_NS - DAY_NS)
    heard(model, "windows", day, window(60, 5.0, final=True))
    model.is_read_since("windows", START_NS)
    history, hours = History(model, database), Span(START_NS - 4 * 3600 * SECOND_NS, ALL.to_ns)
    for window_name in (None, "minute"):
        assert history.figures("scope-1", hours, "cells", window_name).source == "store"
    assert history.figures("scope-1", Span(START_NS, ALL.to_ns), "cells", "minute").source == "server"


def test_an_old_alert_does_not_speak_for_what_happened_to_cells(database: Database) -> None:
    """Alerts are looked back on for days, cells' events for minutes."""
    model = LiveModel()
    heard(model, "alerts", AlertRaised(**at(-DAYS_S), rule="old", reason="cells 9 > 8"))
    heard(model, "events", CellAppeared(**at(50), **cell(9), entered=False))
    model.is_read_since("alerts", START_NS - DAYS_S * SECOND_NS)
    history, minutes = History(model, database), Span(START_NS + 45 * SECOND_NS, ALL.to_ns)
    assert history.events("scope-1", minutes).source == "store", "nobody knows since when events are read"
    model.is_read_since("events", START_NS + 40 * SECOND_NS)
    assert history.events("scope-1", minutes).source == "server"
    assert history.events("scope-1", ALL).source == "store"
    assert history.events("nobody", minutes).source == "store"


def test_what_was_dropped_for_newer_is_asked_of_the_store(database: Database) -> None:
    model = LiveModel()
    for topic in ("events", "alerts"):
        model.is_read_since(topic, START_NS)
    begun = [CellAppeared(**at(number), **cell(number + 1), entered=False) for number in range(KEPT_EVENTS)]
    heard(model, "events", *begun)
    history = History(model, database)
    assert history.events("scope-1", Span(START_NS, ALL.to_ns)).source == "server"
    heard(model, "events", CellAppeared(**at(KEPT_EVENTS), **cell(KEPT_EVENTS + 1), entered=False))
    assert history.events("scope-1", Span(START_NS, ALL.to_ns)).source == "store"
    assert history.events("scope-1", Span(START_NS + 1, ALL.to_ns)).source == "server"


def test_an_answer_that_is_cut_ends_alike_for_all_classes_and_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = History(LiveModel(), database)
    whole = stored.counts("scope-1", ALL, SECOND_NS).answer
    assert not whole.truncated
    monkeypatch.setattr(history_module, "MOST_ROWS", 20)
    cut = stored.counts("scope-1", ALL, SECOND_NS).answer
    assert cut.truncated
    last_ns = START_NS + 5 * SECOND_NS
    assert cut.rows == tuple(row for row in whole.rows if row[2] <= last_ns), "six seconds of three classes"
    monkeypatch.setattr(history_module, "MOST_ROWS", 2)
    assert len(stored.counts("scope-1", ALL, SECOND_NS).answer.rows) == 2, "not even one second is whole"
    events = stored.events("scope-1", ALL).answer
    assert (len(events.rows), events.truncated) == (2, True)


def test_a_store_that_is_gone_is_told_and_nothing_else_fails(tmp_path: Path) -> None:
    history = History(LiveModel(), SqliteConfig(path=tmp_path / "nowhere.sqlite"))
    with pytest.raises(SinkError, match="streamcount sink"):
        history.counts("scope-1", ALL, SECOND_NS)
    assert history.family_events("scope-1", "run-1", 1) is None


def test_the_store_knows_a_cells_family(database: Database) -> None:
    events = History(LiveModel(), database).family_events("scope-1", "run-1", 1)
    assert events
    assert {one.kind for one in events} >= {"CellAppeared", "CellDivided"}
    assert History(LiveModel(), database).family_events("scope-1", "run-1", 999) is None


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    settings, model = Settings(), filled()
    dashboard = Dashboard(settings, Feed(settings, model), model, database=database)
    with TestClient(make_api(dashboard)) as client:
        yield client


def test_tables_come_in_three_forms_that_say_the_same(client: TestClient) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    for what in ("counts", "figures", "events"):
        path = f"/api/v1/cameras/scope-1/history/{what}?from_ms={START_NS // 10**6}"
        told = client.get(path).json()
        assert told["rows"]
        table = parquet.read_table(io.BytesIO(client.get(f"{path}&format=parquet").content))
        assert table.column_names == told["columns"]
        assert [list(row.values()) for row in table.to_pylist()] == told["rows"]
        answer = client.get(f"{path}&format=csv")
        assert answer.headers["content-disposition"] == f'attachment; filename="scope-1-{what}.csv"'
        lines = answer.text.splitlines()
        assert lines[0] == ",".join(told["columns"])
        assert len(lines) == len(told["rows"]) + 1


def test_a_table_that_is_cut_says_so_in_each_form(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/api/v1/cameras/scope-1/history/counts"
    whole = client.get(path)
    assert whole.json()["truncated"] is False
    assert "x-streamcount-truncated" not in whole.headers
    monkeypatch.setattr(history_module, "MOST_ROWS", 20)
    cut = client.get(path)
    assert (cut.json()["truncated"], cut.headers["x-streamcount-truncated"]) == (True, "1")
    file = client.get(path, params={"format": "csv"})
    assert file.headers["x-streamcount-truncated"] == "1"
    assert file.headers["content-disposition"] == 'attachment; filename="scope-1-counts-truncated.csv"'
    described = client.get("/api/v1/openapi.json").json()["paths"]
    answer = described["/api/v1/cameras/{camera_id}/history/counts"]["get"]["responses"]["200"]
    assert "X-Streamcount-Truncated" in answer["headers"]


@pytest.mark.parametrize("figure", ["Ā", 'a"b', "a\r\nSet-Cookie: x=1", "../a"])
def test_whatever_is_asked_for_a_file_has_a_plain_name(client: TestClient, figure: str) -> None:
    path = "/api/v1/cameras/scope-1/history/figures"
    answer = client.get(path, params={"from_ms": 0, "to_ms": 10, "figure": figure, "format": "csv"})
    assert answer.status_code == 200, answer.text
    name = answer.headers["content-disposition"].removeprefix("attachment; filename=")
    assert re.fullmatch(r'"scope-1-[\w.-]*\.csv"', name, re.ASCII)
    assert "set-cookie" not in answer.headers


def test_a_moment_tells_its_count_and_why_there_is_no_picture(client: TestClient) -> None:
    at_ms = START_NS // 10**6 + 8_400
    moment = client.get(f"/api/v1/cameras/scope-1/history/moment?at_ms={at_ms}").json()
    assert (moment["total"], moment["counts"], moment["picture"]) == (2, {"cell": 1, "dead": 1}, False)
    assert moment["counted_at_ms"] == START_NS // 10**6 + 8_000
    assert "is not read yet" in moment["why"]
    before = client.get("/api/v1/cameras/scope-1/history/moment?at_ms=1000").json()
    assert (before["counted_at_ms"], before["shown"]) == (None, None)
    assert "nothing is known from before 2026-01-31" in before["why"]


def test_a_picture_that_is_still_held_is_that_moments(database: Database) -> None:
    settings, model = Settings(), filled()
    metadata = FrameMetadata(
        camera_id="scope-1", run_id="run-1", sequence=8, acquired_at_ns=START_NS + 8 * SECOND_NS
    )
    headers = frame_headers(metadata, "image/jpeg")
    model.take(Taken("frames", 0, 0, b"scope-1", b"a picture", headers, None), time.monotonic(), START_NS)
    moments = Dashboard(settings, Feed(settings, model), model).moments
    found = moments.picture(("scope-1", "run-1", 8), START_NS // 10**6)
    assert found is not None
    assert found.data == b"a picture"


def test_snapshots_are_a_cells_own_and_each_is_told_once() -> None:
    def odd(track_id: int, snapshot: str) -> CellAbnormal:
        return CellAbnormal(**at(track_id), **cell(track_id), reason="size", snapshot=snapshot)

    found = snapshots_of([odd(1, "b"), odd(1, "b"), odd(2, "c"), odd(1, ""), *EVENTS], 1)
    assert [one.snapshot for one in found if one.snapshot in "bc"] == ["b"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/cameras/nobody/history", 404),
        ("/cameras/nobody/history/counts", 404),
        ("/cameras/scope-1/history/counts?format=xlsx", 422),
        ("/cameras/scope-1/history/counts?every_ms=0", 422),
        ("/cameras/scope-1/history/moment", 422),
        ("/cameras/scope-1/tracks/0/sizes?run=run-1", 422),
        ("/cameras/scope-1/tracks/1/sizes?run=../x", 422),
        ("/cameras/scope-1/tracks/1/sizes?run=run-1", 503),
        ("/cameras/scope-1/history/picture?run=run-1&sequence=1&at_ms=0", 503),
    ],
)
def test_what_cannot_be_answered_says_why(client: TestClient, path: str, status: int) -> None:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_both_parts_of_a_window_in_which_a_run_ended_are_told() -> None:
    model = LiveModel()
    parts = [window(60, 7.0, final=True), msgspec.structs.replace(window(60, 2.0, final=True), run_id="next")]
    for event in parts:
        record = Taken("windows", 0, 0, event.camera_id.encode(), encode_event(event), [], None)
        model.take(record, time.monotonic(), START_NS)
    rows = History(model).figures("scope-1", ALL, "cells").answer.rows
    value = FIGURES.index("value")
    assert sorted(row[value] for row in rows) == [2.0, 7.0]
