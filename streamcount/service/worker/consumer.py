"""Faust's consumer, mended where it can pass records over after a rebalance.

While a worker recovers its states, Faust reads only the changelog and throws away what it fetches of other
partitions. It then opens these partitions first and seeks them back to the committed offsets after, so that records
which come in between are handled from the middle: those before them come later, out of order, or after a restart
(seen with 0.15.3 in one of a few kills; upstream issues 315 and 604 tell of the like).

Here a partition's records pass only once that seek is done, and what was thrown away is fetched again. A partition
of which nothing was committed yet is sought back as well: aiokafka leaves it where it is, so that what was thrown
away of it would be passed over for good.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import Consumer


class SteadyConsumer(Consumer):  # type: ignore[misc]
    """Hands on records of a partition from its committed offset on, and none from before the seek to it."""

    steady = False
    _seeks = 0
    _thrown_away = False

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """A rebalance begins: nothing is known of any position."""
        self.steady = False
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Partitions are assigned; the seek to what is committed is still to come."""
        self.steady = False
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Seeks to what is committed. One that began in a pause, or before a rebalance, settles nothing."""
        settles, generation = self.flow_active, self.app.consumer_generation_id
        await super().perform_seek()
        self._seeks += 1
        if settles and generation == self.app.consumer_generation_id:
            self.steady = True

    async def seek_to_committed(self) -> Mapping[Any, int | None]:
        """Seeks to what is committed, and to the beginning where nothing is; changelogs have places of their own."""
        committed: Mapping[Any, int | None] = await super().seek_to_committed()
        changelogs = self.app.tables.changelog_topics
        places = [one for one, offset in committed.items() if not offset and one.topic not in changelogs]
        if places:
            # Where a partition was taken away meanwhile, another seek follows.
            with contextlib.suppress(IllegalStateError):
                await self.seek_wait(await self.earliest_offsets(*places))
        return committed

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:
        """Fetched records, those of the changelog always, others only if fetched from a settled position."""
        if self.steady and self._thrown_away:
            self._thrown_away = False
            await self.perform_seek()
        seeks = self._seeks
        changelogs = self.app.tables.changelog_topics
        async with contextlib.aclosing(super().getmany(timeout)) as records:
            async for partition, message in records:
                if partition.topic in changelogs or (self.steady and seeks == self._seeks):
                    yield partition, message
                else:
                    self._thrown_away = True
