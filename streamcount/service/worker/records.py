"""What passes between Kafka and the core: a record that came, and records to be sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamcount.config import TopicName
from streamcount.errors import FrameError
from streamcount.wire.cloudevents import Headers
from streamcount.wire.deadletters import dead_letter_headers


@dataclass(frozen=True)
class Record:
    """A Kafka record as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)


@dataclass(frozen=True)
class Output:
    """A record to be sent to one of streamcount's topics, into the partition that its input came from."""

    topic: TopicName
    value: bytes | None
    headers: Headers = field(default_factory=list)


def dead_letter(record: Record, error: FrameError, stage: str) -> Output:
    """The record as it came, to be kept aside with the reason."""
    headers = dead_letter_headers(
        record.headers,
        error,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=stage,
    )
    return Output("dead-letters", record.value, headers)
