"""Alerts with their ends: raised and cleared, put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streamcount.types import AlertCleared, AlertRaised, Event


class AlertSpan(NamedTuple):
    """An alert; `cleared` is None while it lasts."""

    raised: AlertRaised
    cleared: AlertCleared | None


def spans(events: Iterable[Event]) -> tuple[AlertSpan, ...]:
    """The alerts among events in any order, by time, camera and rule. Repeats count once; other events not at all."""
    raised: dict[tuple[str, str, int], AlertRaised] = {}
    cleared: dict[tuple[str, str, int], AlertCleared] = {}
    for event in events:
        if isinstance(event, AlertRaised):
            raised.setdefault((event.camera_id, event.rule, event.decided_at_ns), event)
        elif isinstance(event, AlertCleared):
            cleared.setdefault((event.camera_id, event.rule, event.raised_at_ns), event)
    ordered = sorted(raised, key=lambda key: (key[2], key[0], key[1]))
    return tuple(AlertSpan(raised[key], cleared.get(key)) for key in ordered)
