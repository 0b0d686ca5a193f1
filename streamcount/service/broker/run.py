"""Run a broker in the foreground until it is asked to stop: what `streamcount broker` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from streamcount.errors import BrokerError
from streamcount.service.broker.jars import JarProgress
from streamcount.service.broker.server import Broker, BrokerCancelled
from streamcount.service.processes import handling_signals

RESTART_AFTER_S = 5.0
SOUND_AFTER_S = 30.0
"""A node that ends sooner after its start than this has a fault that another start does not mend."""


@dataclass
class _Asked:
    """How often a signal has asked to stop, and how often that was answered."""

    times: int = 0
    answered: int = 0

    def __call__(self) -> bool:
        return self.times > self.answered


def run_broker(
    data_folder: Path,
    *,
    nodes: int,
    port: int,
    heap_mb: int,
    say: Callable[[str], None],
    serving: Callable[[Broker], None],
    jar_progress: JarProgress | None = None,
) -> None:
    """Start a broker, call `serving` once it does, and return when SIGINT, SIGTERM or SIGHUP ended it.

    Of three nodes, one that is lost is started again; a single one that is lost raises BrokerError with the
    end of its log. A second signal while it stops kills. Call it from the main thread.
    """
    asked = _Asked()
    broker = Broker(
        data_folder,
        nodes=nodes,
        port=port,
        heap_mb=heap_mb,
        say=say,
        jar_progress=jar_progress,
        cancelled=asked,
    )
    with _on_signals(asked):
        try:
            with broker:
                serving(broker)
                _watch(broker, nodes, asked, say)
                asked.answered = asked.times
                say("Stopping")
        except BrokerCancelled:
            say("Stopped before it served")


@contextmanager
def _on_signals(asked: _Asked) -> Iterator[None]:
    def ask(number: int, frame: FrameType | None) -> None:
        asked.times += 1

    with handling_signals(ask):
        yield


def _watch(broker: Broker, nodes: int, asked: Callable[[], bool], say: Callable[[str], None]) -> None:
    lost_at_s: dict[int, float] = {}
    while not asked():
        for node_id, node in broker.ended.items():
            now_s = time.monotonic()
            if node_id not in lost_at_s:
                lost_at_s[node_id] = now_s
                if nodes == 1 or now_s - node.started_at_s < SOUND_AFTER_S:
                    raise BrokerError(
                        f"Kafka node {node_id} ended by itself (exit status {node.exit_status}); "
                        f"the end of its log:\n{node.last_words()}"
                    )
                say(
                    f"Node {node_id} (process {node.pid}) has ended (exit status {node.exit_status}); "
                    f"starting it again in {RESTART_AFTER_S:.0f} s"
                )
            elif now_s - lost_at_s[node_id] >= RESTART_AFTER_S:
                del lost_at_s[node_id]
                broker.start_node(node_id, wait=False)
                say(f"Node {node_id} is process {broker.pids.get(node_id)} now")
        time.sleep(0.1)
