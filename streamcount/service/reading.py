"""Reading all that lies on a topic now, one record in memory at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from streamcount.config import Settings
from streamcount.errors import BrokerError

if TYPE_CHECKING:
    from kafka import KafkaConsumer

CONNECT_S = 5.0
SILENT_S = 30.0
PARTITION_FETCH_BYTES = 2 * 2**20
# Records that are read forward at a time on the way back.
BLOCK = 500
# Records carry their frame's time in milliseconds, and a float of seconds on the way may round it.
ROUNDING_MS = 2
# Of other cameras, in the same partition and with the same time; beyond it the record is not there.
MOST_RECORDS = 2000
MOST_SILENT_POLLS = 20


def read_topic(
    settings: Settings,
    topic: str,
    *,
    client_id: str,
    silent_s: float = SILENT_S,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Any]:
    """kafka-python's records of the topic of this name, partition by partition, up to what is its end now.

    silent_s: how long Kafka may say nothing before it is given up. tick: told how many offsets were passed, and of
    how many. Belongs to no consumer group. Raises BrokerError where Kafka cannot be reached, goes away, or has no
    such topic.
    """
    from kafka import TopicPartition

    with kafka_errors(settings), closing(open_reader(settings, client_id)) as consumer:
        partitions = [TopicPartition(topic, number) for number in topic_partitions(consumer, topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        starts = consumer.beginning_offsets(partitions)
        total = sum(ends[one] - starts[one] for one in partitions)
        consumer.seek_to_beginning(*partitions)
        heard_s = time.monotonic()
        while any(consumer.position(one) < ends[one] for one in partitions):
            polled = consumer.poll(timeout_ms=500)
            if not polled and time.monotonic() - heard_s > silent_s:
                raise BrokerError(
                    f"Kafka at {settings.kafka.bootstrap_servers} has sent nothing of {topic} for {silent_s:g} s; "
                    "is it running?"
                )
            for one, records in polled.items():
                for record in records:
                    if record.offset < ends[one]:
                        yield record
            passed = sum(min(consumer.position(one), ends[one]) - starts[one] for one in partitions)
            tick(max(passed, 0), total)
            if polled:
                # After the caller has taken its time over them, which is none of Kafka's.
                heard_s = time.monotonic()


def read_backwards(
    settings: Settings, topic: str, key: bytes, *, client_id: str, silent_s: float = SILENT_S
) -> Iterator[Any]:
    """The records of a key, as far as their partition can be told from it, then all others: blocks from the newest
    back, each in order.

    A producer may have other ways of choosing partitions than Kafka's own, so none is left out. Raises as
    `read_topic`.
    """
    from kafka import TopicPartition

    with kafka_errors(settings), closing(open_reader(settings, client_id)) as consumer:
        numbers = topic_partitions(consumer, topic)
        likely = likely_partition(key, numbers)
        for number in sorted(numbers, key=lambda one: one != likely):
            place = TopicPartition(topic, number)
            start = consumer.beginning_offsets([place])[place]
            end = consumer.end_offsets([place])[place]
            while end > start:
                begin = max(start, end - BLOCK)
                yield from _block(consumer, place, (begin, end), silent_s)
                end = begin


def topic_partitions(consumer: KafkaConsumer, topic: str) -> list[int]:
    """The numbers of all its partitions, ascending; never none. Raises BrokerError where there is no such topic."""
    numbers: list[int] = sorted(consumer.partitions_for_topic(topic))
    if not numbers:
        raise no_topic(topic)
    return numbers


def no_topic(name: str) -> BrokerError:
    """What to say where a topic is absent."""
    return BrokerError(f"there is no topic {name}; make it with `streamcount topics`")


def likely_partition(key: bytes, numbers: Sequence[int]) -> int:
    """Where Kafka's own way of choosing puts a key's records; numbers: of all partitions, ascending."""
    from kafka.partitioner.default import murmur2

    place: int = (murmur2(key) & 0x7FFFFFFF) % len(numbers)
    return numbers[place]


def read_record(settings: Settings, topic: str, partition: int, offset: int, *, client_id: str) -> Any | None:
    """kafka-python's record at a place; None where there is none, or no longer. Raises BrokerError."""
    from kafka import TopicPartition

    with kafka_errors(settings), closing(open_reader(settings, client_id)) as consumer:
        place = TopicPartition(topic, partition)
        if partition not in (consumer.partitions_for_topic(topic) or ()):
            return None
        start, end = consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place]
        if not start <= offset < end:
            return None
        return next(_block(consumer, place, (offset, offset + 1), SILENT_S), None)


def _block(consumer: KafkaConsumer, place: Any, bounds: tuple[int, int], silent_s: float) -> Iterator[Any]:
    begin, end = bounds
    consumer.assign([place])
    consumer.seek(place, begin)
    heard_s = time.monotonic()
    while consumer.position(place) < end:
        records = consumer.poll(timeout_ms=500).get(place, [])
        if not records and time.monotonic() - heard_s > silent_s:
            raise BrokerError(f"Kafka has sent nothing of {place.topic} for {silent_s:g} s; is it running?")
        for record in records:
            if record.offset < end:
                yield record
        if records:
            heard_s = time.monotonic()


def read_since(
    consumer: KafkaConsumer, place: Any, time_ms: int, most: int = MOST_RECORDS, newest: bool = False
) -> Iterator[Any]:
    """Records of a partition from about a time on, up to what is its end now, `most` of them.

    place: kafka-python's TopicPartition. time_ms: of the records' timestamps. newest: where there are more, the last
    ones instead of the first. Raises KafkaError.
    """
    found = consumer.offsets_for_times({place: max(0, time_ms - ROUNDING_MS)})[place]
    if found is None:
        return
    end = consumer.end_offsets([place])[place]
    consumer.assign([place])
    consumer.seek(place, max(found.offset, end - most) if newest else found.offset)
    looked_at, silent = 0, 0
    while consumer.position(place) < end and looked_at < most and silent < MOST_SILENT_POLLS:
        records = consumer.poll(timeout_ms=500, max_records=16).get(place, [])
        silent = 0 if records else silent + 1
        for record in records:
            looked_at += 1
            yield record


def find_record(
    consumer: KafkaConsumer, place: Any, time_ms: int, wanted: Callable[[Any], bool]
) -> Any | None:
    """The first record of a partition that is wanted, from about its time on; None where Kafka no longer has it.

    So nothing has to be kept in memory, and not all records need be read. Raises KafkaError.
    """
    return next((one for one in read_since(consumer, place, time_ms) if wanted(one)), None)


@contextmanager
def kafka_errors(settings: Settings) -> Iterator[None]:
    """Tells an error of Kafka's as a BrokerError."""
    from kafka.errors import KafkaError

    try:
        yield
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"Kafka at {settings.kafka.bootstrap_servers} does not do what is asked: "
            f"{error or type(error).__name__}; is it running?"
        ) from error


def open_reader(settings: Settings, client_id: str) -> KafkaConsumer:
    """A consumer that belongs to no group and commits nothing. Raises KafkaError where no broker answers."""
    from kafka import KafkaConsumer

    return KafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers.split(","),
        client_id=client_id,
        allow_auto_create_topics=False,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # A larger record comes all the same, alone; more than that is not read ahead.
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        fetch_max_bytes=settings.topics.max_message_bytes,
        request_timeout_ms=20_000,
        bootstrap_timeout_ms=int(CONNECT_S * 1000),
        metrics_enabled=False,
    )


def group_member(settings: Settings, group: str, **more: Any) -> KafkaConsumer:
    """A consumer of the group `PREFIX-group`, which commits what its user says; it has joined with `join_group`.

    more: further settings of kafka-python's, or others.
    """
    from kafka import KafkaConsumer

    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka.bootstrap_servers.split(","),
        "client_id": f"streamcount-{group}",
        "group_id": f"{settings.topics.prefix}-{group}",
        "allow_auto_create_topics": False,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": 10_000,
        "heartbeat_interval_ms": 2_000,
        # Partitions that are added are seen after so long; the default is 5 min.
        "metadata_max_age_ms": 5_000,
        "enable_incremental_fetch_sessions": False,
        "request_timeout_ms": 20_000,
        "bootstrap_timeout_ms": int(CONNECT_S * 1000),
        "metrics_enabled": False,
    }
    return KafkaConsumer(**{**options, **more})


def join_group(
    consumer: KafkaConsumer, topics: Sequence[str], assigned: Callable[[], None] = lambda: None
) -> None:
    """Subscribes, and calls `assigned` whenever partitions were shared out.

    kafka-python shares out what it knows when it joins, which just after the subscription is nothing: a second
    sharing out followed at once, and where it did not, a group read nothing for good. So the topics are asked for
    in between. Raises BrokerError where one is absent.
    """
    from kafka import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
            """Nothing: all is read again when they are assigned."""

        def on_partitions_assigned(self, assigned_now: Collection[Any]) -> None:
            assigned()

    consumer.subscribe(topics, listener=Listener())
    absent = sorted({*topics} - consumer.topics())
    if absent:
        raise no_topic(absent[0])
