"""The deployment files, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from streamcount.config import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return path


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def published_ports(text: str) -> list[str]:
    return re.findall(r'^ +- "?((?:[\d.]+:)?\d+:\d+)', text, re.M)


def test_compose_accepts_the_file():
    out = run(tool("docker-compose", "docker-compose"), "-f", "docker-compose.yml", "config")
    for service in (
        "kafka",
        "topics",
        "worker",
        "camera-1",
        "camera-2",
        "sink",
        "snapshots",
        "alerts",
        "dashboard",
        "prometheus",
        "grafana",
    ):
        assert f"\n  {service}:" in out


def test_every_port_is_published_on_the_loopback_address_only():
    ports = published_ports((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert len(ports) >= 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_accepts_the_configuration_and_the_rules_fire_as_meant():
    promtool = tool("promtool", "prometheus")
    assert "SUCCESS" in run(promtool, "check", "config", str(DEPLOY / "prometheus.yml"))
    assert "SUCCESS" in run(promtool, "test", "rules", str(DEPLOY / "rules.test.yml"))


def test_each_rule_is_tested_when_it_must_be_silent_and_when_it_must_not():
    rules = re.findall(r"- alert: (\w+)", (DEPLOY / "rules.yml").read_text("utf-8"))
    asked = (DEPLOY / "rules.test.yml").read_text("utf-8").split("- eval_time: ")[1:]
    fires = {rule: {"exp_alerts" in one for one in asked if f"alertname: {rule}\n" in one} for rule in rules}
    assert set(rules) == {rule for rule, asked_for in fires.items() if asked_for == {True, False}}


def test_the_operator_is_told_what_to_do_about_each_rule():
    rules = re.findall(r"- alert: (\w+)", (DEPLOY / "rules.yml").read_text("utf-8"))
    rows = re.findall(r"^\| `(Streamcount\w+)`", (ROOT / "docs" / "operating.md").read_text("utf-8"), re.M)
    assert sorted(rows) == sorted(rules)


@pytest.mark.parametrize("file", ["rules.yml", "grafana/streamcount.json"])
def test_rules_and_dashboard_speak_of_metrics_that_exist(file: str):
    from prometheus_client import CollectorRegistry

    from streamcount.service.camera.metrics import CameraMetrics
    from streamcount.service.worker.metrics import WorkerMetrics

    camera = CollectorRegistry()
    CameraMetrics(camera)
    families = [*camera.collect(), *WorkerMetrics().registry.collect()]
    # A labelled family has no samples before its first use, so its names follow from its type.
    endings = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_sum", "_count"),
        "gauge": ("",),
        "info": ("_info",),
    }
    known = {family.name + ending for family in families for ending in endings[family.type]}
    used = set(re.findall(r"streamcount_\w+", (DEPLOY / file).read_text("utf-8")))
    assert len(used) >= 4
    assert used <= known


def test_the_dashboard_asks_the_data_source_that_is_provided():
    board = json.loads((DEPLOY / "grafana" / "streamcount.json").read_text("utf-8"))
    uids = {panel["datasource"]["uid"] for panel in board["panels"]}
    assert [f"uid: {uid}" in (DEPLOY / "grafana" / "datasource.yml").read_text("utf-8") for uid in uids] == [
        True
    ]


def test_the_container_s_configuration_is_right_and_reaches_prometheus():
    settings = load_settings(DEPLOY / "streamcount.toml", environment={})
    assert settings.worker.host == "0.0.0.0"
    assert settings.worker.port == 9464
    assert set(settings.cameras) == {"scope-1", "scope-2"}
    assert settings.kafka.bootstrap_servers == "kafka:29092"
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert "CONTAINERS://kafka:29092" in compose
    for camera in settings.cameras:
        assert f'["camera", "{camera}"' in compose


def test_compose_runs_commands_that_exist_with_options_that_they_take():
    import typer.main

    from streamcount.cli import app

    every = typer.main.get_command(app)
    found = re.findall(r'^    command: (\[".*\])$', (ROOT / "docker-compose.yml").read_text("utf-8"), re.M)
    assert len(found) >= 4
    for text in found:
        command, arguments = every, json.loads(text)
        while hasattr(command, "commands"):
            command, arguments = command.commands[arguments[0]], arguments[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_the_dockerfile_takes_files_that_the_ignore_file_lets_through():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.M)
    paths = [path for line in copied for path in line.split()]
    assert "streamcount" in paths
    for path in paths:
        assert (ROOT / path).exists(), path
        allowed = "!requirements/*.txt" if path.startswith("requirements/") else f"!{path}"
        assert allowed in ignored, path


def test_the_image_runs_without_privileges_and_is_watched():
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001$", final, re.M)
    assert "HEALTHCHECK" in final
    assert "/livez" in final
    assert '["streamcount"]' in final
    assert "--require-hashes" in final
    assert not re.search(r"^FROM \S+:latest|^FROM [^:\s]+$", text, re.M)
