"""The containers of docker-compose.yml, built and started: `make containers`. Elsewhere this is skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WANTED = "STREAMCOUNT_TEST_CONTAINERS"
PROJECT = "streamcount-test"
PAGE, PROMETHEUS = "http://127.0.0.1:8765", "http://127.0.0.1:9090"
SERVICES = (
    *("kafka", "topics", "worker", "camera-1", "camera-2", "sink", "snapshots", "alerts", "dashboard"),
    "prometheus",
)
PATIENCE_S = 300.0


def command(*words: str, seconds: float = 900) -> str:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def compose(*words: str) -> str:
    # Docker's own, or Debian's older program.
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=60)
    program = ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]
    return command(*program, "-p", PROJECT, "-f", "docker-compose.yml", *words)


@pytest.fixture(scope="module")
def stack() -> Iterator[None]:
    if not os.environ.get(WANTED):
        pytest.skip(
            f"`make containers` runs it: it builds an image and takes ports; needs Docker ({WANTED}=1)"
        )
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no Docker engine answers (Debian: apt-get install docker.io docker-compose)")
    compose("build", "worker")
    try:
        compose("up", "-d", "--no-build", *SERVICES)
        yield
    finally:
        compose("down", "-v")


def asked(url: str, token: str = "") -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def until(what: str, holds: Callable[[], Any]) -> Any:
    """What `holds` returns once it is true. Fails with what it was last."""
    end, last = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < end:
        try:
            last = holds()
        except (OSError, urllib.error.URLError) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(2)
    pytest.fail(f"{what}: {last!r}; {compose('logs', '--tail', '20')}")


def states() -> dict[str, str]:
    lines = command(
        "docker", "ps", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format",
        '{{.Label "com.docker.compose.service"}}\t{{.Status}}',
    ).splitlines()  # fmt: skip
    return dict(line.split("\t") for line in lines)


def accounts(token: str) -> list[dict[str, Any]]:
    """Of each camera the sum of its frames, as the page tells it."""
    cameras = asked(f"{PAGE}/api/v1/cameras", token)
    return [one["account"] for one in cameras if one["account"] is not None]


def test_every_container_is_healthy_and_every_frame_accounted_for_even_when_a_worker_is_killed(
    stack: None,
) -> None:
    def all_healthy() -> bool:
        found = states()
        return all(
            "healthy" in state for name, state in found.items() if name not in ("topics", "prometheus")
        )

    until("health", lambda: len(states()) >= len(SERVICES) - 1 and all_healthy())
    assert urllib.request.urlopen(f"{PAGE}/login", timeout=30).status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        asked(f"{PAGE}/api/v1/cameras")
    (token,) = re.findall(r"Its token until then: (\S+)", compose("logs", "dashboard"))

    def counted(least: int) -> list[dict[str, Any]]:
        every = accounts(token)
        enough = len(every) == 2 and all(one["counted"] >= least for one in every)
        return every if enough and not any(one["difference"] for one in every) else []

    before = until("two cameras counted", lambda: counted(50))
    command("docker", "kill", *command("docker", "ps", "-q", "--filter", f"name={PROJECT}.worker").split())
    compose("up", "-d", "--no-build", "worker")
    least = max(one["counted"] for one in before) + 100
    after = until("counted again after a kill", lambda: counted(least))
    assert all(one["missing"] == one["dead_lettered"] == 0 for one in after)


def test_the_store_the_rules_and_the_dashboard_of_grafana_have_their_figures(stack: None) -> None:
    told = ["streamcount", "query", "counts", "--config", "/etc/streamcount.toml", "--sink", "store", "--csv"]
    until("counts in the store", lambda: "scope-2" in compose("exec", "-T", "dashboard", *told))

    def results(query: str) -> list[Any]:
        answer = asked(f"{PROMETHEUS}/api/v1/query?query={urllib.parse.quote(query)}")
        return list(answer["data"]["result"])

    board = json.loads((ROOT / "deploy" / "grafana" / "streamcount.json").read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            query = re.sub(r"\$\{?camera\}?", ".*", target["expr"]).replace("$__rate_interval", "1m")
            if "missing" in query:
                # Nothing is missing, and so there is no figure.
                results(query)
            else:
                until(panel["title"], lambda query=query: results(query))
    groups = asked(f"{PROMETHEUS}/api/v1/rules")["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert len(health) >= 8
    assert set(health.values()) == {"ok"}
