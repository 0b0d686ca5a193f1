"""The frame of an event, looked up where it lies on its topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamcount.config import Settings
from streamcount.errors import FrameError
from streamcount.service.reading import CONNECT_S, PARTITION_FETCH_BYTES
from streamcount.types import Frame
from streamcount.wire import decode_image
from streamcount.wire.cloudevents import frame_metadata, header_map

if TYPE_CHECKING:
    from kafka import KafkaConsumer

# Records carry their frame's time in milliseconds, and a float of seconds on the way may round it.
ROUNDING_MS = 2
# Of other cameras, in the same partition and with the same time; beyond it the frame is not there.
MOST_RECORDS = 2000
MOST_POLLS = 20


class FrameFinder:
    """Finds frames by the time that their records and those of their events share. Remembers the last one.

    So nothing has to be kept in memory, all frames need not be read, and a restart loses nothing.
    """

    def __init__(self, settings: Settings, client_id: str = "streamcount-snapshots-frames") -> None:
        from kafka import KafkaConsumer

        self._settings = settings
        self._topic = settings.topics.name("frames")
        self._last: Frame | None = None
        self._consumer: KafkaConsumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.bootstrap_servers.split(","),
            client_id=client_id,
            allow_auto_create_topics=False,
            enable_auto_commit=False,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_bytes=settings.topics.max_message_bytes,
            request_timeout_ms=20_000,
            bootstrap_timeout_ms=int(CONNECT_S * 1000),
            metrics_enabled=False,
        )

    def close(self) -> None:
        """Ends the connection."""
        self._consumer.close(autocommit=False, timeout_ms=5000)

    def find(self, partition: int, time_ms: int, name: tuple[str, str, int]) -> Frame | None:
        """The frame of camera, run and sequence, from about the time on; None where Kafka no longer has it.

        partition: its number, that of the camera's events. Raises KafkaError.
        """
        if self._last is not None and _name(self._last) == name:
            return self._last
        from kafka import TopicPartition

        place = TopicPartition(self._topic, partition)
        found = self._consumer.offsets_for_times({place: time_ms - ROUNDING_MS})[place]
        if found is None:
            return None
        end = self._consumer.end_offsets([place])[place]
        self._consumer.assign([place])
        self._consumer.seek(place, found.offset)
        looked_at = 0
        for _ in range(MOST_POLLS):
            for record in self._consumer.poll(timeout_ms=500, max_records=16).get(place, []):
                looked_at += 1
                if _recorded(record) == name:
                    self._last = self._decoded(record)
                    return self._last
            if self._consumer.position(place) >= end or looked_at >= MOST_RECORDS:
                break
        return None

    def _decoded(self, record: Any) -> Frame | None:
        headers = header_map(record.headers)
        try:
            pixels = self._settings.limits.frame_pixels
            image = decode_image(record.value or b"", headers.get("content-type", ""), pixels)
            return Frame(image, frame_metadata(record.key, headers))
        except FrameError:
            return None


def _name(frame: Frame) -> tuple[str, str, int]:
    return frame.metadata.camera_id, frame.metadata.run_id, frame.metadata.sequence


def _recorded(record: Any) -> tuple[str, str, int] | None:
    """Whose frame a record is; None where it is none."""
    try:
        metadata = frame_metadata(record.key, header_map(record.headers))
    except FrameError:
        return None
    return metadata.camera_id, metadata.run_id, metadata.sequence
