"""What Kafka still keeps of a camera's past, looked up by time when somebody asks; none of it is kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, Full, LifoQueue
from typing import TYPE_CHECKING, Any

from streamcount.config import Settings
from streamcount.config.settings import TopicName
from streamcount.errors import BrokerError, FrameError
from streamcount.lineage.build import LineageBuilder
from streamcount.lineage.model import Lineage
from streamcount.service.dashboard.camera import Picture
from streamcount.service.dashboard.cells import peek
from streamcount.service.lineages import take_tracks
from streamcount.service.reading import (
    find_record,
    kafka_errors,
    likely_partition,
    open_reader,
    read_since,
    topic_partitions,
)
from streamcount.service.snapshots.frames import frame_name
from streamcount.service.watch import CREATE_TIME
from streamcount.types import AnyEvent, CellAbnormal
from streamcount.wire import decode_event, decode_tracks, event_or_none
from streamcount.wire.cloudevents import frame_metadata, header_map

if TYPE_CHECKING:
    from kafka import KafkaConsumer

CLIENT = "streamcount-dashboard-past"
KEPT_CONNECTIONS = 2
# The newest of a partition that are read for one cell: some seconds' work.
MOST_TRACKS = 6000
MOST_EVENTS = 20_000
# Records bear the time of capture by the computer's clock. A camera's word on the acquisition may be later by this.
SLACK_MS = 20_000
KEPT_TIMES = 256
MS = 10**6

FrameKey = tuple[str, str, int]


class Past:
    """Looks things up on the topics. Safe for threads: each look has a connection of its own, some are kept.

    Frames are named by camera, run and sequence, and looked for by their time of acquisition. All methods raise
    BrokerError where Kafka cannot be read.

    ready: whether Kafka has been reached at all; before that nobody waits for it.
    """

    def __init__(self, settings: Settings, ready: Callable[[], bool]) -> None:
        self._settings = settings
        self._ready = ready
        self._idle: LifoQueue[KafkaConsumer] = LifoQueue(KEPT_CONNECTIONS)
        self._times_ms: dict[FrameKey, int] = {}

    def close(self) -> None:
        """Ends the connections that are kept."""
        while not self._idle.empty():
            self._idle.get_nowait().close(autocommit=False, timeout_ms=1000)

    def pictures_since_ms(self, camera_id: str) -> int | None:
        """The time of the oldest frame that is kept where the camera's lie; None where there is none."""
        with self._reading("frames", camera_id) as (consumer, place):
            found = consumer.offsets_for_times({place: 0})[place]
            return None if found is None else int(found.timestamp)

    def picture(self, name: FrameKey, time_ms: int) -> Picture | None:
        """The frame as it lies on the topic; None where it is no longer there."""
        time_ms = self._recorded_ms(name, time_ms)
        record = self._find("frames", name[0], time_ms, lambda one: frame_name(one) == name)
        if record is None:
            return None
        headers = header_map(record.headers)
        metadata = frame_metadata(record.key, headers)
        taken_ms = record.timestamp if record.timestamp_type == CREATE_TIME else None
        return Picture(
            run_id=metadata.run_id,
            sequence=metadata.sequence,
            acquired_at_ns=metadata.acquired_at_ns,
            captured_at_ms=taken_ms or metadata.acquired_at_ns // MS,
            content_type=headers["content-type"],
            data=record.value or b"",
            heard_s=0.0,
            pixel_size_um=metadata.pixel_size_um,
        )

    def cells(self, name: FrameKey, time_ms: int) -> tuple[bytes | None, bytes | None]:
        """The frame's records of tracks and of detections, None where they are no longer there."""
        camera_id, frame = name[0], name[1:]
        key, time_ms = camera_id.encode(), self._recorded_ms(name, time_ms)
        found = [
            self._find(topic, camera_id, time_ms, lambda one: one.key == key and peek(one.value) == frame)
            for topic in ("tracks", "detections")
        ]
        tracks, detections = (None if one is None else one.value for one in found)
        return tracks, detections

    def snapshot(self, event: CellAbnormal) -> bytes | None:
        """The JPEG that was kept of an abnormal cell; None where nobody kept one, or it is no longer there."""

        def is_it(record: Any) -> bool:
            return header_map(record.headers).get("ce_id") == event.snapshot

        name = (event.camera_id, event.run_id, event.sequence)
        time_ms = self._recorded_ms(name, event.happened_at_ns // MS)
        record = self._find("snapshots", event.camera_id, time_ms, is_it)
        return None if record is None else record.value

    def cell_events(self, camera_id: str, run_id: str) -> list[AnyEvent]:
        """Events of a run, as many of the newest as are read at once."""
        events = []
        with self._reading("events", camera_id) as (consumer, place):
            for record in read_since(consumer, place, 0, MOST_EVENTS, newest=True):
                if record.key == camera_id.encode() and run_id.encode() in (record.value or b""):
                    event = event_or_none(record.value)
                    if event is not None and event.run_id == run_id:
                        events.append(event)
        return events

    def lineage(self, camera_id: str, run_id: str, events: Sequence[AnyEvent], since_ms: int) -> Lineage:
        """The run as these events and the tracks since a time tell it, as many of the newest as are read at once."""
        builder = LineageBuilder(f"{camera_id} {run_id}")
        for event in events:
            builder.event(event)
        key, mark = camera_id.encode(), run_id.encode()
        with self._reading("tracks", camera_id) as (consumer, place):
            for record in read_since(consumer, place, since_ms - SLACK_MS, MOST_TRACKS, newest=True):
                if record.key == key and mark in (record.value or b""):
                    _sight(builder, record.value, run_id)
        return builder.build()

    def _recorded_ms(self, name: FrameKey, time_ms: int) -> int:
        """The time that the records of a frame bear: that of its count, whose records are small to look through."""
        known = self._times_ms.get(name)
        if known is not None:
            return known
        camera_id, run_id, sequence = name

        def is_it(record: Any) -> bool:
            if record.key != camera_id.encode() or run_id.encode() not in (record.value or b""):
                return False
            event = decode_event(record.value)
            return (event.run_id, event.sequence) == (run_id, sequence)

        record = self._find("counts", camera_id, time_ms - SLACK_MS, is_it)
        if record is None:
            # Whoever asks may have guessed wrong: the next one's time may find it.
            return time_ms
        while len(self._times_ms) >= KEPT_TIMES:
            self._times_ms.pop(next(iter(self._times_ms)), None)
        self._times_ms[name] = int(record.timestamp)
        return int(record.timestamp)

    def _find(
        self, topic: TopicName, camera_id: str, time_ms: int, wanted: Callable[[Any], bool]
    ) -> Any | None:
        with self._reading(topic, camera_id) as (consumer, place):
            return find_record(consumer, place, time_ms, _unless_bad(wanted))

    @contextmanager
    def _reading(self, topic: TopicName, camera_id: str) -> Iterator[tuple[KafkaConsumer, Any]]:
        """A connection, and the partition in which the camera's records lie."""
        from kafka import TopicPartition

        if not self._ready():
            raise BrokerError(f"Kafka at {self._settings.kafka.bootstrap_servers} is not read yet; ask again")
        with kafka_errors(self._settings):
            consumer = self._connection()
            kept = False
            try:
                name = self._settings.topics.name(topic)
                numbers = topic_partitions(consumer, name)
                yield consumer, TopicPartition(name, likely_partition(camera_id.encode(), numbers))
                kept = self._keep(consumer)
            finally:
                if not kept:
                    consumer.close(autocommit=False, timeout_ms=1000)

    def _keep(self, consumer: KafkaConsumer) -> bool:
        """Keeps a connection for the next look. False where enough are kept: then it is the caller's to close."""
        consumer.unsubscribe()
        try:
            self._idle.put_nowait(consumer)
        except Full:
            return False
        return True

    def _connection(self) -> KafkaConsumer:
        try:
            return self._idle.get_nowait()
        except Empty:
            return open_reader(self._settings, CLIENT)


def _unless_bad(wanted: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def check(record: Any) -> bool:
        try:
            return wanted(record)
        except FrameError:
            return False

    return check


def _sight(builder: LineageBuilder, value: bytes, run_id: str) -> None:
    try:
        told = decode_tracks(value)
    except FrameError:
        builder.unreadable += 1
        return
    if told.tracks.metadata.run_id == run_id:
        take_tracks(builder, told)
