"""What passes between Kafka and the core: a record that came, and records to be sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamcount.config import TopicName
from streamcount.wire.cloudevents import Headers


@dataclass(frozen=True)
class Record:
    """A Kafka record as it came. captured_at_s: its timestamp, which cameras set when they capture."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)
    captured_at_s: float = 0.0


@dataclass(frozen=True)
class Output:
    """A record to be sent to one of streamcount's topics, into the partition that its input came from."""

    topic: TopicName
    value: bytes | None
    headers: Headers = field(default_factory=list)
