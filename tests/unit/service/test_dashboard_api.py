"""The page's API and its guard, asked as a client asks, on a model without Kafka."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, MutableMapping
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra dashboard")
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from streamcount.config import Settings, parse_settings
from streamcount.errors import ConfigurationError
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.camera import Picture
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.guard import TOKEN_VARIABLE, Guard, made_token, token_for
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.pictures import ScaledPictures, scaled_jpeg
from streamcount.types import AlertRaised, CountsUpdated, FrameMetadata, FramesMissing
from streamcount.wire import encode_event, encode_image
from streamcount.wire.cloudevents import frame_headers

TOKEN = "a-token-that-is-long-enough"
URL = "http://127.0.0.1:8765"


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return encode_image(np.full((height, width, 3), 90, np.uint8), "jpeg")


def fill(model: LiveModel) -> None:
    now_ns = time.time_ns()
    common = {"camera_id": "scope-1", "run_id": "a", "happened_at_ns": now_ns, "decided_at_ns": now_ns}
    counted = CountsUpdated(
        **common, sequence=0, counts={"red": 4}, total=4, confirmed_tracks=4, cells_seen=4
    )
    missing = FramesMissing(**common, sequence=1, last_sequence=2, reason="dropped")
    raised = AlertRaised(**common, sequence=0, rule="crowded", reason="cells 4 > 3", severity="critical")
    metadata = FrameMetadata(camera_id="scope-1", run_id="a", sequence=0, acquired_at_ns=now_ns)
    headers = frame_headers(metadata, "image/jpeg")
    stamp = now_ns // 10**6
    for taken in (
        Taken("frames", 0, 0, b"scope-1", jpeg(), headers, stamp),
        Taken("counts", 0, 0, b"scope-1", encode_event(counted), [], stamp),
        Taken("events", 0, 0, b"scope-1", encode_event(missing), [], stamp),
        Taken("alerts", 0, 0, b"scope-1", encode_event(raised), [], stamp),
    ):
        model.take(taken, time.monotonic(), now_ns)


@pytest.fixture
def dashboard() -> Dashboard:
    settings, model = Settings(), LiveModel()
    fill(model)
    return Dashboard(settings, Feed(settings, model), model)


@pytest.fixture
def client(dashboard: Dashboard) -> Iterator[TestClient]:
    with TestClient(Guard(make_api(dashboard)), base_url=URL) as client:
        yield client


@pytest.fixture
def guarded(dashboard: Dashboard) -> Iterator[TestClient]:
    app = Guard(make_api(dashboard), TOKEN, ["lab-pc"])
    with TestClient(app, base_url=URL, follow_redirects=False) as client:
        yield client


def test_cameras_are_told_with_their_frames_accounted_for(client: TestClient) -> None:
    (camera,) = client.get("/api/v1/cameras").json()
    assert (camera["camera_id"], camera["state"], camera["counts"]) == ("scope-1", "live", {"red": 4})
    account = camera["account"]
    assert (account["published"], account["counted"], account["missing"], account["difference"]) == (
        3,
        1,
        2,
        0,
    )
    assert (camera["alerts"], camera["severity"]) == (["crowded"], "critical")
    assert client.get("/api/v1/cameras/scope-1").json()["camera_id"] == "scope-1"


def test_a_configured_camera_that_was_never_heard_is_told_everywhere() -> None:
    settings, model = (
        parse_settings('[cameras.spare.source]\nkind = "simulated"\n', environment={}),
        LiveModel(),
    )
    dashboard = Dashboard(settings, Feed(settings, model), model)
    model.expect(["spare"], time.monotonic() - 60)
    with TestClient(Guard(make_api(dashboard)), base_url=URL) as client:
        (camera,) = client.get("/api/v1/cameras").json()
        assert (camera["camera_id"], camera["state"], camera["account"]) == ("spare", "unheard", None)
        assert client.get("/api/v1/cameras/spare").json()["since"] == camera["since"]
        (row,) = client.get("/api/v1/health").json()["cameras"]
        assert row["summary"]["state"] == "unheard"
        assert client.get("/api/v1/cameras/spare/picture").status_code == 404
        assert client.get("/api/v1/cameras/spare/counts").json() == []


def test_a_picture_is_scaled_to_who_looks_and_never_enlarged(client: TestClient) -> None:
    answer = client.get("/api/v1/cameras/scope-1/picture?width=640")
    assert (answer.headers["content-type"], answer.headers["x-sequence"]) == ("image/jpeg", "0")
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert client.get("/api/v1/cameras/scope-1/picture?run=a&sequence=0").status_code == 200
    assert client.get("/api/v1/cameras/scope-1/picture?run=a&sequence=7").status_code == 404


def test_cells_of_a_frame_that_nobody_has_followed_are_not_made_up(client: TestClient) -> None:
    cells = client.get("/api/v1/cameras/scope-1/cells").json()
    assert (cells["run"], cells["sequence"], cells["cells"]) == ("a", 0, None)
    assert client.get("/api/v1/cameras/scope-1/cells?after=a/0").status_code == 204


def test_counts_events_alerts_and_health(client: TestClient) -> None:
    (point,) = client.get("/api/v1/cameras/scope-1/counts").json()
    assert point["total"] == 4
    kinds = [event["kind"] for event in client.get("/api/v1/cameras/scope-1/events").json()]
    assert kinds == ["FramesMissing", "AlertRaised"]
    assert client.get("/api/v1/cameras/scope-1/windows").json() == []
    (alert,) = client.get("/api/v1/alerts").json()
    assert (alert["rule"], alert["reason"]) == ("crowded", "cells 4 > 3")
    assert client.get("/api/v1/alerts?state=past").json() == []
    health = client.get("/api/v1/health").json()
    assert (health["lag"], health["cameras"][0]["dead_letters"]) == (None, [])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/cameras/nobody", 404),
        ("/api/v1/cameras/nobody/picture", 404),
        ("/api/v1/cameras/scope-1/picture?width=1", 422),
        ("/api/v1/cameras/scope-1/picture?width=99999999999999999999", 422),
        ("/api/v1/cameras/scope-1/picture?run=a&sequence=99999999999999999999", 422),
        ("/api/v1/cameras/..%2F..%2Fetc%2Fpasswd", 404),
        ("/api/v1/cameras/%00/events", 422),
        ("/api/v1/cameras/scope-1/events?limit=0", 422),
        ("/api/v1/alerts?state=maybe", 422),
    ],
)
def test_bad_requests_are_refused_and_say_so(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert "detail" in answer.json()


def test_openapi_describes_every_path(client: TestClient) -> None:
    described = client.get("/api/v1/openapi.json").json()
    assert set(described["paths"]) >= {
        "/api/v1/cameras", "/api/v1/cameras/{camera_id}/picture", "/api/v1/alerts", "/api/v1/health", "/api/v1/stream"
    }  # fmt: skip


def streamed(dashboard: Dashboard, headers: dict[str, str]) -> list[tuple[str, str]]:
    """Ids and kinds of what the stream tells at once to whoever asks with these headers."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/api/v1/stream", "raw_path": b"/api/v1/stream", "root_path": "", "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }  # fmt: skip
    told: list[bytes] = []
    api = make_api(dashboard)

    async def ask() -> None:
        asked, heard = [{"type": "http.request", "body": b"", "more_body": False}], asyncio.Event()

        async def receive() -> dict[str, Any]:
            if asked:
                return asked.pop()
            await heard.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if not told:
                asyncio.get_running_loop().call_later(0.1, heard.set)
            told.append(message.get("body", b""))

        await api(scope, receive, send)

    asyncio.run(ask())
    return re.findall(r"id: (\S+)\nevent: (\S+)", b"".join(told).decode())


def test_the_stream_goes_on_where_it_was_and_after_a_restart_from_the_beginning(dashboard: Dashboard) -> None:
    process = dashboard.process
    everything = [(f"{process}-1", "FramesMissing"), (f"{process}-2", "AlertRaised")]
    assert streamed(dashboard, {}) == []
    assert streamed(dashboard, {"last-event-id": f"{process}-1"}) == everything[1:]
    assert streamed(dashboard, {"last-event-id": f"{process}-2"}) == []
    for foreign in ("1769860800000-1500", "1500", "-1", f"{process}-", f"{process}-9", "\xe9"):
        assert streamed(dashboard, {"last-event-id": foreign}) == everything, foreign


def test_nothing_comes_from_outside_and_no_page_frames_ours(client: TestClient) -> None:
    headers = client.get("/api/v1/cameras").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_that_was_pointed_at_us_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/cameras", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "[::1]:8765", "192.168.1.5:8765"])
def test_addresses_and_localhost_are_served(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/cameras", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_other_sites_pages_are_refused(client: TestClient, origin: str) -> None:
    assert client.get("/api/v1/cameras", headers={"origin": origin}).status_code == 403
    assert client.get("/api/v1/cameras", headers={"origin": URL}).status_code == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"]
)
def test_without_the_token_there_is_nothing(guarded: TestClient, given: str) -> None:
    for path in (
        "/",
        "/api/v1/cameras",
        "/api/v1/openapi.json",
        "/api/v1/cameras/scope-1/picture",
        "/nothing",
    ):
        answer = guarded.get(path, headers={"authorization": given.encode("latin-1")})
        assert answer.status_code == 401
        assert "scope-1" not in answer.text


def test_with_the_token_there_is_everything(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/cameras", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    headers = {"authorization": f"Bearer {TOKEN}", "host": "lab-pc:8765"}
    assert guarded.get("/api/v1/cameras", headers=headers).status_code == 200


def test_a_browser_is_asked_for_the_token_and_gets_a_session(guarded: TestClient) -> None:
    asked = guarded.get("/", headers={"accept": "text/html"})
    assert (asked.status_code, asked.headers["location"]) == (303, "/login")
    assert "Access token" in guarded.get("/login").text
    assert guarded.post("/login", data={"token": "wrong"}).status_code == 403
    assert guarded.get("/api/v1/cameras").status_code == 401
    answer = guarded.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/api/v1/cameras").status_code == 200


def test_a_login_from_another_site_or_too_long_is_refused(guarded: TestClient) -> None:
    data = {"token": TOKEN}
    assert guarded.post("/login", data=data, headers={"origin": "http://evil.example"}).status_code == 403
    assert guarded.post("/login", data={"token": "x" * 10_000}).status_code == 413


def test_a_websocket_needs_the_token_too(guarded: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("/_nicegui_ws/socket.io"):
        pass


def test_beyond_loopback_there_must_be_a_token() -> None:
    assert token_for("127.0.0.1", {}) == token_for("::1", {}) == token_for("localhost", {}) == ""
    for host in ("0.0.0.0", "::", "192.168.1.5", "lab-pc"):
        with pytest.raises(ConfigurationError, match=TOKEN_VARIABLE):
            token_for(host, {})
    with pytest.raises(ConfigurationError, match="longer"):
        token_for("127.0.0.1", {TOKEN_VARIABLE: "short"})
    assert token_for("0.0.0.0", {TOKEN_VARIABLE: TOKEN}) == TOKEN


def test_a_token_is_made_where_none_is_set_and_only_there() -> None:
    environment = {TOKEN_VARIABLE: " "}
    made = made_token(environment)
    assert token_for("0.0.0.0", environment) == made
    assert made_token(environment) == ""
    assert made_token({TOKEN_VARIABLE: TOKEN}) == ""
    assert made != made_token({})


def test_sixteen_bits_are_spread_over_eight() -> None:
    image = np.tile(np.linspace(100, 1100, 64).astype(np.uint16), (48, 1))
    shown = cv2.imdecode(np.frombuffer(scaled_jpeg(image, 64), np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.min() < 10
    assert shown.max() > 245


def test_pictures_are_made_once_for_all_who_look() -> None:
    scaled = ScaledPictures(10**6)
    picture = Picture("a", 0, 0, 0, "image/jpeg", jpeg(640, 480), 0.0)
    once = scaled.jpeg("scope-1", picture, 300)
    assert scaled.jpeg("scope-1", picture, 320) is once
    assert cv2.imdecode(np.frombuffer(once, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)
