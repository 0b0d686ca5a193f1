"""The frame of an event, looked up where it lies on its topic."""

from __future__ import annotations

from typing import Any

from streamcount.config import Settings
from streamcount.errors import FrameError
from streamcount.service.reading import find_record, open_reader
from streamcount.types import Frame
from streamcount.wire import decode_image
from streamcount.wire.cloudevents import frame_metadata, header_map


class FrameFinder:
    """Finds frames by the time that their records and those of their events share. Remembers the last one."""

    def __init__(self, settings: Settings, client_id: str = "streamcount-snapshots-frames") -> None:
        self._settings = settings
        self._topic = settings.topics.name("frames")
        self._last: Frame | None = None
        self._consumer = open_reader(settings, client_id)

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
        record = find_record(self._consumer, place, time_ms, lambda one: frame_name(one) == name)
        self._last = None if record is None else self._decoded(record)
        return self._last

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


def frame_name(record: Any) -> tuple[str, str, int] | None:
    """Camera, run and sequence of the frame that a record holds; None where it holds none."""
    try:
        metadata = frame_metadata(record.key, header_map(record.headers))
    except FrameError:
        return None
    return metadata.camera_id, metadata.run_id, metadata.sequence
