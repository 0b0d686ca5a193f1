"""What speaks with Kafka for the summing of groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from streamcount.config import Settings
from streamcount.service.reading import CONNECT_S, group_member, join_group, topic_partitions
from streamcount.service.topics import groups_topic

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer

SESSION_S = 10.0
SEND_S = 30.0
CLIENT = "streamcount-groups"
BATCH = 200


class Membership(NamedTuple):
    """rounds: how often partitions were shared out anew; in between, another may have had what is ours again.

    partitions: of the topic of states.
    """

    rounds: int
    partitions: frozenset[int]


class Clients:
    """All of it belongs to one thread.

    member: in the consumer group; the partitions of the topic of states that it is given say which groups are ours.
    It reads nothing. windows: reads all partitions of the topic of windows, in no consumer group.
    """

    def __init__(self, settings: Settings) -> None:
        from kafka import KafkaConsumer, KafkaProducer, TopicPartition

        common: dict[str, Any] = {
            "bootstrap_servers": settings.kafka.bootstrap_servers.split(","),
            "client_id": CLIENT,
            "bootstrap_timeout_ms": int(CONNECT_S * 1000),
            "metrics_enabled": False,
        }
        self._reading: set[Any] | None = None
        self._rounds = 0
        with ExitStack() as stack:
            self.producer: KafkaProducer = KafkaProducer(
                **common,
                acks="all",
                enable_idempotence=True,
                max_request_size=settings.topics.max_message_bytes,
                max_block_ms=int(SEND_S * 1000),
            )
            stack.callback(self.producer.close, timeout=5)
            self.windows: KafkaConsumer = KafkaConsumer(
                **common,
                allow_auto_create_topics=False,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                metadata_max_age_ms=5_000,
                request_timeout_ms=20_000,
                enable_incremental_fetch_sessions=False,
                fetch_max_bytes=settings.topics.max_message_bytes,
            )
            stack.callback(self.windows.close, autocommit=False, timeout_ms=5000)
            self.member: KafkaConsumer = group_member(
                settings, "groups", session_timeout_ms=int(SESSION_S * 1000)
            )
            stack.callback(self.member.close, autocommit=False, timeout_ms=5000)
            self.topic = settings.topics.name("windows")
            self.partitions = [
                TopicPartition(self.topic, number) for number in topic_partitions(self.windows, self.topic)
            ]
            join_group(self.member, [groups_topic(settings)], self._assigned)
            self._open = stack.pop_all()

    def partition_of(self, key: str) -> int:
        """Where Kafka's own partitioner places a key; all topics have as many partitions."""
        from kafka.partitioner import murmur2

        return int((murmur2(key.encode()) & 0x7FFFFFFF) % len(self.partitions))

    def membership(self, timeout_ms: int) -> Membership:
        """What is ours now. Keeps the membership alive."""
        self.member.poll(timeout_ms=timeout_ms)
        mine: set[Any] = set(self.member.assignment())
        self.member.pause(*mine)
        return Membership(self._rounds, frozenset(one.partition for one in mine))

    def _assigned(self) -> None:
        self._rounds += 1

    def send(self, records: Iterable[tuple[str, str, bytes, int | None]]) -> None:
        """Sends (topic, key, value, timestamp_ms) in this order; all are confirmed when it returns."""
        sent = [
            self.producer.send(
                topic,
                key=key.encode(),
                value=value,
                partition=self.partition_of(key),
                timestamp_ms=timestamp_ms,
            )
            for topic, key, value, timestamp_ms in records
        ]
        for one in sent:
            one.get(timeout=SEND_S)

    def begin_reading(self) -> None:
        """The next `read` goes to its places, wherever the last one ended."""
        self._reading = None

    def read(self, places: Mapping[int, int]) -> Mapping[Any, list[Any]]:
        """More records of these partitions, by partition. places: the offset of each at which to go on.

        The others are left out of the assignment: of a partition that kafka-python 3.0 has paused, nothing may come
        after it is resumed.
        """
        from kafka import TopicPartition

        wanted = {TopicPartition(self.topic, number) for number in places}
        if wanted != self._reading:
            self.windows.assign(sorted(wanted))
            for one in wanted:
                self.windows.seek(one, places[one.partition])
            self._reading = wanted
        found: Mapping[Any, list[Any]] = self.windows.poll(timeout_ms=200, max_records=BATCH)
        return found

    def close(self) -> None:
        """Leaves the consumer group."""
        self._open.close()
