"""The manual says what the code does, where that can be told by a machine."""

from __future__ import annotations

import base64
import io
import json
import re
import tomllib
import urllib.request
from pathlib import Path

import msgspec
import pytest
import typer.main

from streamcount.cli import app
from streamcount.config import Settings, parse_settings
from streamcount.config.classes import check_classes
from streamcount.service.topics import topic_specs
from streamcount.wire.deadletters import REASONS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of all code blocks of a language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.M | re.S)
    return [(page.name, match[1]) for page in PAGES for match in pattern.finditer(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_metric_is_in_the_manual_with_its_labels_and_no_other():
    from prometheus_client import CollectorRegistry

    from streamcount.service.alerts.run import AlertMetrics
    from streamcount.service.camera.metrics import CameraMetrics
    from streamcount.service.groups.run import GroupMetrics
    from streamcount.service.sinking import SinkMetrics
    from streamcount.service.snapshots.run import SnapshotMetrics
    from streamcount.service.worker.metrics import WorkerMetrics

    camera = CollectorRegistry()
    CameraMetrics(camera)
    sinks = CollectorRegistry()
    SinkMetrics(sinks)
    watching = CollectorRegistry()
    AlertMetrics(watching)
    SnapshotMetrics(sinks)
    GroupMetrics(sinks)
    suffix = {"counter": "_total", "info": "_info"}
    families = [*camera.collect(), *sinks.collect(), *watching.collect(), *WorkerMetrics().registry.collect()]
    real = {(family.name + suffix.get(family.type, ""), family.type) for family in families}
    text = (ROOT / "docs/metrics.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(streamcount_\w+)` \| (\w+) \|", text, re.M)) == real


def test_every_reason_of_a_frame_error_is_in_the_manual():
    """But those that no worker meets: they belong to a camera, and to a worker that ends."""
    elsewhere = {"cannot-encode", "bad-state"}
    used = set()
    for path in (ROOT / "streamcount").rglob("*.py"):
        used |= set(re.findall(r'FrameError\(\s*"([a-z-]+)"', path.read_text("utf-8")))
    text = (ROOT / "docs/wire.md").read_text("utf-8").partition("## Dead letters")[2]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.M)) == used - elsewhere
    assert used - elsewhere == REASONS


def test_every_topic_is_in_the_manual():
    settings = Settings()
    names = {spec.name.removeprefix(f"{settings.topics.prefix}.") for spec in topic_specs(settings)}
    table = (ROOT / "docs/wire.md").read_text("utf-8").partition("## Frames")[0]
    told = set(re.findall(r"^\| `([\w-]+)`", table, re.M))
    assert {name.replace("APP_ID", settings.app_id) for name in told} == names


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_configurations_in_the_manual_are_right(page, text):
    """As `streamcount check-config` sees them: whoever copies one must not be refused."""
    assert tomllib.loads(text)
    check_classes(parse_settings(text, page, {}))


def test_commands_in_the_manual_exist_with_their_options():
    commands = typer.main.get_command(app).commands
    found = 0
    for page, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            match = re.match(r"(?:\.venv/bin/)?streamcount ([a-z-]+)(.*)", line.partition(" #")[0])
            if match is None:
                continue
            found += 1
            assert match[1] in commands, f"{page}: {line}"
            command = commands[match[1]]
            for word in match[2].split()[:1] if hasattr(command, "commands") else ():
                command = command.commands[word]
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", match[2])) <= known, f"{page}: {line}"
    assert found >= 10


def test_python_in_the_manual_compiles():
    found = blocks("python")
    assert len(found) >= 3
    for page, text in found:
        compile(text, page, "exec")


@pytest.mark.parametrize("outlines", [None, bytes(range(48))], ids=["none", "of one cell"])
def test_outlines_are_read_from_the_api_as_the_manual_says(monkeypatch, outlines):
    (text,) = (text for page, text in blocks("python") if page == "dashboard.md")
    told = None if outlines is None else base64.b64encode(outlines).decode()
    answer = json.dumps({"cells": {"boxes_px": [[10, 20, 40, 50]], "outlines": told}}).encode()
    monkeypatch.setattr(urllib.request, "urlopen", lambda url: io.BytesIO(answer))
    names: dict[str, object] = {}
    exec(compile(text, "dashboard.md", "exec"), names)
    assert names["outlines_px"].shape == (1, 0 if outlines is None else 24, 2)


def test_the_corrections_of_the_manual_are_taken():
    pytest.importorskip("fastapi", reason="needs the extra dashboard")
    from streamcount.service.dashboard.api_corrections import NewCorrections

    (text,) = (text for page, text in blocks("json") if page == "dashboard.md")
    told = msgspec.convert(json.loads(text), NewCorrections)
    assert set(json.loads(text)) == set(NewCorrections.__struct_fields__)
    assert len(told.corrections) == 3
