"""The broker's data folder: taken by one broker at a time, and formatted once for a number of nodes."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import IO

from streamcount.errors import BrokerError
from streamcount.service.broker.node import choose_ports, node_properties, write_properties

CLUSTER_FILE = "cluster.json"


def lock_folder(folder: Path) -> IO[str]:
    """Take the data folder for this process; the folder is free again when all copies of the file are closed.

    Raises BrokerError when another broker has it or it cannot be written.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "broker.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise BrokerError(
            f"The data folder {folder} cannot be used ({error}); choose another with --data."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise BrokerError(
            f"The data folder {folder} is in use by another broker ({owner}); "
            "stop that one, or choose another folder with --data."
        ) from error
    return lock


def tell_owner(lock: IO[str], words: str) -> None:
    """Write into the lock file what a second broker is told."""
    lock.truncate(0)
    lock.write(words)
    lock.flush()


def node_folder(folder: Path, node_id: int) -> Path:
    """Where a node keeps its records."""
    return folder / "kafka" / f"node-{node_id}"


def ensure_formatted(folder: Path, nodes: int, java_command: list[str]) -> bool:
    """Format the folder for `nodes` nodes unless it is; return whether it was done now.

    `java_command` runs Java with Kafka's class path and waits for the class. Raises BrokerError when the
    folder was made for another number of nodes or Kafka's own tool fails.
    """
    cluster = folder / "kafka" / CLUSTER_FILE
    if cluster.is_file():
        made_for = json.loads(cluster.read_text(encoding="utf-8"))["nodes"]
        if made_for != nodes:
            raise BrokerError(
                f"The data folder {folder} was made with {made_for} node(s), not {nodes}; "
                f"start with --nodes {made_for}, or choose another folder with --data."
            )
        return False
    if (folder / "kafka").exists():
        raise BrokerError(
            f"{folder / 'kafka'} exists but was not made by streamcount; choose another folder with --data."
        )
    # All in a folder beside, then one rename: a format that was interrupted leaves nothing that looks done.
    with tempfile.TemporaryDirectory(prefix=".format-", dir=folder) as scratch:
        made = Path(scratch) / "kafka"
        _format(made, nodes, java_command)
        made.rename(folder / "kafka")
    return True


def _format(made: Path, nodes: int, java_command: list[str]) -> None:
    cluster_id = random_id()
    first = made / "node-1"
    first.mkdir(parents=True)
    properties = made.parent / "format.properties"
    write_properties(properties, node_properties(1, choose_ports(nodes, 0), first))
    command = [*java_command, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise BrokerError(f"Kafka's own tool could not format the data folder {made.parent.parent}:\n{last}")
    # What the tool writes is the same for every node except two lines, so one JVM start does for all.
    for node_id in range(2, nodes + 1):
        other = made / f"node-{node_id}"
        shutil.copytree(first, other)
        meta = other / "meta.properties"
        lines = [
            line
            for line in meta.read_text().splitlines()
            if not line.startswith(("node.id=", "directory.id="))
        ]
        meta.write_text("\n".join([*lines, f"node.id={node_id}", f"directory.id={random_id()}"]) + "\n")
    (made / CLUSTER_FILE).write_text(json.dumps({"cluster_id": cluster_id, "nodes": nodes}), encoding="utf-8")


def random_id() -> str:
    """A new id in Kafka's form: a UUID in URL-safe base64, 22 characters, not beginning with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
