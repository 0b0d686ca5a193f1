"""Pictures with their cells over the page's socket, asked as the page asks, on a model without Kafka."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra dashboard")
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from streamcount.config import Settings
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.cells import Cells, cells_of
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.guard import Guard
from streamcount.service.dashboard.live import UNREADABLE, WORDS_BYTES, add_live, legible
from streamcount.service.dashboard.model import NAMELESS, LiveModel, Taken
from streamcount.types import OUTLINE_POINTS, FrameMetadata
from streamcount.wire import encode_detections, encode_image, encode_tracks
from streamcount.wire.cloudevents import frame_headers
from tests.unit.service.test_dashboard_model import detections, tracks

HOST = {"host": "127.0.0.1:8765"}


def add_frame(model: LiveModel, sequence: int, data: bytes | None = None) -> None:
    now_ns = time.time_ns()
    metadata = FrameMetadata(camera_id="scope-1", run_id="a", sequence=sequence, acquired_at_ns=now_ns)
    jpeg = encode_image(np.full((48, 64, 3), 90, np.uint8), "jpeg")
    headers = frame_headers(metadata, "image/jpeg")
    taken = Taken("frames", 0, sequence, b"scope-1", jpeg if data is None else data, headers, now_ns // 10**6)
    model.take(taken, time.monotonic(), now_ns)


@pytest.fixture
def model() -> LiveModel:
    return LiveModel()


@pytest.fixture
def socket(model: LiveModel) -> Iterator[Any]:
    settings = Settings()
    dashboard = Dashboard(settings, Feed(settings, model), model)
    api = make_api(dashboard)
    add_live(api, dashboard)
    with TestClient(Guard(api)) as client, client.websocket_connect("/api/v1/live", headers=HOST) as opened:
        yield opened
    dashboard.close()


def want(view: int = 1, camera: str = "scope-1", known: str = "") -> str:
    return json.dumps({"view": view, "camera": camera, "width": 320, "known": known})


def told(answer: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(answer[:WORDS_BYTES], "little")
    return json.loads(answer[WORDS_BYTES:][:length]), answer[WORDS_BYTES + length :]


def test_each_view_gets_the_newest_picture_once_there_is_one_that_it_does_not_know(
    model: LiveModel, socket: Any
) -> None:
    socket.send_text(want(view=3))
    add_frame(model, 0)
    words, jpeg = told(socket.receive_bytes())
    assert (words["view"], words["shown"]["sequence"], words["problem"]) == (3, 0, "")
    assert jpeg.startswith(b"\xff\xd8")
    # What is known is not sent again: the next answers are about the next frames.
    for view in (3, 4):
        socket.send_text(want(view=view, known="a/0"))
    add_frame(model, 1)
    add_frame(model, 2)
    answers = [told(socket.receive_bytes())[0] for _ in range(2)]
    assert {one["view"] for one in answers} == {3, 4}
    assert {one["shown"]["sequence"] for one in answers} <= {1, 2}


def test_pictures_are_made_by_a_thread_a_core_however_many_are_wanted(model: LiveModel, socket: Any) -> None:
    for view in range(64):
        socket.send_text(want(view=view))
    add_frame(model, 0)
    assert {told(socket.receive_bytes())[0]["view"] for _ in range(64)} == set(range(64))
    making = [one for one in threading.enumerate() if one.name.startswith("pictures")]
    assert 1 <= len(making) <= (os.cpu_count() or 1)


def test_what_has_no_name_has_no_picture_and_disturbs_no_other(model: LiveModel, socket: Any) -> None:
    """Dead letters without a key have a tile as well, which asks as all do."""
    socket.send_text(want(view=1, camera=NAMELESS))
    socket.send_text(want(view=2))
    add_frame(model, 0)
    assert told(socket.receive_bytes())[0]["view"] == 2


def test_a_frame_that_is_no_picture_is_told_as_that(model: LiveModel, socket: Any) -> None:
    add_frame(model, 0, b"no JPEG")
    socket.send_text(want())
    words, jpeg = told(socket.receive_bytes())
    assert "cannot be shown" in words["problem"]
    assert not jpeg


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", want(camera="../x"), want(view=-1), '{"view": 1, "camera": "a", "width": 1}', "\x00"],
)
def test_what_no_page_would_ask_ends_the_connection(socket: Any, text: str) -> None:
    socket.send_text(text)
    with pytest.raises(WebSocketDisconnect) as ended:
        socket.receive_bytes()
    assert ended.value.code == UNREADABLE


def outlined_cells(side_px: float) -> Cells:
    """Two cells in an image 640 px wide, with outlines."""
    seen = msgspec.structs.replace(
        tracks(1), image_shape=(480, 640), boxes_px=np.tile(np.array([0, 0, side_px, 5], np.float32), (2, 1))
    )
    lines = np.full((2, OUTLINE_POINTS, 2), 90, np.uint8)
    found = msgspec.structs.replace(detections(1), outlines=lines)
    return cells_of("a", 1, 0, (encode_tracks(seen, ("red", "white")), encode_detections(found)))


@pytest.mark.parametrize(("side_px", "width", "kept"), [(20, 320, True), (20, 200, False), (12, 640, True)])
def test_outlines_are_sent_to_views_in_which_they_can_be_seen(side_px: float, width: int, kept: bool) -> None:
    every = outlined_cells(side_px)
    sent = legible(every, width)
    assert every.cells is not None
    assert sent.cells is not None
    assert every.cells.outlines is not None
    assert (sent.cells.outlines is not None) == kept
    assert msgspec.structs.replace(sent.cells, outlines=None) == msgspec.structs.replace(
        every.cells, outlines=None
    )


def test_a_frame_without_cells_is_sent_as_it_is() -> None:
    for every in (
        cells_of("a", 1, 0, (None, None)),
        cells_of("a", 1, 0, (encode_tracks(tracks(1, ()), ()), None)),
    ):
        assert legible(every, 16) == every
