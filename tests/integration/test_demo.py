"""The demo as a process: both cameras are counted, and however it ends, nothing of it is left."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found in /proc"),
]

WAIT_S = 120
ALL = {"worker", "camera", "sink", "snapshots", "alerts", "dashboard", "kafka.Kafka"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, as a user has it."""
    return tmp_path_factory.mktemp("demo")


def processes_of(data: Path) -> dict[str, int]:
    """What runs with the demo's folder in its command line: "worker", "camera", "kafka" and their ids."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(data) in part for part in command) and "demo" not in command:
            name = next(
                (part for part in command if part in ALL),
                "other",
            )
            found[name] = int(folder.name)
    return found


@contextmanager
def demo(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo, killed where it does not end by itself in time."""
    with subprocess.Popen(
        [sys.executable, "-m", "streamcount", "demo", "--page", "--data", str(data), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    ) as process:
        timer = threading.Timer(WAIT_S, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            if process.poll() is None:
                process.kill()


def wait_for(process: subprocess.Popen[str], data: Path, names: set[str]) -> dict[str, int]:
    deadline = time.monotonic() + WAIT_S
    while set(found := processes_of(data)) != names:
        assert process.poll() is None or not names, process.communicate()[0]
        assert time.monotonic() < deadline, f"{found}, not {names}"
        time.sleep(0.05)
    return found


def test_both_cameras_are_counted_the_page_is_opened_and_it_ends_by_itself(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    with demo(data, "--seconds", "12", "--open") as process:
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    assert f"The live page: {opened.read_text().strip()}" in output
    for camera in ("scope-1", "scope-2"):
        cells = re.findall(rf"^{camera} run \S+ [\d.]+ frames/s; cells (\d+) ", output, re.MULTILINE)
        assert cells, output
        assert int(cells[-1]) > 10, output
    assert processes_of(data) == {}
    # What was counted is in the store, as the last words say.
    asked = shlex.split(output.splitlines()[-1].partition(": ")[2])
    assert asked[0] == "streamcount"
    told = subprocess.run([sys.executable, "-m", *asked, "--csv"], capture_output=True, text=True, check=True)
    assert {row.split(",")[0] for row in told.stdout.splitlines()[1:]} >= {"scope-1", "scope-2"}, told.stdout


def test_sigterm_ends_all_of_it(data: Path) -> None:
    with demo(data) as process:
        wait_for(process, data, ALL)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    assert "Ended: cameras, worker and broker." in output
    assert processes_of(data) == {}


@pytest.mark.parametrize(("part", "code"), [("camera", 7), ("kafka.Kafka", 7)])
def test_a_part_that_dies_ends_the_demo_with_its_log(data: Path, part: str, code: int) -> None:
    with demo(data) as process:
        os.kill(wait_for(process, data, ALL)[part], signal.SIGKILL)
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == code, output
    assert f"the demo's {'broker' if part == 'kafka.Kafka' else part} ended with -9" in output
    assert processes_of(data) == {}


def test_sigkill_leaves_nothing_behind(data: Path) -> None:
    with demo(data) as process:
        wait_for(process, data, ALL)
        process.kill()
    wait_for(process, data, set())
    assert processes_of(data) == {}
