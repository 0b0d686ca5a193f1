"""The demo: a broker, cameras, a worker and what keeps its results on this machine, all real, all ended together."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from streamcount.config import Settings, parse_settings
from streamcount.errors import BrokerError, StreamcountError
from streamcount.service.processes import die_with_parent, handling_signals

if TYPE_CHECKING:
    from streamcount.service.broker import Broker

log = logging.getLogger(__name__)

SIMULATED_SMEAR = """
[cameras.scope-1.source]
kind = "simulated"
modality = "bright-field"
seed = 1
rate_hz = {rate_hz}
"""

FOLDER = """
[cameras.scope-1.source]
kind = "folder"
path = "{path}"
loop = true
rate_hz = {rate_hz}
"""

SIMULATED_NUCLEI = """
[cameras.scope-2]
encoding = "png"

[cameras.scope-2.source]
kind = "simulated"
modality = "fluorescence"
seed = 2
rate_hz = {rate_hz}

[cameras.scope-2.detector]
kind = "watershed"
"""

COMMON = """
[kafka]
bootstrap_servers = "{servers}"

[topics]
partitions = 4
frames_retention_bytes = 268435456

[worker]
port = 0
data_folder = "{folder}/worker"

[sinks.store]
kind = "sqlite"
path = "{folder}/{store}"

[alerts.silent]
kind = "silent"
after_s = 20
severity = "critical"

[alerts.late]
kind = "latency"
above_s = 5
for_s = 30
"""

STORE = "store.sqlite"
# What runs beside the page, by the name of its log.
PARTS = {
    "worker": ("worker",),
    "camera": ("camera",),
    "sink": ("sink",),
    "snapshots": ("snapshots", "run"),
    "alerts": ("alerts", "run"),
}

END_S = 10.0


def demo_configuration(servers: str, folder: Path, rate_hz: float, images: Path | None) -> str:
    """The demo's streamcount.toml: scope-1 sees a blood smear (simulated, or one's own images), scope-2 nuclei."""
    first = SIMULATED_SMEAR if images is None else FOLDER
    text = COMMON + first + SIMULATED_NUCLEI
    path = "" if images is None else images.resolve().as_posix()
    return text.format(servers=servers, folder=folder.as_posix(), store=STORE, rate_hz=rate_hz, path=path)


def run_demo(
    folder: Path,
    rate_hz: float,
    images: Path | None,
    show: Callable[[Settings, Callable[[], None]], None],
    *,
    page: bool = False,
) -> None:
    """Starts broker, topics and PARTS; calls `show`; ends everything when it returns or raises.

    The first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt wherever it is; later ones are ignored, since the
    ending is on. However this process ends, its parts end too (on Linux). Call it from the main thread.
    folder: keeps the broker's data, the configuration and the logs of all parts.
    page: starts the live page as well, on a free port; `page_url` tells where.
    show: gets the settings, and what to call now and then: it raises where a part has ended.
    Raises StreamcountError where a part cannot be started or ends, with the last lines of its log.
    """
    from streamcount.service.broker import Broker
    from streamcount.service.topics import make_topics, topic_specs

    folder.mkdir(parents=True, exist_ok=True)
    with _interrupted_by_signals(), Broker(folder / "broker", say=log.info) as broker:
        text = demo_configuration(broker.bootstrap_servers, folder, rate_hz, images)
        file = folder / "streamcount.toml"
        file.write_text(text)
        settings = parse_settings(text, str(file))
        make_topics(
            topic_specs(settings),
            replication_factor=1,
            bootstrap_servers=broker.bootstrap_servers,
            update=True,
        )
        parts: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, command in PARTS.items():
                parts[name] = _start(folder / f"{name}.log", file, *command)
            if page:
                kept = ("--corrections", str(folder / "corrections"), "--store", str(folder / STORE))
                parts["dashboard"] = _start(folder / "dashboard.log", file, "dashboard", "--port", "0", *kept)
            check = functools.partial(_raise_ended, broker, parts, folder)
            show(settings, check)
            check()
        finally:
            # Without a broker they have nothing to finish, and would wait for it.
            _end(list(parts.values()), 0.0 if broker.ended else END_S)


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    asked: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        asked.append(number)
        if len(asked) == 1:
            raise KeyboardInterrupt

    with handling_signals(interrupt):
        yield


def page_url(folder: Path, timeout_s: float, check: Callable[[], None]) -> str:
    """Where the demo's page is served, as its log says; "" where it does not say so in time.

    check: called while it waits; what it raises is raised here.
    """
    deadline = time.monotonic() + timeout_s
    log_file = folder / "dashboard.log"
    while time.monotonic() < deadline:
        found = re.search(r"The page is at (http://\S+);", log_file.read_text() if log_file.exists() else "")
        if found:
            return found.group(1)
        check()
        time.sleep(0.1)
    return ""


def _start(log_file: Path, config: Path, *command: str) -> subprocess.Popen[bytes]:
    """A command of streamcount in a process of its own, its words in a log."""
    with log_file.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "streamcount", *command, "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the demo alone, which then ends its parts in order.
            start_new_session=True,
            # By SIGKILL: without the demo there is no broker, and a part would wait for it before it ends.
            preexec_fn=functools.partial(die_with_parent, signal.SIGKILL, os.getpid()),
        )


def _end(processes: list[subprocess.Popen[bytes]], allowed_s: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + allowed_s
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _raise_ended(broker: Broker, parts: dict[str, subprocess.Popen[bytes]], folder: Path) -> None:
    """Its parts have no end of their own, so any that has ended is a fault, whatever its exit code."""
    for node in broker.ended.values():
        raise BrokerError(
            f"the demo's broker ended with {node.exit_status}; the end of its log:\n{node.last_words()}"
        )
    for name, process in parts.items():
        code = process.poll()
        if code is not None:
            lines = (folder / f"{name}.log").read_text(errors="replace").splitlines()[-8:]
            kind = StreamcountError if name == "worker" else BrokerError
            raise kind(
                f"the demo's {name} ended with {code}; the end of {folder / f'{name}.log'}:\n"
                + "\n".join(lines)
            )
