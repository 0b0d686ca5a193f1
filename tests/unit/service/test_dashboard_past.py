"""What is looked up in Kafka's past: connections that are kept, and times of frames that are remembered."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from streamcount.config import Settings
from streamcount.service.dashboard import past
from streamcount.service.dashboard.past import KEPT_CONNECTIONS, Past

LOOKS = 5


class Connection:
    """One that takes a while to let go of its topics, as a real one may: so all looks end at once."""

    def __init__(self, closed: list[Connection], together: threading.Barrier) -> None:
        self._closed, self._together = closed, together

    def unsubscribe(self) -> None:
        self._together.wait(10)

    def close(self, **_: Any) -> None:
        self._closed.append(self)


def test_looks_that_end_together_leave_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Connection] = []
    begun, ended = threading.Barrier(LOOKS), threading.Barrier(LOOKS)
    monkeypatch.setattr(past, "open_reader", lambda *_: Connection(closed, ended))
    monkeypatch.setattr(past, "topic_partitions", lambda *_: [0])
    looks, faults = Past(Settings(), lambda: True), []

    def look() -> None:
        try:
            with looks._reading("frames", "scope-1"):
                begun.wait(10)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=look) for _ in range(LOOKS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not faults
    assert len(closed) == LOOKS - KEPT_CONNECTIONS
    looks.close()
    assert len(set(closed)) == LOOKS
