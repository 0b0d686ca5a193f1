"""The process: reads the windows of cameras, sums them by group, and tells each sum once.

What was decided is stored before it is told, in one record with the offsets that it rests on: a killed process leaves
a state that says what is still to be told, and the next one tells that, in the same words.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from streamcount.config import Settings
from streamcount.errors import BrokerError, ConfigurationError, FrameError, StreamcountError
from streamcount.pipeline import GroupPipeline, GroupRunState
from streamcount.service.groups.clients import BATCH, CLIENT, SESSION_S, Clients, Membership
from streamcount.service.groups.merging import InTime
from streamcount.service.groups.stored import StoredGroup, Telling, decode_stored, encode_stored
from streamcount.service.reading import read_topic
from streamcount.service.status import serving_status
from streamcount.service.topics import groups_topic
from streamcount.types import AnyEvent, WindowClosed
from streamcount.wire import encode_event, event_or_none
from streamcount.wire.records import OTHER_VERSION

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 1.0
STORE_EVERY_S = 5.0
# Without a record for so long, though there are some, reading begins anew.
SILENT_S = 10.0
# So many records of a partition that is ahead wait in memory.
AHEAD = 1000
# Longer than any one call may take, reading what is stored at a start included.
STUCK_S = 300.0
# Of a record's size, so much is left for its key and headers.
RECORD_BYTES = 16_384


class GroupMetrics:
    """What /metrics says; docs/metrics.md explains each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.windows = Counter(
            "streamcount_group_windows", "Windows of groups told.", ["group"], registry=registry
        )
        self.incomplete = Counter(
            "streamcount_group_windows_incomplete",
            "Those of them that are not complete.",
            ["group"],
            registry=registry,
        )
        self.mine = Gauge("streamcount_groups_summed", "Groups that this process sums.", registry=registry)
        self.up = Gauge("streamcount_groups_up", "1 if windows are read.", registry=registry)


@dataclass
class _Summing:
    """One group that is ours. offsets, outbox: as in StoredGroup. changed: since it was stored.

    newest_ms: timestamp of the last record taken in.
    """

    pipeline: GroupPipeline
    state: GroupRunState
    offsets: dict[int, int] = field(default_factory=dict)
    outbox: list[Telling] = field(default_factory=list)
    changed: bool = False
    newest_ms: int = 0


class GroupSummer:
    """Sums the groups whose keys lie in the partitions that it is given; several processes share the groups."""

    def __init__(self, settings: Settings, metrics: GroupMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._ours: Membership | None = None
        self._groups: dict[str, _Summing] = {}
        self._merged = InTime()
        # By partition of the topic of windows: the next offset to read, and the one behind the last record known of.
        self._places: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._member_s = self._heard_s = 0.0
        self.trouble = "not begun"
        self.moved_s = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Until it is asked to stop; it waits for Kafka as long as need be."""
        from kafka.errors import KafkaError

        while not stop.is_set():
            try:
                self._follow(stop)
            except (KafkaError, BrokerError, OSError) as error:
                self.moved_s = time.monotonic()
                where = self._settings.kafka.bootstrap_servers
                self._told(f"Kafka at {where}: {error or type(error).__name__}")
                stop.wait(AGAIN_AFTER_S)

    def _follow(self, stop: threading.Event) -> None:
        clients = Clients(self._settings)
        self._ours, stored_s = None, time.monotonic()
        try:
            while not stop.is_set():
                ours = clients.membership(timeout_ms=50)
                self._member_s = self.moved_s = time.monotonic()
                if ours != self._ours:
                    self._begin(clients, ours)
                    continue
                if not self._groups:
                    self._told(
                        "" if ours.partitions else "no group is given to this process, another has them"
                    )
                    continue
                self._read(clients)
                self._take(self._merged.take(self._behind(), BATCH))
                self._tell(clients, [name for name, one in self._groups.items() if one.outbox])
                if time.monotonic() - stored_s >= STORE_EVERY_S:
                    self._tell(clients, [name for name, one in self._groups.items() if one.changed])
                    stored_s = time.monotonic()
            self._tell(clients, [name for name, one in self._groups.items() if one.changed])
        finally:
            clients.close()

    def _begin(self, clients: Clients, ours: Membership) -> None:
        """Forgets all, reads what is stored of the groups that are ours, and tells what was still to be told."""
        self._groups, self._merged = {}, InTime()
        names = [name for name in self._settings.groups if clients.partition_of(name) in ours.partitions]
        found: dict[str, bytes] = {}
        if names:
            for record in read_topic(self._settings, groups_topic(self._settings), client_id=CLIENT):
                found[(record.key or b"").decode()] = record.value or b""
        for name in names:
            pipeline = self._settings.group_pipeline(name)
            self._groups[name] = summing = _Summing(pipeline, pipeline.initial_state())
            stored = _stored(name, found.get(name), groups_topic(self._settings))
            if stored is not None:
                summing.state, summing.offsets = stored.state, dict(stored.offsets)
                self._send(clients, name, stored.outbox)
        self._seek(clients)
        self._ours = ours
        self._metrics.mine.set(len(names))
        log.info("summing %s", ", ".join(names) or "no group")

    def _seek(self, clients: Clients) -> None:
        clients.begin_reading()
        firsts = clients.windows.beginning_offsets(clients.partitions)
        ends = clients.windows.end_offsets(clients.partitions)
        self._heard_s = time.monotonic()
        self._places, self._ends = {}, {one.partition: end for one, end in ends.items()}
        for one in clients.partitions:
            known = [each.offsets.get(one.partition, 0) for each in self._groups.values()]
            self._places[one.partition] = max(min(known, default=0), firsts[one])

    def _read(self, clients: Clients) -> None:
        wanted = {
            number: place for number, place in self._places.items() if self._merged.waiting(number) < AHEAD
        }
        found = clients.read(wanted)
        if found or not self._behind():
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s > SILENT_S:
            raise BrokerError(f"windows wait, and none has come for {SILENT_S:g} s; reading begins anew")
        for part, records in found.items():
            self._merged.add(part.partition, records)
            self._places[part.partition] = records[-1].offset + 1
        for one in clients.windows.assignment():
            end = clients.windows.highwater(one) or 0
            self._ends[one.partition] = max(self._ends[one.partition], end)
        self._told("")

    def _behind(self) -> list[int]:
        """Partitions that hold more than was read."""
        return [number for number, end in self._ends.items() if self._places[number] < end]

    def _take(self, records: Iterable[Any]) -> None:
        for record in records:
            event = event_or_none(record.value)
            for summing in self._groups.values():
                if record.offset < summing.offsets.get(record.partition, 0):
                    continue
                summing.offsets[record.partition] = record.offset + 1
                summing.changed, summing.newest_ms = True, record.timestamp
                if not isinstance(event, WindowClosed):
                    continue
                summing.state, events = summing.pipeline.step(summing.state, event)
                self._add(summing, events)

    def _add(self, summing: _Summing, events: Iterable[AnyEvent]) -> None:
        for event in events:
            summing.outbox.append(_telling(event, summing.newest_ms))
            self._count(event)

    def _tell(self, clients: Clients, names: list[str]) -> None:
        """Stores these groups and then tells what they have to tell. Raises BrokerError after a long standstill."""
        if names and time.monotonic() - self._member_s > SESSION_S / 2:
            raise BrokerError("this process stood still, and another may have its groups; it begins anew")
        clients.send((groups_topic(self._settings), name, self._record(name), None) for name in names)
        for name in names:
            summing = self._groups[name]
            self._send(clients, name, summing.outbox)
            summing.outbox, summing.changed = [], False

    def _record(self, name: str) -> bytes:
        """What is stored of a group. Where too much waits, the oldest of it is told first, for it must fit."""
        one, most_bytes = self._groups[name], self._settings.topics.max_message_bytes
        value = encode_stored(StoredGroup(one.offsets, one.state, tuple(one.outbox)))
        # Once: what is told is still in this record, and not in the next one.
        if len(value) > most_bytes // 2 and one.state.gathered.gathering:
            waiting = len(one.state.gathered.gathering)
            log.warning(
                "group %s: %d windows wait, and their state of %d bytes outgrows half of topics.max_message_bytes; "
                "the older half is told without the cameras that are missing. Lower groups.%s.wait_s, or raise "
                "topics.max_message_bytes",
                name, waiting, len(value), name,
            )  # fmt: skip
            one.state, events = one.pipeline.relieve(one.state)
            self._add(one, events)
            value = encode_stored(StoredGroup(one.offsets, one.state, tuple(one.outbox)))
        if len(value) > most_bytes - RECORD_BYTES:
            raise ConfigurationError(
                f"the state of group {name} takes {len(value)} bytes, more than one record may; "
                f"lower groups.{name}.wait_s, or raise topics.max_message_bytes (now {most_bytes})"
            )
        return value

    def _send(self, clients: Clients, name: str, outbox: Iterable[Telling]) -> None:
        prefix = self._settings.topics.prefix
        clients.send((f"{prefix}.{one.topic}", name, one.value, one.timestamp_ms) for one in outbox)

    def _count(self, event: AnyEvent) -> None:
        log.info("%s", event.event_id)
        if not isinstance(event, WindowClosed):
            return
        self._metrics.windows.labels(event.camera_id).inc()
        if not event.complete:
            self._metrics.incomplete.labels(event.camera_id).inc()
        if event.late_members:
            log.warning(
                "%s: too late for the window before: %s", event.event_id, ", ".join(event.late_members)
            )

    def _told(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("waiting: %s", trouble)
        self.trouble = trouble
        self._metrics.up.set(0 if trouble else 1)


def _stored(name: str, value: bytes | None, topic: str) -> StoredGroup | None:
    """What is stored of a group. Raises StreamcountError where it is damaged."""
    if not value:
        return None
    try:
        return decode_stored(value)
    except FrameError as error:
        if error.reason != OTHER_VERSION:
            # To begin anew would change results without a word.
            raise StreamcountError(
                f"the stored state of group {name} is damaged: {error}; delete the record of key {name} in {topic} "
                "(send one of that key without a value) to begin anew; windows told before are told again under the "
                "same ids, as far as the topic of windows reaches back"
            ) from error
        log.warning("group %s begins anew: %s", name, error)
        return None


def _telling(event: AnyEvent, timestamp_ms: int) -> Telling:
    topic = "windows" if isinstance(event, WindowClosed) else "alerts"
    return Telling(topic, encode_event(event), timestamp_ms)


def check_groups(settings: Settings) -> None:
    """Raises ConfigurationError where there is no group to sum."""
    if not settings.groups:
        raise ConfigurationError("there is no group; add a table [groups.NAME] with cameras = [...]")


def run_groups(settings: Settings, stop: threading.Event, host: str, port: int | None) -> int:
    """Sums until `stop` is set, and returns the exit code. port: of /metrics; None for no server."""
    registry = CollectorRegistry()
    summer = GroupSummer(settings, GroupMetrics(registry))

    def live() -> tuple[bool, dict[str, Any]]:
        still_s = time.monotonic() - summer.moved_s
        return still_s < STUCK_S, {"seconds_without_progress": round(still_s, 1)}

    def ready() -> tuple[bool, dict[str, Any]]:
        return not summer.trouble, {"trouble": summer.trouble}

    with serving_status(registry, live, ready, host, port):
        summer.run(stop)
    return 0
