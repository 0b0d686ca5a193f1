"""What is looked up in Kafka's past: connections that are kept, and times of frames that are remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
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


class Counted(Past):
    """A past in which one count lies, at a time; it is found by looking from any time before on."""

    AT_MS = 1_000_000

    def _find(self, topic: str, camera_id: str, time_ms: int, wanted: Callable[[Any], bool]) -> Any:
        return SimpleNamespace(timestamp=self.AT_MS) if time_ms <= self.AT_MS else None


def test_a_wrong_guess_of_a_frames_time_is_not_remembered() -> None:
    looks, frame = Counted(Settings(), lambda: True), ("scope-1", "run-1", 7)
    late_ms = Counted.AT_MS + 60_000
    assert looks._recorded_ms(frame, late_ms) == late_ms
    assert looks._recorded_ms(frame, Counted.AT_MS + 500) == Counted.AT_MS
    assert looks._recorded_ms(frame, late_ms) == Counted.AT_MS, "what was found is remembered"
