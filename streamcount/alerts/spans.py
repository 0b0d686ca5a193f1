"""Alerts with their ends: raised and cleared, put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streamcount.types import AlertAcknowledged, AlertCleared, AlertRaised, Event


class AlertSpan(NamedTuple):
    """An alert; `cleared` is None while it lasts. acknowledged: by whom it was seen, in the order of the events."""

    raised: AlertRaised
    cleared: AlertCleared | None
    acknowledged: tuple[AlertAcknowledged, ...] = ()

    def end_ns(self, last_ns: int) -> int:
        """When it was cleared; `last_ns` while it lasts."""
        return last_ns if self.cleared is None else self.cleared.decided_at_ns


def spans(events: Iterable[Event]) -> tuple[AlertSpan, ...]:
    """The alerts among events in any order, by time, camera and rule. Repeats count once; other events not at all."""
    raised: dict[tuple[str, str, int], AlertRaised] = {}
    cleared: dict[tuple[str, str, int], AlertCleared] = {}
    seen: dict[tuple[str, str, int], dict[str, AlertAcknowledged]] = {}
    for event in events:
        if isinstance(event, AlertRaised):
            raised.setdefault((event.camera_id, event.rule, event.decided_at_ns), event)
        elif isinstance(event, AlertCleared):
            cleared.setdefault((event.camera_id, event.rule, event.raised_at_ns), event)
        elif isinstance(event, AlertAcknowledged):
            key = (event.camera_id, event.rule, event.raised_at_ns)
            seen.setdefault(key, {}).setdefault(event.message_id, event)
    ordered = sorted(raised, key=lambda key: (key[2], key[0], key[1]))
    return tuple(
        AlertSpan(raised[key], cleared.get(key), tuple(seen.get(key, {}).values())) for key in ordered
    )
