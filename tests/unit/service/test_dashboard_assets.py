"""Scripts and styles are made once, whoever asks, and before anybody does; what may change is asked for each time."""

from __future__ import annotations

import gzip
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nicegui", reason="needs the extra dashboard")
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from streamcount.config import parse_settings
from streamcount.detection.bundle import Bundle, load_bundle
from streamcount.service.dashboard.assets import Assets
from streamcount.service.dashboard.page import parts

SCRIPT = "/_nicegui/1/static/a.js"
STYLE = "/_nicegui/1/static/b.css"
LASTING = {"cache-control": "public, max-age=31536000, immutable"}
TEXT = "let cells = 48;\n" * 200


@pytest.fixture
def asked() -> Counter[str]:
    return Counter()


@pytest.fixture
def client(asked: Counter[str]) -> Iterator[TestClient]:
    def page(request: Request) -> Response:
        asked["/"] += 1
        return PlainTextResponse(f'<script src="{SCRIPT}"></script>')

    def file(request: Request) -> Response:
        asked[request.url.path] += 1
        status = 404 if "lost" in request.url.path else 200
        headers = {} if "changing" in request.url.path else LASTING
        return PlainTextResponse(TEXT, status, headers)

    routes = [Route("/", page), Route("/_nicegui/{path:path}", file)]
    with TestClient(Assets(Starlette(routes=routes, middleware=[Middleware(GZipMiddleware)]))) as client:
        deadline = time.monotonic() + 30
        while not asked[SCRIPT] and time.monotonic() < deadline:
            time.sleep(0.01)
        yield client


def test_what_the_first_page_names_is_ready_before_anybody_asks(
    client: TestClient, asked: Counter[str]
) -> None:
    assert asked == {"/": 1, SCRIPT: 1}
    answer = client.get(SCRIPT, headers={"accept-encoding": "gzip"})
    assert (answer.text, answer.headers["content-encoding"]) == (TEXT, "gzip")
    assert answer.headers["cache-control"] == LASTING["cache-control"]
    assert asked == {"/": 1, SCRIPT: 1}


def test_a_file_is_made_once_for_those_who_take_it_deflated_and_once_for_others(
    client: TestClient, asked: Counter[str]
) -> None:
    for coding in ("gzip", "identity", "gzip", "identity"):
        answer = client.get(STYLE, headers={"accept-encoding": coding})
        assert answer.text == TEXT
        assert answer.headers.get("content-encoding", "identity") == coding
    assert asked[STYLE] == 2
    assert len(gzip.compress(TEXT.encode())) < len(TEXT)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/_nicegui/1/lost.js", {}),
        ("/_nicegui/1/changing.js", {}),
        (f"{STYLE}?other=1", {}),
        (STYLE, {"range": "bytes=0-9"}),
        (STYLE, {"if-none-match": '"x"'}),
        ("/", {}),
    ],
)
def test_what_may_change_is_asked_for_each_time(
    client: TestClient, asked: Counter[str], path: str, headers: dict[str, str]
) -> None:
    before = asked[path.partition("?")[0]]
    for _ in range(2):
        client.get(path, headers=headers)
    assert asked[path.partition("?")[0]] == before + 2


def test_a_model_that_cameras_share_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read: list[str] = []

    def counting(name: str) -> Bundle:
        read.append(name)
        return load_bundle(name)

    monkeypatch.setattr(parts, "load_bundle", counting)
    parts._model_colors.cache_clear()
    settings = parse_settings('detector = { kind = "tflite", model = "blood-smear" }', environment={})
    names = tuple(one.name for one in load_bundle("blood-smear").classes)
    styles = [parts.class_styles(settings, f"scope-{number}", names) for number in range(3)]
    assert styles[0] == styles[2]
    assert read == ["blood-smear"]
