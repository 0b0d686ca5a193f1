"""Whether a worker is alive and ready, judged by what it does and not by its process being up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from streamcount.service.worker.app import CountingApp

BEAT_S = 0.5
# The loop never computes; a beat this late means that something blocks it.
LATE_BEAT_S = 10.0
# Recovery reads a state for each camera, which is seconds; Faust can wait for ever for a record that it cannot read.
LONGEST_RECOVERY_S = 300.0


class Health:
    """Watches the event loop, the lag and the progress of one worker.

    The loop calls `beat`; the status server's threads call `live` and `ready`, which only read.
    """

    def __init__(self, counting: CountingApp, stall_s: float) -> None:
        self._counting = counting
        self._stall_s = stall_s
        self._beat_at = self._progress_at = self._ready_at = time.monotonic()
        self._positions: dict[Any, int] = {}
        self._lag = 0
        self._ready = False

    def beat(self) -> None:
        """Looks at the partitions; to be called on the loop every `BEAT_S`."""
        now = time.monotonic()
        self._beat_at = now
        app = self._counting.faust_app
        self._ready = not app.rebalancing and app.flow_control.is_active() and not app.consumer.should_stop
        if self._ready:
            self._ready_at = now
        positions, lags = {}, {"frames": 0, "detections": 0}
        for tp in self._assignment():
            position = self._counting.guard.position(tp.topic, tp.partition)
            highwater = app.consumer.highwater(tp)
            if position is not None:
                positions[tp] = position
                name = "frames" if tp.topic == self._counting.settings.topics.name("frames") else "detections"
                lags[name] += max(0, (highwater or 0) - position)
        for name, lag in lags.items():
            self._counting.metrics.lag.labels(self._counting.settings.topics.name(name)).set(lag)  # type: ignore[arg-type]
        self._lag = sum(lags.values())
        if positions != self._positions or not self._lag:
            self._progress_at = now
        self._positions = positions

    def live(self) -> tuple[bool, Mapping[str, Any]]:
        """The loop beats, where records wait some are handled, and recovery does not take for ever."""
        now = time.monotonic()
        late, idle, unready = now - self._beat_at, now - self._progress_at, now - self._ready_at
        progresses = not self._lag or idle < self._stall_s
        return late < LATE_BEAT_S and progresses and unready < LONGEST_RECOVERY_S, {
            "seconds_since_beat": late,
            "lag_records": self._lag,
            "seconds_since_progress": idle,
            "seconds_since_ready": unready,
        }

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Partitions are assigned, their states recovered, and the model is loaded (or there would be no worker)."""
        return self._ready, {"assigned_and_recovered": self._ready, "model_loaded": True}

    def _assignment(self) -> set[Any]:
        from faust.exceptions import ConsumerNotStarted

        try:
            return set(self._counting.faust_app.consumer.assignment())
        except ConsumerNotStarted:
            return set()
