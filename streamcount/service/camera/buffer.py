"""Where frames wait for Kafka: bounded in bytes, in order, and honest about what it had to drop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from streamcount.wire.cloudevents import Headers

WhenFull: TypeAlias = Literal["block", "drop-oldest"]


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame as it will lie in Kafka.

    captured_at_ms: when the camera took it by this computer's clock, ms since 1970; the record's timestamp.
    """

    sequence: int
    acquired_at_ns: int
    captured_at_ms: int
    value: bytes
    headers: Headers

    @property
    def size_bytes(self) -> int:
        """What it occupies: the encoded image, by far the most of it."""
        return len(self.value)

    @property
    def frames(self) -> int:
        """One."""
        return 1


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames that will never be sent, first and last included, and why.

    first_ns, last_ns: when the first and the last of them were acquired, ns since 1970 UTC.
    reason: as in `FramesMissing`.
    """

    sequence: int
    last_sequence: int
    first_ns: int
    last_ns: int
    reason: str

    @property
    def size_bytes(self) -> int:
        """Nothing to speak of."""
        return 0

    @property
    def frames(self) -> int:
        """How many are missing."""
        return self.last_sequence - self.sequence + 1

    def joined(self, later: Gap) -> Gap | None:
        """This gap and the one right after it as one; None where they do not touch or have other reasons."""
        if later.reason != self.reason or later.sequence != self.last_sequence + 1:
            return None
        return Gap(self.sequence, later.last_sequence, self.first_ns, later.last_ns, self.reason)


Entry: TypeAlias = WaitingFrame | Gap


def gap_for(frame: WaitingFrame, reason: str) -> Gap:
    """The gap that one frame leaves."""
    return Gap(frame.sequence, frame.sequence, frame.acquired_at_ns, frame.acquired_at_ns, reason)


class FrameBuffer:
    """A queue of frames and gaps between one camera and one publisher, each on a thread of its own.

    capacity_bytes: frames beyond it do not fit; a frame larger than that is taken when nothing else waits.
    when_full: "block" lets `put` wait; "drop-oldest" turns the frames that have waited longest into a `Gap`.
    What has been taken no longer counts here and can no longer be dropped.
    """

    def __init__(self, capacity_bytes: int, when_full: WhenFull) -> None:
        self._capacity_bytes = capacity_bytes
        self._when_full = when_full
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closed = False
        self._aborted = False
        self._changed = threading.Condition()

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the frames that wait."""
        return self._bytes

    @property
    def waiting_frames(self) -> int:
        """Number of frames that wait."""
        with self._changed:
            return sum(isinstance(entry, WaitingFrame) for entry in self._entries)

    @property
    def untold_frames(self) -> int:
        """Numbers of the sequence that wait, as frames or within gaps."""
        with self._changed:
            return sum(entry.frames for entry in self._entries)

    @property
    def dropped_frames(self) -> int:
        """Frames dropped since the beginning because the buffer was full."""
        return self._dropped

    @property
    def drained(self) -> bool:
        """Nothing waits and nothing will come."""
        with self._changed:
            return self._closed and not self._entries

    def put(self, entry: Entry) -> bool:
        """Adds at the end, waiting or dropping if full. False: the buffer ended before and has it not."""
        with self._changed:
            if self._when_full == "block":
                self._changed.wait_for(lambda: self._closed or self._aborted or self._fits(entry))
            if self._closed or self._aborted:
                return False
            while not self._fits(entry):
                self._drop_oldest()
            self._append(entry)
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> Entry | None:
        """The entry that has waited longest; None where none came in time, or none will (`drained`)."""
        with self._changed:
            self._changed.wait_for(lambda: self._entries or self._closed or self._aborted, timeout_s)
            if not self._entries or self._aborted:
                return None
            entry = self._entries.popleft()
            self._bytes -= entry.size_bytes
            self._changed.notify_all()
            return entry

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Puts entries that were taken before all that wait, in their order; they may exceed the capacity."""
        with self._changed:
            for entry in sorted(entries, key=lambda entry: entry.sequence, reverse=True):
                self._entries.appendleft(entry)
                self._bytes += entry.size_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """No more will be put; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """No more will be put nor taken; what waits stays, to be counted."""
        with self._changed:
            self._closed = self._aborted = True
            self._changed.notify_all()

    def _fits(self, entry: Entry) -> bool:
        return 0 in (entry.size_bytes, self._bytes) or entry.size_bytes <= self._capacity_bytes - self._bytes

    def _append(self, entry: Entry) -> None:
        last = self._entries[-1] if self._entries else None
        joined = last.joined(entry) if isinstance(last, Gap) and isinstance(entry, Gap) else None
        if joined is not None:
            self._entries[-1] = joined
        else:
            self._entries.append(entry)
            self._bytes += entry.size_bytes

    def _drop_oldest(self) -> None:
        """Turns the oldest frame into a gap, in its place, one with the gaps of dropped frames beside it."""
        at = next(i for i, entry in enumerate(self._entries) if isinstance(entry, WaitingFrame))
        oldest = self._entries[at]
        if not isinstance(oldest, WaitingFrame):
            raise TypeError("only a frame can be dropped")
        self._bytes -= oldest.size_bytes
        self._dropped += 1
        gap = gap_for(oldest, "dropped")
        before = self._entries[at - 1] if at else None
        if isinstance(before, Gap) and (joined := before.joined(gap)):
            self._entries[at - 1] = joined
            del self._entries[at]
            at, gap = at - 1, joined
        else:
            self._entries[at] = gap
        after = self._entries[at + 1] if at + 1 < len(self._entries) else None
        if isinstance(after, Gap) and (joined := gap.joined(after)):
            self._entries[at] = joined
            del self._entries[at + 1]
