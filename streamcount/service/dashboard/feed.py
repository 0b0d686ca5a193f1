"""From Kafka into the model: a consumer that belongs to no group, commits nothing, and comes back by itself."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from streamcount.config import Settings
from streamcount.config.settings import TopicName
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.reach import Reach
from streamcount.service.lag import CONNECT_S, fault
from streamcount.service.watch import CREATE_TIME
from streamcount.service.workers import WorkersProbe

if TYPE_CHECKING:
    from kafka import KafkaConsumer

log = logging.getLogger(__name__)

# Words are looked back on for a while, so that a page that was just started is not blank; pictures are not.
LOOKED_BACK: tuple[TopicName, ...] = ("counts", "events", "windows", "alerts", "dead-letters")
NEWEST_ONLY: tuple[TopicName, ...] = ("frames", "detections", "tracks")
LOOK_BACK_S = 900.0
# An alert that is still active may have been raised days ago.
ALERTS_LOOK_BACK_S = 7 * 86_400.0
MOST_LOOKED_BACK = 20_000
RETRY_S = 1.0
PARTITION_FETCH_BYTES = 2 * 2**20


class Feed:
    """Keeps a `LiveModel` up to date on a thread of its own; `with` starts and ends it.

    The model is told at once which cameras are configured. While Kafka is away `trouble` says so, since
    `trouble_since_ns`; it goes on where it was once Kafka is back.
    """

    def __init__(self, settings: Settings, model: LiveModel, look_back_s: float = LOOK_BACK_S) -> None:
        self._settings = settings
        self._model = model
        self._look_back_s = look_back_s
        self._ended = threading.Event()
        self._following = threading.Event()
        self._trouble = ""
        self.trouble_since_ns = 0
        self._positions: dict[Any, int] = {}
        self._live_from: dict[Any, int] = {}
        self._reach = Reach(model)
        self.lag = WorkersProbe(settings, "streamcount-dashboard")
        model.expect(settings.cameras, time.monotonic())
        self._thread = threading.Thread(target=self._follow, name="dashboard feed", daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        self.lag.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.lag.end()
        self._thread.join(CONNECT_S + 2)
        self.lag.join(CONNECT_S + 2)

    @property
    def trouble(self) -> str:
        """What is wrong with Kafka, or ""."""
        return self._trouble

    @property
    def address(self) -> str:
        """Which Kafka is read."""
        return self._settings.kafka.bootstrap_servers

    def wait_until_following(self, timeout_s: float) -> bool:
        """Whether, within a time, the ends of all topics are known: what is written from then on is seen."""
        return self._following.wait(timeout_s)

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            self.trouble_since_ns = time.time_ns()
            log.warning("%s", trouble)
        self._trouble = trouble

    def _follow(self) -> None:
        from kafka.errors import KafkaError

        while not self._ended.is_set():
            try:
                consumer = open_consumer(self._settings)
                try:
                    self._read(consumer)
                finally:
                    consumer.close(autocommit=False, timeout_ms=1000)
            except (KafkaError, OSError) as error:
                self._tell(f"Kafka at {self.address} cannot be read: {error or type(error).__name__}")
            except Exception as error:
                # A fault: the page must not stay up and stale, as if nothing were counted.
                self._tell(fault(error))
            self._ended.wait(RETRY_S)

    def _read(self, consumer: KafkaConsumer) -> None:
        homes = {self._settings.topics.name(topic): topic for topic in (*LOOKED_BACK, *NEWEST_ONLY)}
        if not self._assign(consumer, homes):
            return
        self._tell("")
        self._following.set()
        while not self._ended.is_set():
            polled = consumer.poll(timeout_ms=200)
            for partition, records in polled.items():
                for record in records:
                    self._take(homes[partition.topic], record, record.offset >= self._live_from[partition])
                self._positions[partition] = records[-1].offset + 1
                place = homes[partition.topic], partition.partition
                self._reach.read(*place, records[0].offset, records[-1].offset, int(time.time() * 1000))
            self._reach.tell()
            # kafka-python retries in silence; the probe asks the broker every second, and hears when it is gone.
            self._tell("" if polled else self.lag.trouble)

    def _assign(self, consumer: KafkaConsumer, homes: dict[str, TopicName]) -> bool:
        from kafka import TopicPartition

        known = {name: consumer.partitions_for_topic(name) for name in homes}
        absent = sorted(name for name, partitions in known.items() if not partitions)
        if absent:
            self._tell(f"no topic {', '.join(absent)}: make them with streamcount topics")
            return False
        partitions = [
            TopicPartition(name, number) for name, numbers in known.items() for number in numbers or ()
        ]
        consumer.assign(partitions)
        starts, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        self._live_from = ends
        now_ms = int(time.time() * 1000)
        back = [one for one in partitions if homes[one.topic] in LOOKED_BACK]
        since_ms = {one: now_ms - self._back_ms(homes[one.topic]) for one in back}
        found = consumer.offsets_for_times(since_ms)
        for one in partitions:
            if one not in found:
                consumer.seek(one, max(starts[one], ends[one] - 1))
                continue
            begin = self._positions.get(one, -1)
            # After a pause, words go on where they were; pictures jump to the newest.
            if not starts[one] <= begin <= ends[one]:
                begin, whole = self._begin(found[one], starts[one], ends[one])
                since = since_ms[one] if whole else now_ms
                self._reach.begin(homes[one.topic], one.partition, since, begin, ends[one])
            consumer.seek(one, begin)
        self._reach.tell()
        return True

    def _back_ms(self, topic: TopicName) -> int:
        back_s = max(self._look_back_s, ALERTS_LOOK_BACK_S) if topic == "alerts" else self._look_back_s
        return int(back_s * 1000)

    @staticmethod
    def _begin(found: Any, start: int, end: int) -> tuple[int, bool]:
        """The offset to look back to, and whether all that is looked back on lies behind it."""
        if found is None:
            return end, True
        begin = max(int(found.offset), start, end - MOST_LOOKED_BACK)
        # Where a partition begins in the midst of the time, what lay before has been deleted.
        return begin, begin == found.offset and (begin > start or start == 0)

    def _take(self, topic: TopicName, record: Any, live: bool) -> None:
        taken = Taken(
            topic=topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=list(record.headers or ()),
            captured_at_ms=record.timestamp if record.timestamp_type == CREATE_TIME else None,
            live=live,
        )
        self._model.take(taken, time.monotonic(), time.time_ns())


def open_consumer(settings: Settings) -> KafkaConsumer:
    """A consumer without a group. Raises kafka.errors.KafkaError where no broker answers within seconds."""
    from kafka import KafkaConsumer

    return KafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers.split(","),
        client_id="streamcount-dashboard",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        allow_auto_create_topics=False,
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        fetch_max_bytes=max(PARTITION_FETCH_BYTES, settings.topics.max_message_bytes),
        request_timeout_ms=10_000,
        reconnect_backoff_max_ms=1_000,
        bootstrap_timeout_ms=int(CONNECT_S * 1000),
        metrics_enabled=False,
    )
