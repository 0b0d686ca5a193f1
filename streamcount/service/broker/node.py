"""One Kafka node: its settings, its process, its log."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streamcount.errors import BrokerError

HOST = "127.0.0.1"
MEBIBYTE = 2**20
MAX_MESSAGE_BYTES = 16 * MEBIBYTE
FREE_PORTS = range(20_000, 32_768)
"""Below those that Linux and macOS give to outgoing connections, so a killed node finds its port again."""

LOGGING = """\
status = warn
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:streamcount.log}
appender.file.filePattern = ${sys:streamcount.log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601} %-5p %m (%c{1})%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
"""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where a node listens on the loopback address: for clients, and for the other nodes' controllers."""

    client: int
    controller: int


def choose_ports(nodes: int, first_port: int) -> list[NodePorts]:
    """Ports for all nodes: clients at `first_port` and following (0 = free ones), controllers at free ones.

    Raises BrokerError when a wanted port is taken.
    """
    taken: set[int] = set()
    if first_port:
        client_ports = list(range(first_port, first_port + nodes))
        if client_ports[-1] > 65_535:
            raise BrokerError(f"{nodes} nodes need ports up to {client_ports[-1]}; choose a lower --port.")
        for port in client_ports:
            _check_port(port)
        taken.update(client_ports)
    else:
        client_ports = _free_ports(nodes, taken)
    return [NodePorts(*pair) for pair in zip(client_ports, _free_ports(nodes, taken), strict=True)]


def _check_port(port: int) -> None:
    try:
        _bind(port)
    except PermissionError as error:
        raise BrokerError(
            f"Port {port} is not open to you; choose one of 1024 to 65535 with --port."
        ) from error
    except OSError as error:
        raise BrokerError(
            f"Port {port} on {HOST} is taken by another program (a broker that is still running?); "
            "stop that one, choose another with --port, or take any free one with --port 0."
        ) from error


def _free_ports(count: int, taken: set[int]) -> list[int]:
    found: list[int] = []
    for port in random.sample(FREE_PORTS, 200):
        if len(found) == count:
            break
        if port in taken:
            continue
        try:
            _bind(port)
        except OSError:
            continue
        taken.add(port)
        found.append(port)
    if len(found) < count:
        raise BrokerError(
            f"No free port found on {HOST} between {FREE_PORTS.start} and {FREE_PORTS.stop - 1}."
        )
    return found


def _bind(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: a port whose connections only linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


def node_properties(node_id: int, ports: list[NodePorts], log_folder: Path) -> dict[str, str]:
    """Kafka's settings for one of `len(ports)` nodes, each of them broker and controller in one."""
    nodes = len(ports)
    mine = ports[node_id - 1]
    copies = str(min(3, nodes))
    in_sync = str(min(2, nodes))
    listeners = f"PLAINTEXT://{HOST}:{mine.client},CONTROLLER://{HOST}:{mine.controller}"
    return {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": ",".join(
            f"{i}@{HOST}:{p.controller}" for i, p in enumerate(ports, start=1)
        ),
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{HOST}:{mine.client}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(log_folder),
        # A mistyped name is an error, not a new topic with settings that do not fit images.
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        "socket.request.max.bytes": str(6 * MAX_MESSAGE_BYTES),
        # The default of 128 MiB is a third of the heap; 16 MiB still compacts some 600,000 keys in one pass.
        "log.cleaner.dedupe.buffer.size": str(16 * MEBIBYTE),
        # A dead node is replaced as leader after this time at the latest.
        "broker.session.timeout.ms": "6000",
        "broker.heartbeat.interval.ms": "1000",
        # Retention by bytes is only as sharp as this: a camera of 10 MB/s writes 3 GB in the default five
        # minutes.
        "log.retention.check.interval.ms": "30000",
    }


def write_properties(path: Path, properties: dict[str, str]) -> None:
    """Write a Java properties file; a backslash in a value would be read as an escape."""
    lines = (f"{key}={value}".replace("\\", "\\\\") for key, value in properties.items())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class NodeProcess:
    """A running `kafka.Kafka`, leader of its own process group, with its output in a file."""

    def __init__(self, node_id: int, command: list[str], log: Path, output: Path) -> None:
        self.node_id = node_id
        self.started_at_s = time.monotonic()
        self.recording: Path | None = None
        self._log = log
        self._output = output
        log.unlink(missing_ok=True)  # so that what is quoted from it is this run's
        with output.open("wb") as out:
            # A group of its own: Ctrl-C on a terminal goes to streamcount, which then stops the nodes in
            # order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=output.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.poll()

    def signal_group(self, signal_number: signal.Signals) -> None:
        """Signal the node and whatever it has started; nothing when it has ended."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal_number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal_group(signal.SIGKILL)
        self._process.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log, and of what the JVM printed, for an error message."""
        return "\n".join(f"    {line}" for line in _tail([self._log, self._output], lines))


def _tail(paths: Iterable[Path], lines: int) -> list[str]:
    words: list[str] = []
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 65_536))
                words += file.read().decode(errors="replace").splitlines()[-lines:]
    return words or ["(it has written nothing)"]
