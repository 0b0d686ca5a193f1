"""Work done side by side, and finished strictly in order.

Kafka's rule for a partition is a prefix: an offset may be committed only if all before it are done. So records are
computed in parallel, but their outputs are sent, confirmed, stored and acknowledged one behind the other:

    take -> computed (threads) -> outputs sent, in order -> confirmed -> state stored -> acknowledged
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

R = TypeVar("R")


class Acknowledgeable(Protocol):
    """A Faust event, as far as this module needs to know it."""

    message: Any

    def ack(self) -> bool: ...


@dataclass
class InFlight(Generic[R]):
    """One record between being taken and being acknowledged."""

    event: Acknowledgeable
    result: Awaitable[R]
    value: R | None = None
    confirmations: Sequence[Awaitable[Any]] = ()


class OrderedStage(Generic[R]):
    """A bounded row of records in work.

    send: hands over the outputs of one result to the producer; its awaitables are done when Kafka has them.
    store: keeps the results of confirmed records (state), before they are acknowledged.
    fail: called once with what went wrong; it must end the process, for nothing may be acknowledged after it.
    width: most records in work at once.
    """

    def __init__(
        self,
        send: Callable[[Acknowledgeable, R], Awaitable[Sequence[Awaitable[Any]]]],
        store: Callable[[Sequence[tuple[Acknowledgeable, R]]], Awaitable[None]],
        fail: Callable[[BaseException], None],
        width: int,
    ) -> None:
        self._send = send
        self._store = store
        self._fail = fail
        self._room = asyncio.Semaphore(width)
        self._computing: asyncio.Queue[InFlight[R]] = asyncio.Queue()
        self._confirming: asyncio.Queue[InFlight[R]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts the two tasks that finish what is taken."""
        self._tasks = [
            asyncio.ensure_future(self._guard(loop)) for loop in (self._send_loop, self._confirm_loop)
        ]

    async def stop(self) -> None:
        """Ends the tasks; what is not acknowledged will be done again by who comes next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def take(self, event: Acknowledgeable, compute: Callable[[], Awaitable[R]]) -> None:
        """Takes a record into work as soon as there is room."""
        await self._room.acquire()
        self._computing.put_nowait(InFlight(event, asyncio.ensure_future(compute())))

    async def _guard(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fail(error)
            raise

    async def _send_loop(self) -> None:
        while True:
            item = await self._computing.get()
            item.value = await item.result
            item.confirmations = await self._send(item.event, item.value)
            self._confirming.put_nowait(item)

    async def _confirm_loop(self) -> None:
        while True:
            batch = [await self._confirming.get()]
            while not self._confirming.empty():
                batch.append(self._confirming.get_nowait())
            for item in batch:
                for confirmation in item.confirmations:
                    await confirmation
            await self._store([(item.event, item.value) for item in batch if item.value is not None])
            for item in batch:
                item.event.ack()
                self._room.release()
