"""The API of a running page with broker and store, asked with whatever schemathesis thinks of: no answer is 5xx.

Without a broker the same is asked in `tests/unit/service/test_dashboard_schema.py`, where 503 is what is described.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="needs the extra dashboard")
import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from streamcount.service.broker import Broker
from tests.integration.service import STARTED_S, Service, camera_text, counted, worker_text

pytestmark = pytest.mark.broker

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STORE = """
[windows.short]
length_s = 5
[alerts.crowded]
kind = "limit"
figure = "cells"
window = "short"
above = 3
[sinks.store]
kind = "sqlite"
path = "{folder}/store.sqlite"
"""


@pytest.fixture(scope="module")
def url(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page that has heard a camera, an alert and a window, and reads a store that has them."""
    folder = tmp_path_factory.mktemp("answers")
    text = (
        worker_text("answers", folder) + camera_text("0", rate_hz=5) + STORE.format(folder=folder.as_posix())
    )
    service = Service(broker.bootstrap_servers, folder, text, "answers")
    try:
        service.start("worker")
        service.start("camera", "0")
        service.start("sink")
        service.events_until(lambda found: len(counted(found, "0")) > 60)
        service.start(
            "dashboard", "--port", "0", "--store", f"{folder}/store.sqlite", "--corrections", f"{folder}/kept"
        )
        yield _answering(service)
    finally:
        service.close()


def _answering(service: Service) -> str:
    """Where the page is, once it tells the camera's cells and the store its past."""
    log = service.folder / f"dashboard-{len(service.processes) - 1}.log"
    deadline, base = time.monotonic() + STARTED_S, ""
    while time.monotonic() < deadline:
        found = re.search(r"at (http://\S+)/;", log.read_text())
        if found and (base := f"{found.group(1)}/api/v1"):
            cells = httpx.get(f"{base}/cameras/0/cells")
            past = httpx.get(f"{base}/cameras/0/history")
            if cells.is_success and past.is_success and past.json()["from_ms"] is not None:
                return found.group(1)
        time.sleep(0.3)
    pytest.fail(f"waited in vain for {base}\n{service.logs()}")


def test_the_document_describes_what_is_taken_and_answered(url: str) -> None:
    document = httpx.get(f"{url}/api/v1/openapi.json").json()
    posts = {path: one["post"] for path, one in document["paths"].items() if "post" in one}
    assert len(posts) == 4
    for path, post in posts.items():
        assert post["requestBody"]["content"]["application/json"]["schema"], path
    cameras = document["paths"]["/api/v1/cameras"]["get"]["responses"]["200"]["content"]["application/json"]
    assert cameras["schema"]["items"]["$ref"].endswith("/CameraSummary")


def test_no_answer_is_a_fault_and_each_is_as_described(url: str) -> None:
    # The stream has no end, and is tested by itself.
    api = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json").exclude(path="/api/v1/stream")
    asked: list[str] = []
    for described in api.get_all_operations():
        operation = described.ok()

        @settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        ask()
        asked.append(operation.label)
    assert "GET /api/v1/cameras/{camera_id}/history/counts" in asked
    assert len(asked) > 20
