"""The API against its own OpenAPI document, asked with whatever schemathesis thinks of."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from streamcount.config import Settings
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.writing import Writing
from streamcount.types import AlertRaised, CountsUpdated, FrameMetadata
from streamcount.wire import encode_event
from streamcount.wire.cloudevents import frame_headers


class Away(Feed):
    """A Kafka that is away, and known to be: nobody waits for it."""

    @property
    def trouble(self) -> str:
        return "there is no Kafka here"


def _schema() -> Any:
    configuration, model = Settings(), LiveModel()
    now_ns = time.time_ns()
    # Names are tried from the shortest on, and so this camera is found.
    metadata = FrameMetadata(camera_id="0", run_id="0", sequence=0, acquired_at_ns=now_ns)
    times = {"happened_at_ns": now_ns, "decided_at_ns": now_ns}
    counted = CountsUpdated(
        camera_id="0",
        run_id="0",
        sequence=0,
        **times,
        counts={"red": 1},
        total=1,
        confirmed_tracks=1,
        cells_seen=1,
    )
    raised = AlertRaised(camera_id="0", run_id="0", sequence=0, **times, rule="0", reason="too many")
    headers = frame_headers(metadata, "image/jpeg")
    model.take(Taken("frames", 0, 0, b"0", b"no JPEG", headers, now_ns // 10**6), time.monotonic(), now_ns)
    model.take(
        Taken("counts", 0, 0, b"0", encode_event(counted), [], now_ns // 10**6), time.monotonic(), now_ns
    )
    model.take(Taken("dead-letters", 0, 0, b"0", b"", [], now_ns // 10**6), time.monotonic(), now_ns)
    model.take(
        Taken("alerts", 0, 0, b"0", encode_event(raised), [], now_ns // 10**6), time.monotonic(), now_ns
    )
    kept = Path(tempfile.mkdtemp(prefix="streamcount-corrections-"))
    atexit.register(shutil.rmtree, kept)
    writing = Writing(corrections=kept)
    api = make_api(Dashboard(configuration, Away(configuration, model), model, writing))
    # The stream has no end, and is tested by itself.
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", api).exclude(path="/api/v1/stream")


@_schema().parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described_and_none_is_a_fault(case: Any) -> None:
    answer = case.call()
    assert answer.status_code < 500 or answer.status_code == 503
    # Where Kafka is away 503 is what is described, and no fault of the server's.
    away = [not_a_server_error] if answer.status_code == 503 else []
    case.validate_response(answer, excluded_checks=away)
