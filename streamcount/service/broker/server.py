"""A real Apache Kafka on this machine's loopback address, as a context manager."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from streamcount.errors import BrokerError
from streamcount.service.broker.folders import cache_folder
from streamcount.service.broker.jars import JarProgress, ensure_jars, read_lock
from streamcount.service.broker.java import ClassArchive, find_java
from streamcount.service.broker.node import (
    HOST,
    LOGGING,
    NodePorts,
    NodeProcess,
    choose_ports,
    node_properties,
    write_properties,
)
from streamcount.service.broker.storage import ensure_formatted, lock_folder, node_folder, tell_owner

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
RECORD_TIMEOUT_S = 90.0
MINORITY_TIMEOUT_S = 2.0
POLL_S = 0.05


class BrokerCancelled(Exception):
    """The start was given up because `cancelled` said so."""


class Broker:
    """One or three Kafka nodes in one data folder, each broker and controller, on 127.0.0.1 only.

    Nodes are numbered from 1, as in Kafka's own metadata. The folder keeps its records between starts. When
    the process that has started a broker is gone, however it ended, the nodes end too.

    Use it as a context manager, or `start()` and `stop()`; one thread at a time.
    """

    def __init__(
        self,
        data_folder: Path | str,
        *,
        nodes: int = 1,
        port: int = 0,
        heap_mb: int = 384,
        say: Callable[[str], None] = lambda _: None,
        jar_progress: JarProgress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare; nothing is started or written yet.

        `port` is the first node's, the others follow; 0 takes free ones. `heap_mb` bounds each node's Java
        heap. `say` gets a line at each step that takes time. `cancelled` is asked while waiting; once true,
        the start is given up with BrokerCancelled, and a stop stops waiting and kills.
        """
        if nodes not in (1, 3):
            raise BrokerError(f"A broker has 1 or 3 nodes, not {nodes}: two cannot outvote a failure.")
        if heap_mb < 192:
            raise BrokerError(f"Kafka does not run in {heap_mb} MB of heap; give it 192 or more.")
        self._folder = Path(data_folder).expanduser().absolute()
        self._node_count = nodes
        self._port = port
        self._heap_mb = heap_mb
        self._say = say
        self._jar_progress = jar_progress
        self._cancelled = cancelled
        self._nodes: dict[int, NodeProcess] = {}
        self._ports: list[NodePorts] = []
        self._lock: IO[str] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._watchdog_pipe = -1
        self._archive: ClassArchive | None = None
        self._java: list[str] = []

    @property
    def bootstrap_servers(self) -> str:
        """The address of all nodes, `host:port` by commas; the same until the broker is stopped."""
        return ",".join(f"{HOST}:{p.client}" for p in self._ports)

    @property
    def pids(self) -> dict[int, int]:
        """The process id of each running node, by node number."""
        return {i: node.pid for i, node in self._nodes.items() if node.exit_status is None}

    @property
    def ended(self) -> dict[int, NodeProcess]:
        """The nodes that ended without being asked to, by node number."""
        return {i: node for i, node in self._nodes.items() if node.exit_status is not None}

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all nodes and return when each of them serves and knows the others.

        Raises BrokerError when Java or the jars are missing, the folder or a port is taken, or a node ends.
        """
        if sys.platform == "win32":
            raise BrokerError("`streamcount broker` runs on Linux and macOS; on Windows run it in WSL.")
        if self._lock is not None:
            raise BrokerError("This broker is started already.")
        try:
            self._prepare()
            for node_id in range(1, self._node_count + 1):
                self._spawn(node_id)
            self._say(f"Starting {self._node_count} Kafka node(s)")
            self._wait_until_served(list(self._nodes))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all nodes (SIGTERM, SIGKILL to those that take too long) and free the folder. Idempotent."""
        try:
            for node in self._nodes.values():
                # First and alone: of three, the others must still agree to its leaving, or it would not end
                # by itself.
                if node.recording:
                    node.signal_group(signal.SIGTERM)
                    self._wait_until_ended(node)
            for node in self._nodes.values():
                node.signal_group(signal.SIGTERM)
            self._wait_until_all_ended()
        finally:
            for node in self._nodes.values():
                node.kill()
                if node.recording and self._archive is not None:
                    self._archive.discard(node.recording)
            self._nodes.clear()
            if self._watchdog is not None:
                os.close(self._watchdog_pipe)
                self._watchdog.wait()
                self._watchdog = None
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def kill_node(self, node_id: int) -> None:
        """SIGKILL one node, as a crash would; its records stay. `start_node` brings it back."""
        node = self._running(node_id)
        node.kill()
        self._forget(node_id)

    def stop_node(self, node_id: int) -> None:
        """End one node cleanly, as for maintenance; `start_node` brings it back."""
        node = self._running(node_id)
        node.signal_group(signal.SIGTERM)
        self._wait_until_ended(node)
        node.kill()
        self._forget(node_id)

    def start_node(self, node_id: int, *, wait: bool = True) -> None:
        """Start a node that was killed, stopped or has ended; with `wait`, return when it serves."""
        if node_id in self.pids:
            raise BrokerError(f"Node {node_id} is running.")
        if self._lock is None or not 1 <= node_id <= self._node_count:
            raise BrokerError(f"There is no node {node_id} to start; this broker has {self._node_count}.")
        self._forget(node_id)
        self._spawn(node_id)
        if wait:
            self._wait_until_served([node_id])

    # ---- starting

    def _prepare(self) -> None:
        cache = cache_folder()
        lock = read_lock()
        jars = ensure_jars(lock, cache, self._jar_progress)
        java = find_java()
        self._lock = lock_folder(self._folder)
        self._ports = choose_ports(self._node_count, self._port)
        tell_owner(self._lock, f"process {os.getpid()}, at {self.bootstrap_servers}")
        self._archive = ClassArchive.for_java(java, jars, lock.digest, cache)
        (self._folder / "logs").mkdir(exist_ok=True)
        logging = self._folder / "logs" / "log4j2.properties"
        logging.write_text(LOGGING, encoding="utf-8")
        self._java = [
            str(java.executable),
            f"-Xmx{self._heap_mb}m",
            # One collector thread: on a laptop the broker shares its cores with cameras and workers.
            "-XX:+UseSerialGC",
            # Nor are cores spent on the optimizing compiler, which pays off only after minutes: on two
            # busy cores three nodes served sooner without it, and a node took less processor time.
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            f"-Dlog4j2.configurationFile={logging}",
            "-Djava.awt.headless=true",
            "-cp",
            os.pathsep.join(map(str, jars)),
        ]
        log = self._folder / "logs" / "format.log"
        if ensure_formatted(self._folder, self._node_count, self._command([f"-Dstreamcount.log={log}"])):
            self._say(f"Made a new data folder {self._folder}")
        self._start_watchdog(self._lock)

    def _start_watchdog(self, lock: IO[str]) -> None:
        script = Path(__file__).with_name("watchdog.py")
        reading, writing = os.pipe()
        try:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script)],
                stdin=reading,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        finally:
            os.close(reading)
        self._watchdog_pipe = writing

    def _command(self, options: list[str]) -> list[str]:
        if self._archive is None:
            raise BrokerError("This broker is not started.")
        return [self._java[0], *self._archive.use_options(), *options, *self._java[1:]]

    def _spawn(self, node_id: int) -> None:
        if self._archive is None or self._watchdog is None:
            raise BrokerError("This broker is not started.")
        logs = self._folder / "logs"
        settings = logs / f"node-{node_id}.properties"
        write_properties(settings, node_properties(node_id, self._ports, node_folder(self._folder, node_id)))
        log = logs / f"node-{node_id}.log"
        options = [f"-Dstreamcount.log={log}"]
        recording = None
        if node_id == 1 and not self._archive.path.is_file():
            recording = self._archive.recording_path()
            options += self._archive.record_options(recording)
        command = [*self._command(options), "kafka.Kafka", str(settings)]
        node = NodeProcess(node_id, command, log, logs / f"node-{node_id}.out")
        node.recording = recording
        self._nodes[node_id] = node
        self._tell_watchdog(f"+{node.pid}")

    def _wait_until_served(self, node_ids: list[int]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        for node_id in node_ids:
            while not _serves(self._ports[node_id - 1].client, len(self.pids)):
                for ended_id, node in self.ended.items():
                    raise BrokerError(
                        f"Kafka node {ended_id} ended at its start (exit status {node.exit_status}); "
                        f"the end of its log in {self._folder / 'logs'}:\n{node.last_words()}"
                    )
                if self._cancelled():
                    raise BrokerCancelled
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"Kafka node {node_id} did not serve within {START_TIMEOUT_S:.0f} s; "
                        f"the end of its log in {self._folder / 'logs'}:\n{self._nodes[node_id].last_words()}"
                    )
                time.sleep(POLL_S)

    # ---- ending

    def _wait_until_all_ended(self) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.pids and time.monotonic() < deadline and not self._cancelled():
            if len(self.pids) <= self._node_count // 2:
                # Without a majority the last node waits for minutes for leave to go. Its records are with the
                # operating system and on the other nodes, so killing it loses nothing.
                deadline = min(deadline, time.monotonic() + MINORITY_TIMEOUT_S)
            time.sleep(POLL_S)

    def _wait_until_ended(self, node: NodeProcess) -> None:
        allowed_s = RECORD_TIMEOUT_S if node.recording else STOP_TIMEOUT_S
        deadline = time.monotonic() + allowed_s
        told_at = time.monotonic() + 1.5
        while node.exit_status is None and time.monotonic() < deadline and not self._cancelled():
            if node.recording and time.monotonic() > told_at:
                told_at = deadline
                self._say("Keeping Kafka's classes for faster starts, once (about 10 s; Ctrl-C skips it)")
            time.sleep(POLL_S)
        if node.recording and self._archive is not None and node.exit_status is not None:
            self._archive.keep(node.recording)
            node.recording = None

    def _running(self, node_id: int) -> NodeProcess:
        if node_id not in self.pids:
            raise BrokerError(f"Node {node_id} is not running.")
        return self._nodes[node_id]

    def _forget(self, node_id: int) -> None:
        node = self._nodes.pop(node_id, None)
        if node is not None:
            if node.recording and self._archive is not None:
                self._archive.discard(node.recording)
            self._tell_watchdog(f"-{node.pid}")

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog is None:
            raise BrokerError("This broker is not started.")
        try:
            os.write(self._watchdog_pipe, line.encode() + b"\n")
        except BrokenPipeError as error:
            raise BrokerError(
                "The broker's watchdog process was ended from outside; start the broker anew."
            ) from error


def _serves(port: int, nodes: int) -> bool:
    """Whether the node at `port` answers and knows of `nodes` brokers that take requests."""
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"{HOST}:{port}", bootstrap_timeout_ms=2000, request_timeout_ms=5000
        )
    except (KafkaError, OSError):
        return False
    with contextlib.closing(admin):
        try:
            brokers = admin.describe_cluster()["brokers"]
        except (KafkaError, OSError):
            return False
    return sum(not broker["is_fenced"] for broker in brokers) >= nodes
