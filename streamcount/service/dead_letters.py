"""Reading what could not be counted, and sending it again once the cause is mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streamcount.config import Settings
from streamcount.errors import BrokerError, FrameError
from streamcount.types import FrameMetadata
from streamcount.wire.cloudevents import Headers, frame_metadata, header_map
from streamcount.wire.deadletters import PREFIX, REASON, original_headers

# A replayed frame is counted under a camera of its own: its run has gone on without it, and a tracker that has seen
# frame 100 cannot be told of frame 99.
REPLAY_SUFFIX = ".replay"


@dataclass(frozen=True)
class DeadLetter:
    """One record of the dead-letter topic, with where it came from and why it lies there."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    message: str
    origin: str

    @property
    def camera(self) -> str:
        """The camera that the key names, as far as it can be read."""
        return (self.key or b"").decode("utf-8", "replace")

    def metadata(self) -> FrameMetadata:
        """The frame's metadata. Raises FrameError where the headers are what was wrong."""
        return frame_metadata(self.key, header_map(original_headers(self.headers)))


def read_dead_letters(
    settings: Settings, reason: str | None = None, camera: str | None = None
) -> Iterator[DeadLetter]:
    """All dead letters that lie on the topic now, partition by partition.

    Raises BrokerError where Kafka cannot be reached or has no such topic.
    """
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    topic = settings.topics.name("dead-letters")
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.bootstrap_servers.split(","),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=settings.topics.max_message_bytes,
            fetch_max_bytes=settings.topics.max_message_bytes,
        )
    except KafkaError as error:
        raise BrokerError(
            f"no Kafka at {settings.kafka.bootstrap_servers}: {error}; is it running?"
        ) from error
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise BrokerError(f"there is no topic {topic}; make it with `streamcount topics`")
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        while any(consumer.position(one) < ends[one] for one in partitions):
            for one, records in consumer.poll(timeout_ms=500).items():
                letters = (_letter(record) for record in records if record.offset < ends[one])
                yield from (
                    letter
                    for letter in letters
                    if (reason is None or letter.reason == reason)
                    and (camera is None or letter.camera == camera)
                )
    finally:
        consumer.close()


def replay(settings: Settings, letters: list[DeadLetter]) -> tuple[int, int]:
    """Sends frames again, under the camera's name with `.replay` behind it; (sent, passed over).

    Passed over are those whose headers cannot be read: no replay can mend them. Sending the same frame twice counts
    it once, for its run and sequence stay what they were.
    """
    from kafka import KafkaProducer

    frames = []
    for letter in letters:
        try:
            frames.append((letter.metadata(), letter))
        except FrameError:
            continue
    frames.sort(
        key=lambda frame: (frame[0].camera_id, frame[0].acquired_at_ns, frame[0].run_id, frame[0].sequence)
    )
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers.split(","),
        acks="all",
        enable_idempotence=True,
        max_request_size=settings.topics.max_message_bytes,
    )
    try:
        confirmations = [
            producer.send(
                settings.topics.name("frames"),
                key=(metadata.camera_id.removesuffix(REPLAY_SUFFIX) + REPLAY_SUFFIX).encode(),
                value=letter.value,
                headers=original_headers(letter.headers),
            )
            for metadata, letter in frames
        ]
        for confirmation in confirmations:
            confirmation.get(timeout=60)
    finally:
        producer.close()
    return len(frames), len(letters) - len(frames)


def _letter(record: object) -> DeadLetter:
    headers = list(record.headers or ())  # type: ignore[attr-defined]
    known = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    return DeadLetter(
        partition=record.partition,  # type: ignore[attr-defined]
        offset=record.offset,  # type: ignore[attr-defined]
        timestamp_ms=record.timestamp,  # type: ignore[attr-defined]
        key=record.key,  # type: ignore[attr-defined]
        value=record.value,  # type: ignore[attr-defined]
        headers=headers,
        reason=known.get(REASON, "unknown"),
        message=known.get(f"{PREFIX}exception.message", ""),
        origin="{}[{}]@{}".format(
            *(known.get(PREFIX + name, "?") for name in ("topic", "partition", "offset"))
        ),
    )
