"""The status server answers as Prometheus and a prober expect."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from streamcount.errors import ConfigurationError
from streamcount.service.status import StatusServer


class Health:
    """What the checks say, to be changed by a test."""

    ready = False

    def live(self) -> tuple[bool, dict[str, Any]]:
        return True, {"beats": 3}

    def is_ready(self) -> tuple[bool, dict[str, Any]]:
        return self.ready, {"waiting_for": [] if self.ready else ["broker"]}


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[StatusServer]:
    registry = CollectorRegistry()
    Counter("frames", "Frames.", ["outcome"], registry=registry).labels("sent").inc(7)
    with StatusServer(registry, health.live, health.is_ready) as status:
        yield status


def ask(server: StatusServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type", ""), response.read()
    finally:
        connection.close()


def test_metrics_are_readable_by_prometheus(server: StatusServer) -> None:
    status, content_type, body = ask(server, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    samples = {sample.name: (sample.labels, sample.value) for sample in families["frames"].samples}
    assert samples["frames_total"] == ({"outcome": "sent"}, 7.0)


def test_openmetrics_where_asked_for(server: StatusServer) -> None:
    _, content_type, body = ask(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_livez_and_readyz_follow_their_checks(server: StatusServer, health: Health) -> None:
    status, content_type, body = ask(server, "/livez")
    assert (status, content_type, json.loads(body)) == (200, "application/json", {"ok": True, "beats": 3})
    status, _, body = ask(server, "/readyz")
    assert (status, json.loads(body)) == (503, {"ok": False, "waiting_for": ["broker"]})
    health.ready = True
    assert ask(server, "/readyz?verbose=1")[0] == 200


def test_a_check_that_raises_is_not_well(health: Health) -> None:
    def broken() -> tuple[bool, dict[str, Any]]:
        raise RuntimeError("the loop is gone")

    with StatusServer(CollectorRegistry(), broken, health.is_ready) as server:
        status, _, body = ask(server, "/livez")
    assert status == 503
    assert json.loads(body)["error"] == "RuntimeError: the loop is gone"


def test_head_has_no_body_and_other_paths_are_not_found(server: StatusServer) -> None:
    assert ask(server, "/metrics", "HEAD")[2] == b""
    assert ask(server, "/secret")[0] == 404
    assert ask(server, "/livez", "POST")[0] == 501


def test_a_taken_port_names_the_key(server: StatusServer, health: Health) -> None:
    second = StatusServer(
        CollectorRegistry(), health.live, health.is_ready, port=server.port, port_key="worker.port"
    )
    with pytest.raises(ConfigurationError, match=r"is taken; set worker\.port"):
        second.start()


def test_closing_frees_the_port_though_a_client_hangs(health: Health) -> None:
    server = StatusServer(CollectorRegistry(), health.live, health.is_ready).start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as idle:
        idle.sendall(b"GET /livez")
        server.close()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)
