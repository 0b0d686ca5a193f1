"""The guard against holes: an agent never handles offset n+1 of a partition before n.

Faust can lose its place in a rebalance (upstream issues 315, 604); what it then passes over would be counted late,
out of order, or not at all. The guard notices, and the process ends to resume at the committed offset.
"""

from __future__ import annotations

from streamcount.errors import BrokerError


class HoleError(BrokerError):
    """Records were passed over. The process must end and resume from what is committed."""


class OffsetGuard:
    """Knows for each partition which offset must come next; going back is allowed, skipping is not."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}
        self.holes = 0

    def resume(self, topic: str, partition: int, offset: int) -> None:
        """A partition was assigned; its first record must have this offset or a lower one."""
        self._next[topic, partition] = offset

    def knows(self, topic: str, partition: int) -> bool:
        """Whether it is known which offset must come next."""
        return (topic, partition) in self._next

    def forget_all(self) -> None:
        """Partitions are assigned anew; nothing is known until `resume`."""
        self._next.clear()

    def check(self, topic: str, partition: int, offset: int, earliest: int = 0) -> None:
        """Notes that this record is being handled.

        earliest: the partition's first retained offset; what lies before it is gone and cannot be waited for.
        Raises HoleError where records before it were not handled.
        """
        expected = max(self._next.get((topic, partition), offset), earliest)
        if offset > expected:
            self.holes += 1
            raise HoleError(
                f"{topic}[{partition}]: offset {offset} came where {expected} was due; ending to resume from there"
            )
        self._next[topic, partition] = offset + 1

    def position(self, topic: str, partition: int) -> int | None:
        """The next offset due, None if unknown."""
        return self._next.get((topic, partition))
