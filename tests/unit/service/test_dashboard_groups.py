"""Groups of cameras on the API: their last windows, their alerts, figures over time; and a tile of theirs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="needs the extra dashboard")
from starlette.testclient import TestClient

from streamcount.config import Settings, parse_settings
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.groups import group_summary
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.page.group import tile_html
from streamcount.types import (
    GROUP_RUN,
    AlertAcknowledged,
    AlertCleared,
    AlertRaised,
    AnyEvent,
    Figure,
    WindowClosed,
)
from streamcount.wire import encode_event

S = 10**9
NOW_NS = time.time_ns() // S * S
WELL = """
[cameras.well-{0}.source]
kind = "simulated"
modality = "fluorescence"
"""
TEXT = (
    WELL.format(1)
    + WELL.format(2)
    + """
[groups.plate]
cameras = ["well-1", "well-2"]
[groups.silent]
cameras = ["well-1"]
"""
)
AT: dict[str, Any] = {
    "camera_id": "plate", "run_id": GROUP_RUN, "sequence": NOW_NS // 10**6, "happened_at_ns": NOW_NS,
    "decided_at_ns": NOW_NS,
}  # fmt: skip
RAISED = AlertRaised(
    **AT, rule="crowded", reason="cells 9 > 8", severity="warning", figure="cells", value=9.0
)
SEEN = AlertAcknowledged(
    **AT, rule="crowded", raised_at_ns=NOW_NS, who="ann", remark="on it", acknowledged_at_ns=NOW_NS + S
)
CLEARED = AlertCleared(**AT, rule="crowded", raised_at_ns=NOW_NS, reason="cells 7")


def window(ago: int, cells: float, length_s: int = 60, name: str = "minute", **more: Any) -> WindowClosed:
    end_ns = NOW_NS - ago * length_s * S
    figures = (
        Figure(name="cells", value=cells),
        Figure(name="cells", value=cells - 2, class_name="<b>red</b>"),
    )
    at = {**AT, "sequence": end_ns // 10**6, "happened_at_ns": end_ns, "decided_at_ns": end_ns}
    bounds = {"window_start_ns": end_ns - length_s * S, "window_end_ns": end_ns}
    told: dict[str, Any] = {"complete": True, "members": ("well-1", "well-2"), **more}
    return WindowClosed(**at, **bounds, window=name, final=True, figures=figures, **told)


def dashboard_of(*events: AnyEvent) -> Dashboard:
    settings: Settings = parse_settings(TEXT, environment={})
    model = LiveModel()
    for event in events:
        topic: Any = "windows" if isinstance(event, WindowClosed) else "alerts"
        taken = Taken(topic, 2, 0, b"plate", encode_event(event), [], NOW_NS // 10**6)
        model.take(taken, time.monotonic(), NOW_NS)
    return Dashboard(settings, Feed(settings, model), model)


EVENTS = (window(0, 30.0, 3600, "hour"), window(1, 8.0), window(0, 9.0), RAISED, SEEN)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(make_api(dashboard_of(*EVENTS)), base_url="http://localhost") as client:
        yield client


def test_groups_are_told_with_their_last_windows_and_those_of_the_settings_without(
    client: TestClient,
) -> None:
    plate, silent = client.get("/api/v1/groups").json()
    assert (plate["group_id"], plate["cameras"], plate["alerts"]) == (
        "plate",
        ["well-1", "well-2"],
        ["crowded"],
    )
    assert plate["severity"] == "warning"
    assert [(one["window"], one["figures"][0]["value"]) for one in plate["windows"]] == [
        ("minute", 9.0), ("hour", 30.0),
    ]  # fmt: skip
    assert (silent["group_id"], silent["windows"], silent["severity"]) == ("silent", [], "")


def test_a_group_is_no_camera_of_the_api(client: TestClient) -> None:
    configured = [one["camera_id"] for one in client.get("/api/v1/cameras").json()]
    assert configured == sorted(parse_settings(TEXT, environment={}).cameras)
    assert client.get("/api/v1/cameras/plate").status_code == 404


def test_alerts_of_groups_are_told_seen_and_cleared_as_those_of_cameras(client: TestClient) -> None:
    (row,) = client.get("/api/v1/alerts").json()
    assert (row["camera_id"], [one["who"] for one in row["acknowledged"]]) == ("plate", ["ann"])
    told = client.get("/api/v1/alerts/one", params={"alert": row["id"]}).json()
    assert [one["window"] for one in told["windows"]] == ["hour", "minute"]
    picture = client.get("/api/v1/alerts/picture", params={"alert": row["id"]})
    assert (picture.status_code, "no one frame" in picture.json()["detail"]) == (404, True)
    assert client.get("/api/v1/alerts/cells", params={"alert": row["id"]}).status_code == 404
    with TestClient(make_api(dashboard_of(*EVENTS, CLEARED)), base_url="http://localhost") as after:
        assert after.get("/api/v1/alerts").json() == []
        (past,) = after.get("/api/v1/alerts?state=past").json()
        assert past["cleared"]["reason"] == "cells 7"


def test_figures_of_a_group_over_time_are_asked_as_those_of_a_camera(client: TestClient) -> None:
    span = {"from_ms": NOW_NS // 10**6 - 200_000, "to_ms": NOW_NS // 10**6 + 1}
    path = "/api/v1/cameras/plate/history/figures"
    told = client.get(path, params={**span, "figure": "cells", "window": "minute"}).json()
    value = told["columns"].index("value")
    assert sorted(row[value] for row in told["rows"]) == [6.0, 7.0, 8.0, 9.0]
    assert client.get(path.replace("plate", "nobody"), params=span).status_code == 404


def test_a_tile_tells_who_is_missing_and_escapes_what_comes_from_kafka() -> None:
    lame = window(
        0, 9.0, members=("well-1",), members_missing=("well-2",), complete=False,
        reasons=("members-missing", "late-frames"),
    )  # fmt: skip
    dashboard = dashboard_of(lame, RAISED)
    now = group_summary(dashboard.settings, dashboard.model, "plate")
    html = tile_html(dashboard, now, lame)
    assert '<div class="total">9</div>' in html
    assert "cells in 1 of 2 cameras" in html
    assert "&lt;b&gt;red&lt;/b&gt; <b>7</b>" in html
    for chip in ("without well-2", "late-frames", "alert: crowded"):
        assert f">{chip}</span>" in html
    assert "groups run" in tile_html(
        dashboard, group_summary(dashboard.settings, dashboard.model, "silent"), None
    )
