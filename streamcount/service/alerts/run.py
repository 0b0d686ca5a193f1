"""The process: reads what is counted, and tells of cameras that are silent or late."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Gauge

from streamcount.alerts import LatencyRule, SilentRule
from streamcount.config import Settings, TopicName
from streamcount.config.settings import REPLAY_SUFFIX
from streamcount.errors import BrokerError, ConfigurationError
from streamcount.service.alerts.waiting import Waiting
from streamcount.service.alerts.watch import CameraWatch, Told
from streamcount.service.reading import (
    CONNECT_S,
    group_member,
    join_group,
    likely_partition,
    read_topic,
    topic_partitions,
)
from streamcount.service.status import serving_status
from streamcount.types import AlertCleared, AlertRaised, CameraStalled, CountsUpdated, FramesMissing
from streamcount.wire import encode_event, event_or_none

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

log = logging.getLogger(__name__)

READ: tuple[TopicName, ...] = ("counts", "events")
LOOK_EVERY_S = 1.0
# Longer from one look to the next, and Kafka was away or slow, for the cameras as for this process.
LOOK_LATE_S = 4.0
COMMIT_EVERY_S = 5.0
# How much of what is counted is read again at a start, beyond the longest silence that a rule asks for.
READ_AGAIN_S = 3600.0
AGAIN_AFTER_S = 1.0
SEND_S = 30.0
# Longer than any one call may take, reading what is raised at a start included.
STUCK_S = 300.0


class AlertMetrics:
    """What /metrics says; docs/metrics.md explains each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.cameras = Gauge("streamcount_watched_cameras", "Cameras heard of.", registry=registry)
        self.active = Gauge(
            "streamcount_watched_alerts", "Cameras for which a rule is raised.", ["rule"], registry=registry
        )
        self.up = Gauge("streamcount_watching", "1 if all that is counted is read.", registry=registry)


class AlertWatcher:
    """Watches the cameras of the partitions that its consumer group gives it; several processes share them.

    What is raised is known from the topic of alerts alone. After a start, a rebalance, or when Kafka was away, all is
    read anew, and silence is counted from then on: an alert may be late by that.
    """

    def __init__(self, settings: Settings, metrics: AlertMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._rules = watched_rules(settings)
        self._watch = CameraWatch(self._rules)
        self._waiting = Waiting()
        self._assigned: set[Any] = set()
        self._rounds = 0
        self._all_read = False
        # By partition of `counts`, the offset up to which it is old.
        self._old_to: dict[int, int] = {}
        self.trouble = "not begun"
        self.moved_s = self._looked_s = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Until it is asked to stop; it waits for Kafka as long as need be."""
        from kafka.errors import KafkaError

        while not stop.is_set():
            try:
                self._follow(stop)
            except (KafkaError, BrokerError, OSError) as error:
                where = self._settings.kafka.bootstrap_servers
                self.moved_s = time.monotonic()
                self._told(f"Kafka at {where}: {error or type(error).__name__}")
                stop.wait(AGAIN_AFTER_S)

    def _follow(self, stop: threading.Event) -> None:
        clients = Clients(self._settings)
        self._assigned, self._rounds = set(), 0
        committed_s = 0.0
        try:
            while not stop.is_set():
                self.moved_s = time.monotonic()
                polled = clients.consumer.poll(timeout_ms=300, max_records=2000)
                # What was taken away and given back in one poll another process may have had meanwhile.
                if (clients.rounds, clients.consumer.assignment()) != (self._rounds, self._assigned):
                    self._begin(clients)
                    continue
                told: list[Told] = []
                for part, records in polled.items():
                    told += self._take(clients.consumer, part, records)
                self._send(clients.producer, told)
                now_s = time.monotonic()
                if now_s - self._looked_s >= LOOK_EVERY_S and self._assigned:
                    self._look(clients)
                if now_s - committed_s >= COMMIT_EVERY_S and self._assigned:
                    self._commit(clients.consumer)
                    committed_s = now_s
            if self._assigned:
                self._commit(clients.consumer)
        finally:
            clients.close()

    def _begin(self, clients: Clients) -> None:
        """Forgets all, and reads again what is needed to know which cameras there are and what is raised."""
        from kafka import TopicPartition

        consumer = clients.consumer
        self._assigned, self._rounds = set(consumer.assignment()), clients.rounds
        self._watch, self._waiting = CameraWatch(self._rules), Waiting()
        self._watch.expect(self._expected(consumer), time.monotonic(), time.time_ns())
        self._all_read = False
        topic = self._settings.topics.name("alerts")
        for record in read_topic(self._settings, topic, client_id="streamcount-alerts"):
            event = event_or_none(record.value)
            if isinstance(event, AlertRaised | AlertCleared):
                self._watch.recall(event, record.partition)
        self._send(clients.producer, self._watch.without_rule())
        longest_s = max(
            (rule.after_s for rule in self._rules.values() if isinstance(rule, SilentRule)), default=0
        )
        from_ms = int((time.time() - longest_s - READ_AGAIN_S) * 1000)
        mine = sorted(self._assigned)
        ends = clients.ends(mine)
        found = consumer.offsets_for_times(dict.fromkeys(mine, from_ms))
        for one in mine:
            place = found.get(one)
            start = ends[one] if place is None else place.offset
            committed = consumer.committed(one)
            consumer.seek(one, start if committed is None else min(start, committed))
        counts = self._settings.topics.name("counts")
        self._old_to = {
            one.partition: ends[TopicPartition(counts, one.partition)] for one in mine if one.topic == counts
        }
        self._looked_s = time.monotonic()
        log.info("watching %d partitions", len(self._old_to))

    def _expected(self, consumer: KafkaConsumer) -> dict[str, int]:
        """Cameras that are configured or that a rule names, whose counts lie in partitions of this process."""
        named = {name for rule in self._rules.values() for name in rule.cameras}
        counts = self._settings.topics.name("counts")
        numbers = topic_partitions(consumer, counts)
        mine = {one.partition for one in self._assigned if one.topic == counts}
        if not mine:
            return {}
        homes = {name: likely_partition(name.encode(), numbers) for name in {*self._settings.cameras, *named}}
        return {name: partition for name, partition in homes.items() if partition in mine}

    def _take(self, consumer: KafkaConsumer, part: Any, records: Sequence[Any]) -> list[Told]:
        """Judges by when records come; only the newest of a partition says how late frames are counted."""
        now_s, wall_s = time.monotonic(), time.time()
        told: list[Told] = []
        at_end = consumer.position(part) >= (consumer.highwater(part) or 0)
        is_counts = part.topic == self._settings.topics.name("counts")
        for record in records:
            # Of the events, which are many, only those matter that tell of frames.
            if not is_counts and b"FramesMissing" not in (record.value or b""):
                continue
            event = event_or_none(record.value)
            if not isinstance(event, CountsUpdated | FramesMissing):
                continue
            # Dead letters that were sent again end when they end.
            if event.camera_id.endswith(REPLAY_SUFFIX):
                continue
            live = is_counts and record.offset >= self._old_to.get(part.partition, 0)
            latency_s = None
            if live and at_end and record is records[-1]:
                latency_s = wall_s - record.timestamp / 1000
            told += self._watch.heard(event, part.partition, now_s, live=live, latency_s=latency_s)
        return told

    def _look(self, clients: Clients) -> None:
        """Judges by the time that has passed, if all that was counted is known."""
        from kafka import TopicPartition

        frames = self._settings.topics.name("frames")
        counts = sorted(one for one in self._assigned if one.topic == self._settings.topics.name("counts"))
        waiting = [TopicPartition(frames, one.partition) for one in counts]
        ends = clients.ends([*counts, *waiting])
        done = clients.committed(self._settings.app_id)
        now_s = time.monotonic()
        if now_s - self._looked_s > LOOK_LATE_S:
            self._watch.pause(now_s - self._looked_s)
        self._looked_s = now_s
        self._waiting.look(
            now_s,
            {one.partition: ends[one] for one in waiting},
            {one.partition: done.get(one, 0) for one in waiting},
        )
        if all(clients.consumer.position(one) >= ends[one] for one in counts):
            if not self._all_read:
                mine = [one.partition for one in counts]
                configured = bool(self._settings.cameras)
                self._send(clients.producer, self._watch.taken_out(mine, configured=configured))
                self._all_read = True
            self._send(clients.producer, self._watch.tick(now_s, self._waiting.since_s()))
            self._told("")
        self._metrics.cameras.set(self._watch.cameras)
        for name in self._rules:
            self._metrics.active.labels(name).set(self._watch.active(name))

    def _send(self, producer: KafkaProducer, events: Iterable[Told]) -> None:
        """Confirmed when it returns; the offsets behind what led to it are committed later."""
        sent = []
        for event in events:
            log.info("%s %s", event.event_id, getattr(event, "reason", ""))
            topic: TopicName = "events" if isinstance(event, CameraStalled) else "alerts"
            sent.append(
                producer.send(
                    self._settings.topics.name(topic),
                    key=event.camera_id.encode(),
                    value=encode_event(event),
                    partition=self._watch.partition_of(event.camera_id),
                )
            )
        for one in sent:
            one.get(timeout=SEND_S)

    def _commit(self, consumer: KafkaConsumer) -> None:
        from kafka.errors import CommitFailedError
        from kafka.structs import OffsetAndMetadata

        places = {one: OffsetAndMetadata(consumer.position(one), "", -1) for one in self._assigned}
        try:
            consumer.commit(places)
        except CommitFailedError:
            log.info("partitions went to another before their place could be committed")

    def _told(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("waiting: %s", trouble)
        self.trouble = trouble
        self._metrics.up.set(0 if trouble else 1)


class Clients:
    """What speaks with Kafka; all of it belongs to one thread. rounds: how often partitions were shared out."""

    def __init__(self, settings: Settings) -> None:
        from kafka import KafkaAdminClient, KafkaProducer

        common: dict[str, Any] = {
            "bootstrap_servers": settings.kafka.bootstrap_servers.split(","),
            "client_id": "streamcount-alerts",
            "bootstrap_timeout_ms": int(CONNECT_S * 1000),
        }
        self.rounds = 0
        with ExitStack() as stack:
            self.admin: KafkaAdminClient = KafkaAdminClient(**common, request_timeout_ms=10_000)
            stack.callback(self.admin.close)
            self.producer: KafkaProducer = KafkaProducer(
                **common,
                acks="all",
                enable_idempotence=True,
                max_block_ms=int(SEND_S * 1000),
                metrics_enabled=False,
            )
            stack.callback(self.producer.close, timeout=5)
            self.consumer: KafkaConsumer = group_member(settings, "alerts", auto_offset_reset="latest")
            stack.callback(self.consumer.close, autocommit=False, timeout_ms=5000)
            join_group(self.consumer, [settings.topics.name(topic) for topic in READ], self._shared_out)
            self._open = stack.pop_all()

    def _shared_out(self) -> None:
        self.rounds += 1

    def ends(self, partitions: Sequence[Any]) -> dict[Any, int]:
        """The offset behind the last record of each. Raises KafkaError."""
        from kafka.admin import OffsetSpec

        # A consumer's own `end_offsets` knows only topics that it reads.
        found = self.admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        return {partition: place.offset for partition, place in found.items()}

    def committed(self, group: str) -> dict[Any, int]:
        """Where a group resumes, by partition; empty where nobody knows such a group. Raises KafkaError."""
        from kafka.errors import CoordinatorNotAvailableError

        try:
            found = self.admin.list_group_offsets(group).get(group, {})
        except CoordinatorNotAvailableError:
            return {}
        return {partition: place.offset for partition, place in found.items()}

    def close(self) -> None:
        """Leaves the group."""
        self._open.close()


def watched_rules(settings: Settings) -> dict[str, SilentRule | LatencyRule]:
    """The rules that go by the clock. Raises ConfigurationError where there is none."""
    rules = {
        name: rule for name, rule in settings.alerts.items() if isinstance(rule, SilentRule | LatencyRule)
    }
    if not rules:
        raise ConfigurationError(
            "there is no rule to watch in [alerts]; add one of kind silent or latency (workers judge the others)"
        )
    return rules


def run_alerts(settings: Settings, stop: threading.Event, host: str, port: int | None) -> int:
    """Watches until `stop` is set, and returns the exit code. port: of /metrics; None for no server.

    Raises ConfigurationError where there is no rule to watch.
    """
    registry = CollectorRegistry()
    watcher = AlertWatcher(settings, AlertMetrics(registry))

    def live() -> tuple[bool, dict[str, Any]]:
        still_s = time.monotonic() - watcher.moved_s
        return still_s < STUCK_S, {"seconds_without_progress": round(still_s, 1)}

    def ready() -> tuple[bool, dict[str, Any]]:
        return not watcher.trouble, {"trouble": watcher.trouble}

    with serving_status(registry, live, ready, host, port):
        watcher.run(stop)
    return 0
