"""What operators see, asked of a real Prometheus over a running camera and worker: each panel and each rule."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamcount.service.broker import Broker
from streamcount.types import FrameMetadata
from streamcount.wire.cloudevents import frame_headers
from tests.integration.service import Service, camera_text, worker_text

pytestmark = pytest.mark.broker

DEPLOY = Path(__file__).parents[2] / "deploy"
WAIT_S = 120
CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - {{job_name: streamcount-worker, static_configs: [{{targets: ["{worker}"]}}]}}
  - {{job_name: streamcount-camera, static_configs: [{{targets: ["{camera}"]}}]}}
"""


def until(condition: Callable[[], Any], service: Service) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain\n{service.logs()}")
        time.sleep(0.2)
    return found


def metrics_of(service: Service, process: str) -> str:
    """host:port of a process's metrics, as its log tells."""

    def told() -> str:
        (log,) = service.folder.glob(f"{process}-*.log")
        found = re.search(r"metrics\b.* http://([\d.]+:\d+)", log.read_text())
        return found[1] if found else ""

    return until(told, service)


class Prometheus:
    """A server that scrapes one worker and one camera."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def values(self, expression: str) -> list[float]:
        result = self.ask("query", query=expression)["result"]
        return [float(one["value"][1]) for one in result]


@contextmanager
def prometheus(folder: Path, service: Service) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no Prometheus on this machine; Debian's package is prometheus")
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    targets = {name: metrics_of(service, name) for name in ("worker", "camera")}
    file = folder / "prometheus.yml"
    file.write_text(CONFIGURATION.format(rules=(DEPLOY / "rules.yml").as_posix(), **targets))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def asked(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Service]]:
    folder = tmp_path_factory.mktemp("operators")
    camera = camera_text("scope-1", width_px=160, height_px=120, rate_hz=4)
    text = worker_text("operators", folder) + camera
    service = Service(broker.bootstrap_servers, folder, text, "operators")
    try:
        service.start("worker")
        service.start("camera", "scope-1", "--metrics-port", "0")
        with prometheus(folder / "prometheus", service) as server:
            until(lambda: _is_up(server), service)
            publish_broken(service)
            yield server, service
    finally:
        service.close()


def publish_broken(service: Service) -> None:
    """A frame whose headers are right and whose bytes are no picture."""
    metadata = FrameMetadata(camera_id="broken", run_id="run-1", sequence=0, acquired_at_ns=time.time_ns())
    headers = frame_headers(metadata, "image/jpeg")
    with service.producer() as producer:
        producer.send(service.settings.topics.name("frames"), b"no picture", b"broken", headers).get(30)


def _is_up(server: Prometheus) -> bool:
    try:
        return sum(server.values('up{job=~"streamcount-.*"}')) == 2
    except OSError:
        return False


def panels() -> list[tuple[str, str]]:
    board = json.loads((DEPLOY / "grafana" / "streamcount.json").read_text("utf-8"))
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(("title", "expression"), panels())
def test_every_panel_has_figures(asked: tuple[Prometheus, Service], title: str, expression: str) -> None:
    server, service = asked

    def figures() -> list[float]:
        return [value for value in server.values(expression) if value == value]

    assert until(figures, service), title


def test_a_running_camera_s_frames_are_accounted_for(asked: tuple[Prometheus, Service]) -> None:
    server, service = asked
    (group,) = until(lambda: server.ask("rules")["groups"], service)
    (rule,) = (one for one in group["rules"] if one["name"] == "StreamcountFramesUnaccounted")
    told, _, forgiven = rule["query"].partition(" > ")

    def figures() -> tuple[float, float] | None:
        both = [server.values(f"sum by (camera) ({part})") for part in (told, forgiven)]
        return (both[0][0], both[1][0]) if all(len(values) == 1 for values in both) else None

    difference, most = until(figures, service)
    assert most > 2
    assert difference < most


def test_every_rule_is_evaluated_and_a_dead_letter_is_told(asked: tuple[Prometheus, Service]) -> None:
    server, service = asked
    (group,) = until(lambda: server.ask("rules")["groups"], service)
    until(lambda: all(rule["health"] == "ok" for rule in server.ask("rules")["groups"][0]["rules"]), service)
    assert len(group["rules"]) == (DEPLOY / "rules.yml").read_text("utf-8").count("- alert: ")

    def told() -> bool:
        # An increase is one over a count that was seen before.
        publish_broken(service)
        alerts = server.ask("alerts")["alerts"]
        return any(one["labels"]["alertname"] == "StreamcountDeadLetters" for one in alerts)

    until(told, service)
