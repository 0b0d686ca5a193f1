"""From events about abnormal cells to their pictures: a consumer group of its own, which nobody waits for."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter

from streamcount.config import Settings
from streamcount.errors import BrokerError, SourceError
from streamcount.service.reading import CONNECT_S, SILENT_S, group_member, join_group, read_backwards
from streamcount.service.snapshots.cutting import cut_out
from streamcount.service.snapshots.frames import FrameFinder
from streamcount.service.status import serving_status
from streamcount.types import CellAbnormal
from streamcount.wire import event_or_none
from streamcount.wire.cloudevents import Headers, format_time
from streamcount.wire.images import CONTENT_TYPES

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer

log = logging.getLogger(__name__)

SNAPSHOT_TYPE = "org.streamcount.snapshot.v1"
RETRY_S = 1.0
BATCH = 200
# Longer than any one picture may take, with its frame looked up and its sending confirmed.
STUCK_S = 300.0


class SnapshotMetrics:
    """What /metrics says of snapshots; docs/abnormal.md explains each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.kept = Counter("streamcount_snapshots_kept", "Pictures sent.", registry=registry)
        self.bytes = Counter("streamcount_snapshots_bytes", "Bytes of them.", registry=registry)
        self.gone = Counter(
            "streamcount_snapshots_gone", "Abnormal cells whose frame Kafka no longer has.", registry=registry
        )
        self.errors = Counter("streamcount_snapshots_errors", "Times Kafka failed.", registry=registry)


def snapshot_headers(event: CellAbnormal) -> Headers:
    """Kafka headers of a snapshot's record: CloudEvents in binary mode. Its key is the camera_id."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event.snapshot,
        "ce_source": f"/cameras/{event.camera_id}/runs/{event.run_id}",
        "ce_type": SNAPSHOT_TYPE,
        "ce_time": format_time(event.happened_at_ns),
        "ce_subject": event.subject(),
        "content-type": CONTENT_TYPES["jpeg"],
        "ce_sequence": str(event.sequence),
        "ce_runid": event.run_id,
    }
    return [(name, value.encode()) for name, value in headers.items()]


class Snapshooter:
    """Cuts and sends. Offsets are committed when all pictures of a batch are confirmed: a crash repeats some, which
    are the same bytes under the same names."""

    def __init__(self, settings: Settings, metrics: SnapshotMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self.trouble = "not begun"
        self.moved_s = time.monotonic()

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether it goes on, for /livez: waiting for Kafka does, being stuck in a picture does not."""
        still_s = time.monotonic() - self.moved_s
        return still_s < STUCK_S, {"seconds_without_progress": round(still_s, 1)}

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; where Kafka fails it begins anew after a second."""
        from kafka.errors import KafkaError

        while not stop.is_set():
            try:
                self._consume(stop)
            except (KafkaError, BrokerError, OSError) as error:
                self._metrics.errors.inc()
                self.moved_s = time.monotonic()
                trouble = (
                    f"Kafka at {self._settings.kafka.bootstrap_servers}: {error or type(error).__name__}"
                )
                if trouble != self.trouble:
                    log.warning("snapshots wait: %s", trouble)
                self.trouble = trouble
                stop.wait(RETRY_S)

    def _consume(self, stop: threading.Event) -> None:
        with ExitStack() as stack:
            consumer = group_member(self._settings, "snapshots")
            stack.callback(consumer.close, autocommit=False, timeout_ms=5000)
            join_group(consumer, [self._settings.topics.name("events")])
            producer = self._producer()
            stack.callback(producer.close, timeout=5)
            finder = stack.enter_context(closing(FrameFinder(self._settings)))
            while not stop.is_set():
                self.moved_s = time.monotonic()
                polled = consumer.poll(timeout_ms=500, max_records=BATCH)
                self.trouble = ""
                for records in polled.values():
                    self._take(producer, finder, records)
                if polled:
                    _commit(consumer, polled)

    def _take(self, producer: KafkaProducer, finder: FrameFinder, records: list[Any]) -> None:
        sent = []
        topic = self._settings.topics.name("snapshots")
        for record in records:
            self.moved_s = time.monotonic()
            event = _abnormal(record.value)
            if event is None:
                continue
            data = self._picture(finder, record, event)
            if data is None:
                continue
            sent.append(
                producer.send(
                    topic,
                    data,
                    event.camera_id.encode(),
                    snapshot_headers(event),
                    partition=record.partition,
                    timestamp_ms=record.timestamp,
                )
            )
            self._metrics.kept.inc()
            self._metrics.bytes.inc(len(data))
        for one in sent:
            self.moved_s = time.monotonic()
            one.get(timeout=60)

    def _picture(self, finder: FrameFinder, record: Any, event: CellAbnormal) -> bytes | None:
        name = (event.camera_id, event.run_id, event.sequence)
        frame = finder.find(record.partition, record.timestamp, name)
        if frame is None:
            self._metrics.gone.inc()
            log.warning("snapshot %s: its frame is no longer in Kafka", event.snapshot)
            return None
        config = self._settings.snapshots
        return cut_out(frame.image, event.box_px, config.margin, config.max_bytes)

    def _producer(self) -> KafkaProducer:
        from kafka import KafkaProducer

        return KafkaProducer(
            bootstrap_servers=self._settings.kafka.bootstrap_servers.split(","),
            client_id="streamcount-snapshots",
            acks="all",
            enable_idempotence=True,
            max_request_size=self._settings.topics.max_message_bytes,
            bootstrap_timeout_ms=int(CONNECT_S * 1000),
            metrics_enabled=False,
        )


def _abnormal(value: bytes | None) -> CellAbnormal | None:
    """The event, if it is one that has a picture."""
    event = event_or_none(value)
    return event if isinstance(event, CellAbnormal) and event.snapshot else None


def _commit(consumer: KafkaConsumer, polled: dict[Any, list[Any]]) -> None:
    from kafka.errors import CommitFailedError
    from kafka.structs import OffsetAndMetadata

    mine = consumer.assignment()
    ends = {
        one: OffsetAndMetadata(records[-1].offset + 1, "", -1)
        for one, records in polled.items()
        if records and one in mine
    }
    try:
        if ends:
            consumer.commit(ends)
    except CommitFailedError:
        log.info("snapshots: the partitions went to another before it could commit")


def run_snapshots(settings: Settings, stop: threading.Event, host: str, port: int | None) -> int:
    """Keeps pictures until `stop` is set, and returns the exit code. port: of /metrics; None for no server."""
    registry = CollectorRegistry()
    worker = Snapshooter(settings, SnapshotMetrics(registry))

    def ready() -> tuple[bool, dict[str, Any]]:
        return not worker.trouble, {"snapshots": worker.trouble}

    with serving_status(registry, worker.live, ready, host, port):
        worker.run(stop)
    return 0


def snapshot_of(settings: Settings, name: str, silent_s: float = SILENT_S) -> bytes:
    """The JPEG of this name. Raises SourceError where there is none, BrokerError where Kafka fails.

    It looks where the camera's key belongs first, and from the newest back: most that are asked for were just made.
    """
    parts = name.split("/")
    if len(parts) != 5:
        raise SourceError(f"{name!r} is no snapshot's name, which is CAMERA/RUN/SEQUENCE/TRACK/REASON")
    topic = settings.topics.name("snapshots")
    wanted = name.encode()
    for record in read_backwards(
        settings, topic, parts[0].encode(), client_id="streamcount-snapshots-get", silent_s=silent_s
    ):
        if ("ce_id", wanted) in (record.headers or ()):
            return bytes(record.value)
    raise SourceError(
        f"there is no snapshot {name}: `streamcount snapshots run` has not come to it, its frame was gone, or it "
        "is older than the topic keeps (topics.events_retention_ms, topics.snapshots_retention_bytes)"
    )
