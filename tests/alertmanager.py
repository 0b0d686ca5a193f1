"""A real Alertmanager of a test's own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIGURATION = """
route: {receiver: nobody}
receivers: [{name: nobody}]
"""


@contextmanager
def running_alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """A started one, ended however the test ends. Skips the test where there is none to start."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("there is no Alertmanager on this machine; Debian's package is prometheus-alertmanager")
    server = Alertmanager(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class Alertmanager:
    """A server on a free port of this machine, its files in a folder of its own."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "alertmanager.yml").write_text(CONFIGURATION)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = {
            "config.file": self._folder / "alertmanager.yml",
            "storage.path": self._folder / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "cluster.listen-address": "",
        }
        with (self._folder / "alertmanager.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._program, *(f"--{key}={value}" for key, value in options.items())],
                stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip
        until(self._answers, lambda: (self._folder / "alertmanager.log").read_text())

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def alerts(self) -> list[dict]:
        """The alerts that it knows to be active, by their names."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return sorted(json.load(answer), key=lambda one: one["labels"]["alertname"])

    def names(self) -> list[str]:
        """The names of the alerts that it knows to be active."""
        return [one["labels"]["alertname"] for one in self.alerts()]

    def _answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=1).status == 200
        except (urllib.error.URLError, OSError):
            return False


def until(what: Callable[[], bool], words: Callable[[], str] = str, patience_s: float = 60.0) -> None:
    """Waits for it; fails with the words where it never comes."""
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, words()
        time.sleep(0.05)
