"""Computed side by side, finished in order, and nothing acknowledged behind a fault."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence
from typing import Any

from streamcount.service.worker.ordered import OrderedStage


class Event:
    def __init__(self, offset: int, log: list[str]) -> None:
        self.message = offset
        self.log = log

    def ack(self) -> bool:
        self.log.append(f"ack {self.message}")
        return True


class Trial:
    """A stage whose parts write down what they do; `broken` is the offset whose confirmation fails."""

    def __init__(self, width: int = 4, broken: int | None = None) -> None:
        self.log: list[str] = []
        self.faults: list[BaseException] = []
        self.most_at_once = self.at_once = 0
        self.broken = broken
        self.stage: OrderedStage[int] = OrderedStage(self.send, self.store, self.faults.append, width)

    async def send(self, event: Any, value: int) -> Sequence[Awaitable[Any]]:
        self.log.append(f"send {value}")
        return [asyncio.ensure_future(self.confirm(value))]

    async def confirm(self, value: int) -> None:
        await asyncio.sleep(0.001 * random.random())
        if value == self.broken:
            raise ConnectionError("the broker is gone")

    async def store(self, done: Sequence[tuple[Any, int]]) -> None:
        self.log.extend(f"store {value}" for _, value in done)

    async def compute(self, value: int) -> int:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.003 * random.random())
        self.at_once -= 1
        return value

    async def run(self, count: int) -> None:
        self.stage.start()
        for offset in range(count):
            if self.faults:
                break
            await self.stage.take(Event(offset, self.log), lambda offset=offset: self.compute(offset))
        for _ in range(200):
            if self.faults or self.log.count(f"ack {count - 1}"):
                break
            await asyncio.sleep(0.005)
        await self.stage.stop()

    def done(self, word: str) -> list[int]:
        return [int(line.split()[1]) for line in self.log if line.startswith(word)]


def test_sends_stores_and_acknowledges_in_order_though_computed_side_by_side() -> None:
    trial = Trial()
    asyncio.run(trial.run(40))
    for word in ("send", "store", "ack"):
        assert trial.done(word) == list(range(40))
    assert trial.most_at_once > 1
    for offset in range(40):
        steps = [trial.log.index(f"{word} {offset}") for word in ("send", "store", "ack")]
        assert steps == sorted(steps)


def test_keeps_no_more_in_work_than_its_width() -> None:
    trial = Trial(width=3)
    asyncio.run(trial.run(30))
    assert trial.most_at_once <= 3


def test_acknowledges_nothing_from_a_failed_confirmation_on() -> None:
    trial = Trial(width=4, broken=7)

    async def run() -> None:
        trial.stage.start()
        for offset in range(8):
            await asyncio.wait_for(
                trial.stage.take(Event(offset, trial.log), lambda offset=offset: trial.compute(offset)), 2
            )
        while not trial.faults:
            await asyncio.sleep(0.001)
        await trial.stage.stop()

    asyncio.run(run())
    assert [str(fault) for fault in trial.faults] == ["the broker is gone"]
    assert all(offset < 7 for offset in trial.done("ack"))
