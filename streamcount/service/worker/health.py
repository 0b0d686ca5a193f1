"""Whether a worker is alive and ready, judged by what it does and not by its process being up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import TopicPartition
from faust.exceptions import ConsumerNotStarted

from streamcount.errors import BrokerError
from streamcount.service.worker.app import CountingApp

log = logging.getLogger(__name__)

BEAT_S = 0.5
LAG_S = 5.0
# Kafka is asked so often that after as long without an answer it is away.
UNHEARD_S = 3 * LAG_S
# The loop never computes; a beat this late means that something blocks it.
LATE_BEAT_S = 10.0
# Recovery reads a state for each camera, which is seconds; Faust can wait for ever for a record that it cannot read.
LONGEST_RECOVERY_S = 300.0
WATCH_S = 5.0
STRIKES = 3


class Health:
    """Watches the event loop, the lag and the progress of one worker.

    The loop calls `beat` and `measure_lag`; the status server's and the watchdog's threads call `live` and `ready`,
    which only read.
    """

    def __init__(self, counting: CountingApp, stall_s: float) -> None:
        self._counting = counting
        self._stall_s = stall_s
        self._beat_at = self._progress_at = self._ready_at = self._heard_at = time.monotonic()
        self._positions: dict[Any, int] = {}
        self._lag = 0
        self._ready = False

    def beat(self) -> None:
        """To be called on the loop every `BEAT_S`."""
        now = time.monotonic()
        self._beat_at = now
        app = self._counting.faust_app
        steady = app.consumer.steady or not self._assignment()
        self._ready = steady and not app.rebalancing and app.flow_control.is_active()
        if self._ready:
            self._ready_at = now

    async def measure_lag(self) -> None:
        """Asks Kafka where the assigned partitions end, and compares with where they are handled.

        To be called on the loop every `LAG_S`. Kafka is asked, since what a consumer believes of a partition that it
        does not fetch is old, and a partition that is not fetched is what must be noticed.
        """
        settings = self._counting.settings
        lags = {settings.topics.name("frames"): 0, settings.topics.name("detections"): 0}
        assigned = [tp for tp in self._assignment() if tp.topic in lags]
        thread = self._counting.faust_app.consumer._thread
        partitions = [TopicPartition(tp.topic, tp.partition) for tp in assigned]
        ends = await thread.call_thread(thread._consumer.end_offsets, partitions) if partitions else {}
        begins = (
            await thread.call_thread(thread._consumer.beginning_offsets, partitions) if partitions else {}
        )
        positions = {}
        for tp in partitions:
            due = self._counting.guard.due(tp.topic, tp.partition)
            if due is None:
                due = await thread.call_thread(thread._consumer.committed, tp) or 0
            positions[tp] = max(due, begins[tp])
            lags[tp.topic] += max(0, ends[tp] - positions[tp])
        for topic, lag in lags.items():
            self._counting.metrics.lag.labels(topic).set(lag)
        self._heard_at = time.monotonic()
        self._lag = sum(lags.values())
        if positions != self._positions or not self._lag:
            self._progress_at = time.monotonic()
        self._positions = positions

    def live(self) -> tuple[bool, Mapping[str, Any]]:
        """The loop beats, where records wait some are handled, and recovery does not take for ever."""
        now = time.monotonic()
        late, idle, unready = now - self._beat_at, now - self._progress_at, now - self._ready_at
        progresses = not self._lag or idle < self._stall_s + LAG_S
        return late < LATE_BEAT_S and progresses and unready < LONGEST_RECOVERY_S, {
            "seconds_since_beat": late,
            "lag_records": self._lag,
            "seconds_since_progress": idle,
            "seconds_since_ready": unready,
        }

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Partitions are assigned, states recovered, Kafka answers; the model is loaded, or there would be no worker.

        Without Kafka a worker lives: it waits, and goes on where it was.
        """
        unheard = time.monotonic() - self._heard_at
        return self._ready and unheard < UNHEARD_S, {
            "assigned_and_recovered": self._ready,
            "model_loaded": True,
            "seconds_since_kafka_answered": unheard,
        }

    def _assignment(self) -> set[Any]:
        try:
            return set(self._counting.faust_app.consumer.assignment())
        except ConsumerNotStarted:
            return set()


def end_when_stuck(health: Health, end: Callable[[BaseException], None]) -> None:
    """Ends the process when it is no longer live, so that others take over its partitions. Returns at once."""

    def watch() -> None:
        strikes = 0
        while True:
            time.sleep(WATCH_S)
            alive, details = health.live()
            strikes = 0 if alive else strikes + 1
            if strikes == STRIKES:
                end(BrokerError(f"no progress: {details}"))

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
