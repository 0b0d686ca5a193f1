"""What became of each frame of a run: a sum that must come out even, or is shown as it is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

# A run whose frames come and go in more pieces than this is looked at from a later frame on.
MOST_PIECES = 2000


class Ranges:
    """A set of whole numbers, kept as disjoint ranges in ascending order.

    Adding what is in it already changes nothing, so repeated messages count once. Beyond `MOST_PIECES` ranges the
    lowest is forgotten; `forgotten` is the greatest number that was in one of those, -1 for none.
    """

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._size = 0
        self.forgotten = -1

    def add(self, first: int, last: int) -> None:
        """Adds first..last, both included; nothing where last < first."""
        if last < first:
            return
        # All ranges that touch the new one become one with it.
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        if begin < end:
            first, last = min(first, self._firsts[begin]), max(last, self._lasts[end - 1])
        self._size -= sum(self._lasts[i] - self._firsts[i] + 1 for i in range(begin, end))
        self._firsts[begin:end], self._lasts[begin:end] = [first], [last]
        self._size += last - first + 1
        if len(self._firsts) > MOST_PIECES:
            self.forgotten = self._lasts.pop(0)
            self._size -= self.forgotten - self._firsts.pop(0) + 1

    def __len__(self) -> int:
        return self._size

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def from_on(self, first: int) -> int:
        """How many of the numbers are at least `first`."""
        return sum(high - max(low, first) + 1 for low, high in self.pieces() if high >= first)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """The ranges, first and last included, in ascending order."""
        return zip(self._firsts, self._lasts, strict=True)

    @property
    def first(self) -> int | None:
        """The least; None where there is none."""
        return self._firsts[0] if self._firsts else None

    @property
    def last(self) -> int | None:
        """The greatest; None where there is none."""
        return self._lasts[-1] if self._lasts else None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The frames first..through of one run, and what became of each; later ones, `waiting` of them, are in work.
    docs/dashboard.md defines the words.

    ended: a later run is counted. A camera's frames are counted in order, so none of this one is in work any more.

    published: frames that the camera has sent or told of, from `first` on; its highest sequence tells.
    difference: frames up to `through` of which nobody has said anything. It is 0, or something is wrong.
    """

    run_id: str
    ended: bool
    first: int
    through: int
    published: int
    counted: int
    missing: int
    dead_lettered: int
    waiting: int
    difference: int


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """The sum over runs that are no longer told one by one, in the words of `Account`."""

    runs: int = 0
    published: int = 0
    counted: int = 0
    missing: int = 0
    dead_lettered: int = 0
    difference: int = 0

    def plus(self, account: Account | None) -> Forgotten:
        """With one more run; None where none of its frames was heard of."""
        if account is None:
            return self
        return Forgotten(
            runs=self.runs + 1,
            published=self.published + account.published - account.waiting,
            counted=self.counted + account.counted,
            missing=self.missing + account.missing,
            dead_lettered=self.dead_lettered + account.dead_lettered,
            difference=self.difference + account.difference,
        )


@dataclass
class RunFrames:
    """What was heard of a run's frames, by sequence, in whatever order the topics told it.

    published_last: the highest sequence that the camera sent or told of, -1 before the first. sent_first: the lowest
    that was heard as it was sent, -1 where there is none. ended: as of `Account`. unaccounted_since_s: since when
    its difference is not 0, on the feed's clock.
    """

    run_id: str
    published_last: int = -1
    sent_first: int = -1
    ended: bool = False
    unaccounted_since_s: float | None = None
    counted: Ranges = field(default_factory=Ranges)
    missing: Ranges = field(default_factory=Ranges)
    dead_lettered: Ranges = field(default_factory=Ranges)

    def published(self, first: int, last: int, *, live: bool) -> None:
        """The camera has sent, or told of, frames first..last; live: now, and not before anybody listened."""
        self.published_last = max(self.published_last, last)
        if live:
            self.sent_first = first if self.sent_first < 0 else min(self.sent_first, first)

    def account(self) -> Account | None:
        """The sum from the first frame whose fate was heard on; None before there is one.

        Of a run that has ended without any, the sum of what was heard as it was sent: nobody counted it.
        """
        fates = (self.counted, self.missing, self.dead_lettered)
        told = Ranges()
        for fate in fates:
            for low, high in fate.pieces():
                told.add(low, high)
        begin = self.sent_first if told.first is None else told.first
        if begin < 0 or (told.first is None and not self.ended):
            return None
        first = max(begin, *(fate.forgotten + 1 for fate in fates))
        highest = max(begin if told.last is None else told.last, self.published_last)
        through = highest if self.ended or told.last is None else told.last
        return Account(
            run_id=self.run_id,
            ended=self.ended,
            first=first,
            through=through,
            published=highest - first + 1,
            counted=self.counted.from_on(first),
            missing=self.missing.from_on(first),
            dead_lettered=self.dead_lettered.from_on(first),
            waiting=highest - through,
            difference=through - first + 1 - told.from_on(first),
        )
