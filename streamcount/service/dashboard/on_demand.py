"""What the page asks of Kafka, or tells it, because somebody wants it: each connection is opened at its first use."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamcount.config import Settings
from streamcount.errors import BrokerError
from streamcount.service.alerts.watch import LATENCY, SILENCE
from streamcount.service.dashboard.camera import Place
from streamcount.service.dead_letters import DeadLetter, Replay, dead_letter_at
from streamcount.service.reading import CONNECT_S, kafka_errors
from streamcount.service.snapshots.frames import FrameFinder
from streamcount.types import AlertAcknowledged, AlertRaised, Frame
from streamcount.wire import encode_event

if TYPE_CHECKING:
    from kafka import KafkaProducer

SEND_S = 10.0
# An alert that goes by the clock is raised so long after its frame, beside the time that the rule asks for.
CLOCK_SLACK_MS = 5_000


@dataclass
class Replayed:
    """What became of dead letters that were to be sent again. gone: Kafka no longer has them."""

    sent: int = 0
    gone: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)


class OnDemand:
    """Blocking calls, safe for threads, each alone on its connection. All raise BrokerError where Kafka fails.

    trouble: says what is wrong with Kafka, "" for nothing: what is known to be away is not waited for.
    """

    def __init__(self, settings: Settings, trouble: Callable[[], str] = lambda: "") -> None:
        self._settings = settings
        self._trouble = trouble
        self._sending, self._finding, self._replaying = threading.Lock(), threading.Lock(), threading.Lock()
        self._producer: KafkaProducer | None = None
        self._finder: FrameFinder | None = None
        self._replayed_ns = 0

    def close(self) -> None:
        """Ends the connections."""
        with self._sending:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=2)
        self._drop_finder()

    def tell(self, event: AlertAcknowledged, partition: int | None) -> None:
        """Puts it behind its alert, and returns when Kafka has confirmed it.

        partition: of the alert; None for where Kafka's own way of choosing puts its camera.
        """
        self._check()
        with self._sending, kafka_errors(self._settings):
            if self._producer is None:
                self._producer = self._open_producer()
            topic = self._settings.topics.name("alerts")
            key, value = event.camera_id.encode(), encode_event(event)
            self._producer.send(topic, value, key, partition=partition).get(SEND_S)

    def frame_of(self, alert: AlertRaised, place: Place) -> Frame | None:
        """The frame at which an alert was raised; None where Kafka no longer has it, or it cannot be decoded.

        place: of the alert's record. Alerts that go by the clock have their own time and not their frame's, which was
        their value in seconds before.
        """
        name = (alert.camera_id, alert.run_id, alert.sequence)
        back_ms = clock_back_ms(alert)
        with self._found() as finder:
            found = finder.find(place.partition, place.time_ms, name)
            if found is None and back_ms:
                found = finder.find(place.partition, max(place.time_ms - back_ms, 0), name)
            return found

    def dead_letter(self, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter at a place; None where there is none, or no longer."""
        self._check()
        return dead_letter_at(self._settings, partition, offset)

    def replay(self, places: Iterable[tuple[int, int]]) -> Replayed:
        """Sends the dead letters at (partition, offset) to the workers again, as `streamcount dead-letters` does."""
        self._check()
        replayed = Replayed()
        with self._replaying:
            # A replay's runs are named by the microsecond: two within one would be one run.
            self._replayed_ns = max(time.time_ns(), self._replayed_ns + 1000)
            letters = [self.dead_letter(*place) for place in places]
            with Replay(self._settings, self._replayed_ns) as again:
                for letter in letters:
                    if letter is None:
                        replayed.gone += 1
                    else:
                        again.send(letter)
            replayed.sent, replayed.passed_over = again.sent, again.passed_over
        return replayed

    def _check(self) -> None:
        trouble = self._trouble()
        if trouble:
            raise BrokerError(trouble)

    @contextmanager
    def _found(self) -> Iterator[FrameFinder]:
        self._check()
        with self._finding, kafka_errors(self._settings):
            try:
                if self._finder is None:
                    self._finder = FrameFinder(self._settings, "streamcount-dashboard-frames")
                yield self._finder
            except Exception:
                self._drop_finder()
                raise

    def _drop_finder(self) -> None:
        finder, self._finder = self._finder, None
        if finder is not None:
            finder.close()

    def _open_producer(self) -> KafkaProducer:
        from kafka import KafkaProducer

        return KafkaProducer(
            bootstrap_servers=self._settings.kafka.bootstrap_servers.split(","),
            client_id="streamcount-dashboard",
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=int(SEND_S * 1000),
            request_timeout_ms=5_000,
            max_block_ms=int(CONNECT_S * 1000),
            bootstrap_timeout_ms=int(CONNECT_S * 1000),
            metrics_enabled=False,
        )


def clock_back_ms(alert: AlertRaised) -> int:
    """How long before its own time the frame of an alert may lie: 0 for those that do not go by the clock."""
    by_clock = alert.figure in (SILENCE, LATENCY)
    return CLOCK_SLACK_MS + int((alert.value or 0) * 1000) if by_clock else 0
