"""The demo: a broker, two cameras and a worker on this machine, all real, all ended together."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from streamcount.config import Settings, parse_settings
from streamcount.errors import BrokerError, StreamcountError

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
"""

END_S = 20.0


def demo_configuration(servers: str, folder: Path, rate_hz: float, images: Path | None) -> str:
    """The demo's streamcount.toml: scope-1 sees a blood smear (simulated, or one's own images), scope-2 nuclei."""
    first = SIMULATED_SMEAR if images is None else FOLDER
    text = COMMON + first + SIMULATED_NUCLEI
    path = "" if images is None else images.resolve().as_posix()
    return text.format(servers=servers, folder=folder.as_posix(), rate_hz=rate_hz, path=path)


def run_demo(folder: Path, rate_hz: float, images: Path | None, show: Callable[[Settings], None]) -> None:
    """Starts broker, topics, worker and cameras; calls `show`; ends everything when it returns or raises.

    folder: keeps the broker's data, the configuration and the logs of all parts.
    Raises StreamcountError where a part cannot be started, with the last lines of its log.
    """
    from streamcount.service.broker import Broker
    from streamcount.service.topics import make_topics, topic_specs

    folder.mkdir(parents=True, exist_ok=True)
    with Broker(folder / "broker", say=log.info) as broker:
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
        with _part("worker", file, folder) as worker, _part("camera", file, folder) as cameras:
            parts = {"worker": worker, "camera": cameras}
            try:
                show(settings)
            finally:
                _raise_ended(parts, folder)


@contextlib.contextmanager
def _part(command: str, config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command of streamcount in a process of its own, its words in a log beside the configuration."""
    with (folder / f"{command}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamcount", command, "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the demo alone, which then ends its parts in order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _raise_ended(parts: dict[str, subprocess.Popen[bytes]], folder: Path) -> None:
    for name, process in parts.items():
        code = process.poll()
        if code:
            lines = (folder / f"{name}.log").read_text(errors="replace").splitlines()[-8:]
            kind = StreamcountError if name == "worker" else BrokerError
            raise kind(
                f"the demo's {name} ended with {code}; the end of {folder / f'{name}.log'}:\n"
                + "\n".join(lines)
            )
