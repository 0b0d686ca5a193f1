"""The API's routes of alerts and dead letters as a client asks them, where there is no Kafka."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra dashboard")
from starlette.testclient import TestClient

from streamcount.config import Settings, parse_settings
from streamcount.service.alerts.past import stored_windows
from streamcount.service.dashboard.alerting import cells_of_alert, find_alert
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.cells import cells_view
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.guard import Guard
from streamcount.service.dashboard.health import LATENCY_BINS_MS, histogram
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.past_alerts import PastAlerts
from streamcount.service.dashboard.trial import MOST_POINTS, sources, try_rule
from streamcount.sinks.store import PostgresConfig, SqliteConfig
from streamcount.types import (
    OUTLINE_POINTS,
    AlertAcknowledged,
    AlertCleared,
    AlertRaised,
    AnyEvent,
    Figure,
    WindowClosed,
)
from streamcount.wire import encode_detections, encode_event, encode_tracks
from tests.postgres import Postgres, running_server
from tests.unit.service.test_dashboard_model import detections, tracks

URL = "http://127.0.0.1:8765"
TOKEN = "a-token-that-is-long-enough"
S = 10**9
NOW_NS = time.time_ns()
AT = {"camera_id": "scope-1", "run_id": "a", "sequence": 7, "happened_at_ns": NOW_NS, "decided_at_ns": NOW_NS}
RAISED = AlertRaised(**AT, rule="crowded", reason="cells 9 > 8", figure="cells", value=9.0, limit=8.0)
SEEN = AlertAcknowledged(
    **AT, rule="crowded", raised_at_ns=NOW_NS, who="ann", remark="on it", acknowledged_at_ns=NOW_NS + S
)
CLEARED = AlertCleared(**{**AT, "sequence": 9}, rule="crowded", raised_at_ns=NOW_NS, reason="cells 7")
RULE = '[alerts.crowded]\nkind = "limit"\nfigure = "cells"\nclass = "red"\nabove = 8\nseverity = "critical"\n'


def window(i: int, value: float, camera: str = "scope-1") -> WindowClosed:
    bounds = {"window_start_ns": NOW_NS + 60 * i * S, "window_end_ns": NOW_NS + 60 * (i + 1) * S}
    at = {**AT, "camera_id": camera, "sequence": 7 + i, "decided_at_ns": bounds["window_end_ns"]}
    figures = (Figure(name="cells", value=value, low=value - 1, high=value + 1),)
    return WindowClosed(
        **at, window="minute", **bounds, final=True, complete=True, frames=60, figures=figures
    )


class Away(Feed):
    """A Kafka that is away, and known to be."""

    @property
    def trouble(self) -> str:
        return "there is no Kafka here"


def filled(*events: AnyEvent) -> LiveModel:
    model = LiveModel()
    for event in events:
        topic: Any = "windows" if isinstance(event, WindowClosed) else "alerts"
        taken = Taken(topic, 2, 0, b"scope-1", encode_event(event), [], NOW_NS // 10**6)
        model.take(taken, time.monotonic(), NOW_NS)
    return model


def client_of(
    model: LiveModel, settings: Settings, token: str = "", database: SqliteConfig | None = None
) -> TestClient:
    dashboard = Dashboard(settings, Away(settings, model), model, database=database)
    return TestClient(Guard(make_api(dashboard), token), base_url=URL)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with client_of(
        filled(window(0, 9.0), RAISED, SEEN, SEEN), parse_settings(RULE, environment={})
    ) as client:
        yield client


def test_one_alert_is_told_with_its_rule_its_figures_and_who_has_seen_it(client: TestClient) -> None:
    (row,) = client.get("/api/v1/alerts").json()
    assert [(one["who"], one["remark"]) for one in row["acknowledged"]] == [("ann", "on it")]
    told = client.get("/api/v1/alerts/one", params={"alert": row["id"]}).json()
    assert told["alert"] == row
    assert tomllib.loads(told["rule"]) == tomllib.loads(RULE)
    assert [(one["window"], one["figures"][0]["value"]) for one in told["windows"]] == [("minute", 9.0)]


def test_a_past_alert_keeps_its_remarks_and_a_rule_that_is_gone_is_none() -> None:
    with client_of(filled(RAISED, SEEN, CLEARED), Settings()) as client:
        (row,) = client.get("/api/v1/alerts?state=past").json()
        told = client.get("/api/v1/alerts/one", params={"alert": RAISED.event_id}).json()
    assert (row["cleared"]["reason"], len(row["acknowledged"])) == ("cells 7", 1)
    assert (told["alert"], told["rule"], told["windows"]) == (row, "", [])


def test_an_acknowledgement_neither_raises_nor_clears() -> None:
    model = filled(SEEN, RAISED)
    assert model.look("scope-1", lambda camera: (len(camera.active_alerts), len(camera.past_alerts))) == (
        1,
        0,
    )
    assert model.look("scope-1", lambda camera: camera.view.alerts) == {"crowded"}


def test_what_was_said_is_not_said_again_and_nothing_new_without_kafka(client: TestClient) -> None:
    path, body = (
        "/api/v1/alerts/acknowledgements",
        {"alert": RAISED.event_id, "who": " ann ", "remark": "on it"},
    )
    again = client.post(path, json=body)
    assert (again.status_code, again.json()["acknowledged_at_ns"]) == (201, SEEN.acknowledged_at_ns)
    other = client.post(path, json={**body, "who": "ben"})
    assert (other.status_code, other.json()["detail"]) == (503, "there is no Kafka here")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("alerts/acknowledgements", {"alert": "nobody/a/1/AlertRaised/x", "who": "ann"}, 404),
        ("alerts/acknowledgements", {"alert": RAISED.event_id, "who": "  "}, 422),
        ("alerts/acknowledgements", {"alert": RAISED.event_id, "who": "x" * 81}, 422),
        ("alerts/acknowledgements", {"alert": RAISED.event_id}, 422),
        ("dead-letters/replay", {"letters": []}, 422),
        ("dead-letters/replay", {"letters": [{"partition": -1, "offset": 0}]}, 422),
        ("dead-letters/replay", {"letters": [{"partition": 0, "offset": 0}]}, 503),
        ("alerts/trial", {"rule": "above ="}, 409),
        ("alerts/trial", {"rule": "x" * 20_000}, 422),
    ],
)
def test_bad_posts_are_refused(client: TestClient, path: str, body: dict[str, Any], status: int) -> None:
    answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status
    assert "detail" in answer.json()


@pytest.mark.parametrize("path", ["alerts/acknowledgements", "alerts/trial", "dead-letters/replay"])
def test_other_sites_and_those_without_the_token_post_nothing(client: TestClient, path: str) -> None:
    url = f"/api/v1/{path}"
    assert client.post(url, json={}, headers={"origin": "http://evil.example"}).status_code == 403
    # What a form of another site can send without asking.
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = client.post(url, content=b"{}", headers={"content-type": content_type})
        assert answer.status_code == 415
    assert (
        client.post(url, content=b" " * 2**22, headers={"content-type": "application/json"}).status_code
        == 413
    )
    with client_of(filled(RAISED), Settings(), TOKEN) as guarded:
        assert guarded.post(url, json={}).status_code == 401
        answer = guarded.post(url, json={}, headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code in (409, 422)


def test_pictures_of_what_is_nowhere_are_refused_with_the_reason(client: TestClient) -> None:
    assert client.get("/api/v1/alerts/picture", params={"alert": "a/b/1/AlertRaised/c"}).status_code == 404
    answer = client.get("/api/v1/alerts/picture", params={"alert": RAISED.event_id})
    assert (answer.status_code, answer.json()["detail"]) == (503, "there is no Kafka here")
    assert client.get("/api/v1/dead-letters/0/0/picture").status_code == 503


def test_the_cells_of_an_alerts_frame_are_told_and_drawn_as_on_the_wall() -> None:
    pytest.importorskip("nicegui", reason="needs the extra dashboard")
    from streamcount.service.dashboard.page.alert import outlines_svg

    model = filled(RAISED)
    record = encode_tracks(tracks(RAISED.sequence), ("red", "white"))
    model.take(Taken("tracks", 2, 0, b"scope-1", record, [], NOW_NS // 10**6), time.monotonic(), NOW_NS)
    dashboard = Dashboard(Settings(), Away(Settings(), model), model)
    with TestClient(make_api(dashboard), base_url=URL) as client:
        told = client.get("/api/v1/alerts/cells", params={"alert": RAISED.event_id}).json()
    assert (told["run"], told["sequence"], told["cells"]["ids"]) == ("a", 7, [1, 2])
    assert told["cells"]["boxes_px"][0] == [1.0, 2.0, 11.0, 22.3]
    known = find_alert(dashboard, RAISED.event_id)
    assert known is not None
    cells = cells_of_alert(dashboard, known)
    assert cells is not None
    assert cells.cells is not None
    svg = outlines_svg(cells.cells, {"red": ("#56b4e9", 0), "white": ("#e69f00", 1)})
    assert svg.startswith('<svg viewBox="0 0 64 48"')
    assert svg.count('stroke="#56b4e9"') == 2
    assert 'cy="6" rx="10.15"' in svg


def test_an_alerts_cells_are_drawn_by_their_outlines_where_they_have_one() -> None:
    pytest.importorskip("nicegui", reason="needs the extra dashboard")
    from streamcount.service.dashboard.page.alert import outlines_svg

    lines = np.zeros((2, OUTLINE_POINTS, 2), np.uint8)
    lines[0, ::2], lines[0, 1::2] = (85, 85), (170, 85)
    found = msgspec.structs.replace(detections(7), outlines=lines)
    cells = cells_view(encode_tracks(tracks(7), ("red", "white")), encode_detections(found))
    svg = outlines_svg(cells, {"red": ("#56b4e9", 0), "white": ("#e69f00", 1)})
    # Each is drawn twice: dark below, and in its class's colour.
    assert (svg.count("<polygon"), svg.count("<ellipse")) == (2, 2)
    assert svg.count('points="2,1 2,11 2,1 ') == 2
    assert svg.count('stroke="#56b4e9"') == 2


def test_cells_of_an_alert_that_are_kafkas_are_asked_of_it_and_those_of_nobody_refused(
    client: TestClient,
) -> None:
    assert client.get("/api/v1/alerts/cells", params={"alert": RAISED.event_id}).status_code == 503
    assert client.get("/api/v1/alerts/cells", params={"alert": "nobody/a/1/x"}).status_code == 404


def store_of(tmp_path: Path, windows: Sequence[AnyEvent]) -> Settings:
    path = tmp_path / "store.sqlite"
    sink = SqliteConfig(path=path).build()
    sink.open()
    sink.write(windows)
    sink.close()
    nowhere = 'kafka.bootstrap_servers = "127.0.0.1:1"\n'
    return parse_settings(
        f'{nowhere}[sinks.lab]\nkind = "sqlite"\npath = "{path.as_posix()}"\n', environment={}
    )


def test_a_rule_is_tried_on_a_store_of_the_settings_and_on_no_other_file(tmp_path: Path) -> None:
    values = [5.0, 9.0, 9.0, 5.0]
    windows = [
        window(i, value, camera) for camera in ("scope-1", "scope-2") for i, value in enumerate(values)
    ]
    settings = store_of(tmp_path, windows)
    with client_of(LiveModel(), settings) as client:
        asked = {
            "rule": 'kind = "limit"\nfigure = "cells"\nabove = 8',
            "source": "store:lab",
            "camera": "scope-1",
        }
        told = client.post("/api/v1/alerts/trial", json=asked).json()
        assert (told["rule"], told["limit"], list(told["figures"])) == ("tried", 8.0, ["scope-1"])
        assert [point["value"] for point in told["figures"]["scope-1"]] == values
        (alert,) = told["alerts"]
        assert (alert["camera_id"], alert["value"], alert["cleared_at"] is None) == ("scope-1", 9.0, False)
        assert "raised once in 4 windows" in told["summary"][0]
        for source, status in (("store:other", 409), ("store.sqlite", 409), ("topic", 503)):
            assert client.post("/api/v1/alerts/trial", json={**asked, "source": source}).status_code == status
        nobody = client.post("/api/v1/alerts/trial", json={**asked, "camera": "nobody"})
        assert (nobody.status_code, "no final window" in nobody.json()["detail"]) == (404, True)


def test_a_trial_is_given_as_a_table_with_all_windows_and_where_it_is_raised(tmp_path: Path) -> None:
    settings = store_of(tmp_path, [window(i, value) for i, value in enumerate([5.0, 9.0, 9.0, 5.0])])
    asked = {"rule": 'kind = "limit"\nfigure = "cells"\nabove = 8', "source": "store:lab"}
    with client_of(LiveModel(), settings) as client:
        told = client.get("/api/v1/alerts/trial/figures", params=asked).json()
        at = told["columns"].index
        assert [(row[at("value")], row[at("raised")]) for row in told["rows"]] == [
            (5, 0),
            (9, 1),
            (9, 1),
            (5, 0),
        ]
        csv = client.get("/api/v1/alerts/trial/figures", params={**asked, "format": "csv"})
        assert csv.headers["content-disposition"] == 'attachment; filename="trial.csv"'
        assert len(csv.text.splitlines()) == 5
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
        parquet = client.get("/api/v1/alerts/trial/figures", params={**asked, "format": "parquet"})
        assert parquet.content[:4] == b"PAR1"
        wrong = client.get("/api/v1/alerts/trial/figures", params={**asked, "rule": "kind = "})
        assert wrong.status_code == 409


def test_the_histogram_of_latencies_is_given_as_a_table() -> None:
    model = filled(window(0, 1.0))
    with model.reading() as cameras:
        cameras["scope-1"].view.latencies.extend((time.monotonic(), ms) for ms in (7.0, 700.0, 1e9))
    with client_of(model, Settings()) as client:
        told = client.get("/api/v1/health/latencies").json()
        rows = [row for row in told["rows"] if row[3]]
        assert rows == [["scope-1", 0, 10, 1], ["scope-1", 500, 1000, 1], ["scope-1", 10_000, None, 1]]
        csv = client.get("/api/v1/health/latencies?format=csv").text.splitlines()
    assert csv[0] == "camera,over_ms,to_ms,frames"
    assert csv[-1] == "scope-1,10000,,1"


def test_the_store_that_the_page_was_given_is_offered_and_tried(tmp_path: Path) -> None:
    windows = [window(i, value) for i, value in enumerate([5.0, 9.0])]
    other = store_of(tmp_path, windows)
    given = SqliteConfig(path=tmp_path / "store.sqlite")
    nothing = parse_settings('kafka.bootstrap_servers = "127.0.0.1:1"\n', environment={})
    assert list(sources(nothing, None)) == ["topic"]
    assert list(sources(nothing, given)) == ["topic", "store"]
    # One that is a sink's has its name already.
    assert list(sources(other, other.sinks["lab"])) == ["topic", "store:lab"]
    asked = {"rule": 'kind = "limit"\nfigure = "cells"\nabove = 8', "source": "store"}
    with client_of(LiveModel(), nothing, database=given) as client:
        assert len(client.post("/api/v1/alerts/trial", json=asked).json()["alerts"]) == 1
    with client_of(LiveModel(), nothing) as client:
        assert client.post("/api/v1/alerts/trial", json=asked).status_code == 409


def test_an_alert_that_memory_no_longer_has_is_the_stores_with_its_end_remark_and_figures(
    tmp_path: Path,
) -> None:
    closed = window(0, 9.0)
    settings = store_of(tmp_path, [closed, RAISED, SEEN, CLEARED])
    given = SqliteConfig(path=tmp_path / "store.sqlite")
    with client_of(LiveModel(), settings, database=given) as client:
        (row,) = client.get("/api/v1/alerts?state=past").json()
        assert (row["id"], row["cleared"]["reason"]) == (RAISED.event_id, "cells 7")
        assert [one["who"] for one in row["acknowledged"]] == ["ann"]
        assert client.get("/api/v1/alerts").json() == []
        one = client.get("/api/v1/alerts/one", params={"alert": RAISED.event_id}).json()
        assert (one["alert"]["cleared"]["reason"], one["windows"][0]["figures"][0]["value"]) == (
            "cells 7",
            9.0,
        )
        assert client.get("/api/v1/alerts/one", params={"alert": "nobody"}).status_code == 404
    # An active one that is older than the windows that were looked back on has its figures from there, too.
    with client_of(filled(RAISED), settings, database=given) as client:
        one = client.get("/api/v1/alerts/one", params={"alert": RAISED.event_id}).json()
        assert [each["window"] for each in one["windows"]] == ["minute"]
    both = filled(RAISED, CLEARED)
    with client_of(both, settings, database=given) as client:
        assert len(client.get("/api/v1/alerts?state=past").json()) == 1


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    yield from running_server()


def test_postgresql_answers_as_sqlite_does(tmp_path: Path, postgres: Postgres) -> None:
    told = [window(0, 9.0), window(1, 5.0), window(0, 9.0, "scope-2"), RAISED, SEEN, CLEARED]
    store_of(tmp_path, told)
    database = PostgresConfig(kind="postgres", url=postgres.url)
    sink = database.build()
    sink.open()
    sink.write(told)
    sink.close()
    answers = []
    for given in (SqliteConfig(path=tmp_path / "store.sqlite"), database):
        past = PastAlerts(given)
        assert past.alert("nobody") is None
        known = [past.newest(), past.alert(RAISED.event_id), past.windows_of(RAISED)]
        answers.append([*known, stored_windows(given, "a", "scope-1"), len(stored_windows(given))])
    assert answers[0] == answers[1]
    assert [len(answers[0][0]), len(answers[0][2]), answers[0][4]] == [1, 1, 3]


def test_a_store_that_cannot_be_asked_is_told_and_no_fault(tmp_path: Path) -> None:
    nowhere = SqliteConfig(path=tmp_path / "nowhere.sqlite")
    with client_of(filled(RAISED), Settings(), database=nowhere) as client:
        assert len(client.get("/api/v1/alerts").json()) == 1
        answer = client.get("/api/v1/alerts?state=past")
        assert (answer.status_code, "there is no store" in answer.json()["detail"]) == (503, True)
        assert client.get("/api/v1/alerts/one", params={"alert": "nobody"}).status_code == 503


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("kind = ", "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("", "kind"),
        ('[alerts.a]\nkind = "silent"\n', "goes by the clock"),
        ('[alerts.a]\nkind = "limit"\nfigure = "cels"\nabove = 1\n', "'cells'"),
        ('[alerts.a]\nkind = "limit"\nfigure = "cells"\nabov = 1\n', "did you mean 'above'"),
        ('[alerts.a]\nkind = "limit"\n[alerts.b]\nkind = "limit"\n', "give one table"),
        ('[kafka]\nbootstrap_servers = "x"\n', "kind"),
        ('[alerts.a]\nkind = "limit"\nfigure = "cells"\nabove = 1\n[kafka]\n', "give one table"),
        ("alerts = 3", "give one table"),
    ],
)
def test_a_rule_that_is_not_right_is_told_why(tmp_path: Path, rule: str, words: str) -> None:
    with client_of(LiveModel(), store_of(tmp_path, [window(0, 1.0)])) as client:
        answer = client.post("/api/v1/alerts/trial", json={"rule": rule, "source": "store:lab"})
    assert answer.status_code == 409
    assert words in answer.json()["detail"]


def test_what_is_drawn_is_bounded_and_what_is_judged_is_not(tmp_path: Path) -> None:
    windows = [window(i, 9.0 if i == 2 * MOST_POINTS else 1.0) for i in range(2 * MOST_POINTS + 2)]
    trial = try_rule(
        store_of(tmp_path, windows), None, 'kind = "limit"\nfigure = "cells"\nabove = 8', "store:lab", "", ""
    )
    assert MOST_POINTS / 2 < len(trial.figures["scope-1"]) <= MOST_POINTS
    assert len(trial.alerts) == 1


def test_latencies_lie_in_the_bin_that_they_reach() -> None:
    assert histogram([]) == []
    told = histogram([0.0, 10.0, 10.1, 700.0, 1e9])
    assert [one.to_ms for one in told] == [*LATENCY_BINS_MS, None]
    assert {one.to_ms: one.frames for one in told if one.frames} == {10: 2, 20: 1, 1000: 1, None: 1}
