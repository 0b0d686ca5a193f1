"""Feeding sinks: each reads the topics for itself, at its own pace, and holds up nobody else."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streamcount.config import Settings
from streamcount.errors import BrokerError, ConfigurationError, FrameError, SinkError, StreamcountError
from streamcount.service.reading import group_member, join_group
from streamcount.service.status import serving_status
from streamcount.sinks.base import RefreshingSink
from streamcount.sinks.store import EventSink, SinkConfig, SqliteConfig
from streamcount.types import AnyEvent
from streamcount.wire import decode_event

if TYPE_CHECKING:
    from kafka import KafkaConsumer

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
# Without a record for so long, it is asked whether there are any.
SILENT_S = 10.0


class SinkMetrics:
    """What /metrics says of sinks; docs/metrics.md explains each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str) -> Counter:
            return Counter(f"streamcount_sink_{name}", what, ["sink"], registry=registry)

        self.written = counter("written", "Events stored.")
        self.repeated = counter("repeated", "Events that were there already.")
        self.refused = counter("refused", "Records that can never be stored, set aside.")
        self.errors = counter("errors", "Writes that failed, to be tried again.")
        self.lag = Gauge("streamcount_sink_lag_records", "Records that wait.", ["sink"], registry=registry)
        self.up = Gauge("streamcount_sink_up", "1 if it takes events.", ["sink"], registry=registry)
        self.seconds = Histogram(
            "streamcount_sink_write_seconds", "Writing a batch.", ["sink"], registry=registry
        )


class SinkFeeder:
    """One sink with its own consumer group and thread. A batch's offsets are committed when it is lasting.

    While the sink is down its partitions are paused, it is tried again after half a second, one, two, up to thirty,
    and Kafka keeps what comes. A record that can never be stored goes to a file of refused ones.
    """

    def __init__(self, name: str, config: SinkConfig, settings: Settings, metrics: SinkMetrics) -> None:
        """Raises ConfigurationError where the sink needs what is not there, such as a password."""
        self.name = name
        self._config = config
        self._settings = settings
        self._metrics = metrics
        self._stop = threading.Event()
        self._sink: EventSink = config.build()
        self._is_open = False
        self._heard_s = 0.0
        self._placed: set[Any] = set()
        self.trouble = "not begun"
        self.fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        for counter in (metrics.written, metrics.repeated, metrics.refused, metrics.errors):
            counter.labels(name)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Asks it to end after the batch in work."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Whether it has ended within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._consume()
        except BaseException as error:
            # Only this one ends; the process sees `fault`.
            log.exception("sink %s has ended by a fault", self.name)
            self.fault = error
            self._told(f"{type(error).__name__}: {error}")
        finally:
            self._sink.close()

    def _consume(self) -> None:
        """Reads and writes until it is asked to end, or Kafka fails."""
        from kafka.errors import KafkaError

        try:
            consumer = group_member(
                self._settings,
                f"sink-{self.name}",
                auto_offset_reset="earliest" if self._config.begin == "beginning" else "latest",
                fetch_max_bytes=self._settings.topics.max_message_bytes,
            )
            self._heard_s = time.monotonic()
            try:
                names = [self._settings.topics.name(topic) for topic in self._config.topics]
                join_group(consumer, names)
                while not self._stop.is_set():
                    self._step(consumer)
            finally:
                consumer.close(autocommit=False, timeout_ms=5000)
        except (KafkaError, BrokerError, OSError) as error:
            self._told(f"Kafka at {self._settings.kafka.bootstrap_servers}: {error or type(error).__name__}")
            self._refresh_alone()
            self._stop.wait(FIRST_WAIT_S)

    def _refresh_alone(self) -> None:
        """While Kafka is away, what the sink has told must not be forgotten."""
        if isinstance(self._sink, RefreshingSink):
            try:
                self._write([])
            except (SinkError, OSError) as error:
                self._is_open = False
                log.warning("sink %s waits: %s", self.name, error)

    def _step(self, consumer: KafkaConsumer) -> None:
        if not self._is_open or isinstance(self._sink, RefreshingSink):
            self._until_lasting(consumer, [])
        polled = consumer.poll(timeout_ms=500, max_records=self._config.batch_events)
        self._told("")
        self._keep_place(consumer, polled)
        lag = [
            (consumer.highwater(one) or 0) - consumer.position(one)
            for one in consumer.assignment()
            if consumer.highwater(one) is not None
        ]
        self._metrics.lag.labels(self.name).set(max(sum(lag), 0))
        records = [record for part in polled.values() for record in part]
        if records:
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s > SILENT_S:
            self._look_for_records(consumer)
        if records and self._until_lasting(consumer, records):
            self._commit(consumer, records)

    def _keep_place(self, consumer: KafkaConsumer, polled: Mapping[Any, Sequence[Any]]) -> None:
        """Where it begins with what is to come: commits where that is in each partition.

        Else what comes while it is down would be passed over as old. polled: what has just come, and is not written.
        """
        from kafka.errors import CommitFailedError
        from kafka.structs import OffsetAndMetadata

        if self._config.begin != "end":
            return
        new = set(consumer.assignment()) - self._placed
        begun = [one for one in new if consumer.committed(one) is None]
        places = {one: polled[one][0].offset if polled.get(one) else consumer.position(one) for one in begun}
        try:
            if places:
                consumer.commit({one: OffsetAndMetadata(place, "", -1) for one, place in places.items()})
            self._placed |= new
        except CommitFailedError:
            log.info("sink %s: its partitions went to another, which keeps its own place", self.name)

    def _look_for_records(self, consumer: KafkaConsumer) -> None:
        """Raises KafkaError where records wait and none comes: a new consumer reads them, this one does not."""
        from kafka.errors import KafkaError

        mine = list(consumer.assignment())
        ends = consumer.end_offsets(mine) if mine else {}
        if any(ends[one] > consumer.position(one) for one in mine):
            raise KafkaError(f"records wait, and none has come for {SILENT_S:g} s; reading begins anew")
        self._heard_s = time.monotonic()

    def _until_lasting(self, consumer: KafkaConsumer, records: list[Any]) -> bool:
        """Tries for ever, with pauses; False where it was asked to end before. `records` grows if more arrive."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                self._write(records)
                self._told("")
                consumer.resume(*consumer.paused())
                return True
            except (SinkError, OSError) as error:
                self._metrics.errors.labels(self.name).inc()
                self._told(str(error))
                self._is_open = False
            until_s = time.monotonic() + wait_s
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            while time.monotonic() < until_s:
                if self._stop.is_set():
                    return False
                # Polling keeps it in its group; a partition that is given to it meanwhile may bring records.
                consumer.pause(*consumer.assignment())
                polled = consumer.poll(timeout_ms=200)
                self._keep_place(consumer, polled)
                for part in polled.values():
                    records.extend(part)

    def _write(self, records: list[Any]) -> None:
        sink = self._sink
        if not self._is_open:
            sink.open()
            self._is_open = True
        if isinstance(sink, RefreshingSink):
            sink.refresh()
        if not records:
            return
        events: list[tuple[Any, AnyEvent]] = []
        unreadable: list[tuple[Any, str]] = []
        for record in records:
            try:
                events.append((record, decode_event(record.value or b"")))
            except FrameError as error:
                unreadable.append((record, str(error)))
        with self._metrics.seconds.labels(self.name).time():
            for start in range(0, len(events), self._config.batch_events):
                self._write_or_halve(sink, events[start : start + self._config.batch_events], unreadable)
        self._set_aside(unreadable)

    def _write_or_halve(
        self, sink: EventSink, events: Sequence[tuple[Any, AnyEvent]], refused: list[tuple[Any, str]]
    ) -> None:
        """Writes all but those that can never be stored: halving finds them."""
        try:
            new = sink.write([event for _, event in events])
        except SinkError as error:
            if error.retry:
                raise
            if len(events) == 1:
                refused.append((events[0][0], str(error)))
                return
            middle = len(events) // 2
            self._write_or_halve(sink, events[:middle], refused)
            self._write_or_halve(sink, events[middle:], refused)
            return
        self._metrics.written.labels(self.name).inc(new)
        self._metrics.repeated.labels(self.name).inc(len(events) - new)

    def _set_aside(self, refused: list[tuple[Any, str]]) -> None:
        """A line for each refused record, lasting before its offset is committed. Raises OSError."""
        if not refused:
            return
        folder = self._config.refused_folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.jsonl"
        lines = [
            {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "why": why,
                "value_base64": b64encode(record.value or b"").decode(),
            }
            for record, why in refused
        ]
        _append_lines(path, [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines])
        self._metrics.refused.labels(self.name).inc(len(refused))
        log.warning("sink %s: %d records can never be stored; they are in %s", self.name, len(refused), path)

    def _commit(self, consumer: KafkaConsumer, records: list[Any]) -> None:
        from kafka import TopicPartition
        from kafka.errors import CommitFailedError
        from kafka.structs import OffsetAndMetadata

        ends: dict[Any, int] = {}
        for record in records:
            one = TopicPartition(record.topic, record.partition)
            ends[one] = max(ends.get(one, 0), record.offset + 1)
        mine = consumer.assignment()
        offsets = {one: OffsetAndMetadata(end, "", -1) for one, end in ends.items() if one in mine}
        try:
            if offsets:
                consumer.commit(offsets)
        except CommitFailedError:
            # Another has these partitions now; it reads them again, and they are stored once all the same.
            log.info("sink %s: its partitions went to another before it could commit", self.name)

    def _told(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("sink %s waits: %s", self.name, trouble)
        elif not trouble and self.trouble:
            log.info("sink %s takes events", self.name)
        self.trouble = trouble
        self._metrics.up.labels(self.name).set(0 if trouble else 1)


def _append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """All of them, lasting, or none: a full disk leaves no half of a line. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(b"".join(lines))
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def chosen_sinks(settings: Settings, names: Sequence[str]) -> dict[str, SinkConfig]:
    """The sinks of these names, all without names; where none is configured, a SQLite file named `store`.

    Raises ConfigurationError.
    """
    sinks: dict[str, SinkConfig] = dict(settings.sinks) or {"store": SqliteConfig()}
    unknown = [name for name in names if name not in sinks]
    if unknown:
        raise ConfigurationError(f"there is no sink {', '.join(unknown)}; there are: {', '.join(sinks)}")
    return {name: sinks[name] for name in names or sinks}


def run_sinks(
    settings: Settings, sinks: Mapping[str, SinkConfig], stop: threading.Event, host: str, port: int | None
) -> int:
    """Feeds the sinks until `stop` is set, and returns the exit code. port: of /metrics; None for no server."""
    registry = CollectorRegistry()
    metrics = SinkMetrics(registry)
    feeders = [SinkFeeder(name, config, settings, metrics) for name, config in sinks.items()]

    def live() -> tuple[bool, dict[str, Any]]:
        return all(one.alive for one in feeders), {one.name: one.alive for one in feeders}

    def ready() -> tuple[bool, dict[str, Any]]:
        return not any(one.trouble for one in feeders), {one.name: one.trouble for one in feeders}

    with serving_status(registry, live, ready, host, port):
        for one in feeders:
            one.start()
        while not stop.wait(0.2) and any(one.alive for one in feeders):
            pass
        for one in feeders:
            one.stop()
        ended = [one.join(30.0) for one in feeders]
    faults = [one.fault for one in feeders if one.fault is not None]
    if faults:
        return int(faults[0].exit_code) if isinstance(faults[0], StreamcountError) else 1
    return 0 if all(ended) else 1
