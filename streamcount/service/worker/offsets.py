"""The guard against holes: an agent never handles offset n+1 of a partition before n.

Faust can lose its place in a rebalance (upstream issues 315, 604); what it then passes over would be counted late,
out of order, or not at all. The guard notices, and the process ends to resume at the committed offset.
"""

from __future__ import annotations

from streamcount.errors import BrokerError

FIND_TIMEOUT_S = 30.0


class HoleError(BrokerError):
    """Records were passed over. The process must end and resume from what is committed."""


class OffsetGuard:
    """Knows for each partition which offset must come next; going back is allowed, skipping is not.

    has_begun: whether any record was handled since the process began.
    """

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}
        self.has_begun = False

    def resume(self, topic: str, partition: int, offset: int) -> None:
        """A partition was assigned; its first record must have this offset or a lower one."""
        self._next[topic, partition] = offset

    def forget_all(self) -> None:
        """Partitions are assigned anew; nothing is known until `resume`."""
        self._next.clear()

    def due(self, topic: str, partition: int) -> int | None:
        """The next offset due, None if unknown."""
        return self._next.get((topic, partition))

    def take(self, topic: str, partition: int, offset: int, first_existing: int | None = None) -> None:
        """Notes that this record is being handled.

        first_existing: the first offset from the one due on that the broker has a record for. Offsets without one
        are no loss of ours: retention deleted them, or they hold the marker of a transaction.
        Raises HoleError where records before this one were not handled.
        """
        due = self._next.get((topic, partition), offset)
        if offset > max(due, first_existing or 0):
            raise HoleError(
                f"{topic}[{partition}]: offset {offset} came where {due} was due; ending to resume from there"
            )
        self._next[topic, partition] = offset + 1
        self.has_begun = True


def first_existing_offset(bootstrap_servers: str, topic: str, partition: int, offset: int) -> int | None:
    """The first offset from `offset` on at which the broker has a record; None if it does not say in time.

    Asks with a consumer of its own, since the worker's own place is what is in doubt. Blocks.
    """
    from kafka import KafkaConsumer, TopicPartition

    place = TopicPartition(topic, partition)
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap_servers.split(","),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        consumer_timeout_ms=int(1e3 * FIND_TIMEOUT_S),
    )
    try:
        consumer.assign([place])
        consumer.seek(place, offset)
        return next((record.offset for record in consumer), None)
    finally:
        consumer.close()
