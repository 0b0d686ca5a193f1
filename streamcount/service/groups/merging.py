"""Records of several partitions in the order of their time, so that none runs ahead while the past is caught up."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Any


class InTime:
    """What was read of each partition and waits for its turn."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Any]] = {}

    def add(self, partition: int, records: Iterable[Any]) -> None:
        """More of a partition, in its order. records: with `timestamp`, `partition` and `offset`."""
        self._waiting.setdefault(partition, deque()).extend(records)

    def waiting(self, partition: int) -> int:
        """How many records of the partition wait."""
        return len(self._waiting.get(partition, ()))

    def take(self, behind: Collection[int], most: int) -> Iterator[Any]:
        """At most so many records, the earliest first, while none of those to come can be earlier.

        behind: partitions that hold more than was added. Of one that is read to its end nothing is waited for.
        """
        for _ in range(most):
            heads = [waiting[0] for waiting in self._waiting.values() if waiting]
            if not heads or any(not self.waiting(one) for one in behind):
                return
            first = min(heads, key=lambda record: (record.timestamp, record.partition, record.offset))
            yield self._waiting[first.partition].popleft()
