"""Since when the topics were read without a gap: what happened from then on the model knows."""

from __future__ import annotations

from dataclasses import dataclass

from streamcount.config.settings import TopicName
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.past import MS, SLACK_MS


@dataclass(slots=True)
class _Part:
    """A partition: since when it is read, the offset that comes next, and where it ended when reading began."""

    since_ms: int
    next: int
    end: int


class Reach:
    """Tells the model since when each topic is known. Not safe for threads: it is the feed's."""

    def __init__(self, model: LiveModel) -> None:
        self._model = model
        self._parts: dict[TopicName, dict[int, _Part]] = {}
        self._told: dict[TopicName, int | None] = {}

    def begin(self, topic: TopicName, partition: int, since_ms: int, offset: int, end: int) -> None:
        """A partition is read from an offset on, before which nothing lies that was written since a time.

        end: its end now; until that is reached, the topic is not known.
        """
        self._parts.setdefault(topic, {})[partition] = _Part(since_ms, offset, end)

    def read(self, topic: TopicName, partition: int, first: int, last: int, now_ms: int) -> None:
        """Records were read, by their offsets, one after the other."""
        part = self._parts.get(topic, {}).get(partition)
        if part is None:
            return
        if first > part.next:
            # The broker deleted some before they were read.
            part.since_ms = now_ms
        part.next = last + 1

    def tell(self) -> None:
        """Tells the model what is known by now."""
        for topic, parts in self._parts.items():
            since_ns = None
            if all(one.next >= one.end for one in parts.values()):
                # What is written since then has happened since then, but for the clocks of cameras.
                since_ns = (max(one.since_ms for one in parts.values()) + SLACK_MS) * MS
            if self._told.get(topic, -1) != since_ns:
                self._told[topic] = since_ns
                self._model.is_read_since(topic, since_ns)
