"""A real PostgreSQL of a test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def running_server() -> Iterator[Postgres]:
    """A started server, for a fixture to yield from. Skips the test where there is none to start."""
    pytest.importorskip("psycopg")
    if programs() is None:
        pytest.skip("there is no PostgreSQL on this machine; Debian's package is postgresql")
    server = Postgres()
    server.start()
    yield server
    server.close()


def programs() -> Path | None:
    """The folder with initdb and postgres; None where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


class Postgres:
    """A server on a free port of this machine, its files in a folder of its own."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self._folder = Path(tempfile.mkdtemp(prefix="streamcount-postgres-"))
        self._user: list[str] = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            shutil.chown(self._folder, "nobody")
            self._user = ["setpriv", "--reuid=nobody", "--clear-groups", "--no-new-privs"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        make = [*self._user, str(found / "initdb"), "-D", str(self._folder / "data"), "-U", "postgres"]
        subprocess.run([*make, "-A", "trust", "--no-sync"], check=True, capture_output=True, cwd=self._folder)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        import psycopg

        options = [
            "-p",
            str(self.port),
            "-h",
            "127.0.0.1",
            "-k",
            str(self._folder),
            "-D",
            str(self._folder / "data"),
        ]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._user, str(self._programs / "postgres"), *options],
                stdout=log, stderr=log, cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, as when the computer loses power."""
        if self.process is None:
            return
        for child in children(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def children(pid: int) -> list[int]:
    """Ids of the processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in text.read_text().split()] if text.exists() else []
