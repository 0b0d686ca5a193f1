"""What happened to cells, counted in the windows of the time when it happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types import (
    CellAbnormal,
    CellAppeared,
    CellDied,
    CellDivided,
    CellEvent,
    CellLeft,
    CellLost,
    LineCrossed,
    ZoneEntered,
    ZoneLeft,
)
from streamcount.windows.config import WindowConfig, WindowsSetup
from streamcount.windows.seen import Seen
from streamcount.windows.state import HAPPENINGS, Float64Array, Late, Layout, OpenWindow, WindowsState

COLUMNS = {name: column for column, name in enumerate(HAPPENINGS)}
OF_KIND: dict[type[CellEvent], str] = {
    CellDivided: "divisions",
    CellDied: "deaths",
    CellLeft: "exits",
    CellLost: "lost",
    ZoneEntered: "entries",
    ZoneLeft: "exits",
}
NS_PER_S = 1e9
DIRECTIONS = ("forward", "backward")


def with_events(state: WindowsState, seen: Seen, setup: WindowsSetup) -> WindowsState:
    """The state after the events of a step, each in the open windows of its time; what comes too late is told later.

    Divisions count once they are confirmed. A daughter is neither an entry nor an appearance.
    """
    layout = state.layout
    if layout is None:
        return state
    times: dict[int, _Happened] = {}
    dwells: list[ZoneLeft] = []
    for row, event in enumerate(seen.events):
        if not isinstance(event, CellEvent) or not _counts(event):
            continue
        if event.happened_at_ns not in times:
            times[event.happened_at_ns] = _nothing(layout)
        zones = None if seen.surroundings is None else seen.surroundings.events[row]
        times[event.happened_at_ns].add(event, _places(event, layout, zones), layout)
        if isinstance(event, ZoneLeft):
            dwells.append(event)
    if not times:
        return state
    windows = tuple(_with_those(window, times, dwells, layout) for window in state.windows)
    late = tuple(_judged_late(one, times, setup.windows[one.name]) for one in state.late)
    return msgspec.structs.replace(state, windows=windows, late=late)


@dataclass
class _Happened:
    """Events of one time: how many, and what they add to `OpenWindow.happened` and `crossings`."""

    events: int
    happened: Float64Array
    crossings: Float64Array

    def add(self, event: CellEvent, places: NDArray[np.bool_], layout: Layout) -> None:
        """One more event, in the places (P,)."""
        self.events += 1
        if isinstance(event, LineCrossed):
            self.crossings[layout.lines.index(event.line), DIRECTIONS.index(event.direction)] += 1
            return
        column = column_of(event)
        if column is not None:
            self.happened[places, layout.model.class_names.index(event.class_name), column] += 1


def _nothing(layout: Layout) -> _Happened:
    shape = len(layout.places), len(layout.model.class_names), len(HAPPENINGS)
    return _Happened(0, np.zeros(shape), np.zeros((len(layout.lines), 2)))


def _with_those(
    window: OpenWindow, times: Mapping[int, _Happened], dwells: Sequence[ZoneLeft], layout: Layout
) -> OpenWindow:
    """The window with what happened at the times that lie in it."""
    mine = [one for at_ns, one in times.items() if window.start_ns <= at_ns < window.end_ns]
    if not mine:
        return window
    dwell_s = window.dwell_s.copy() if dwells else window.dwell_s
    for left in dwells:
        if window.start_ns <= left.happened_at_ns < window.end_ns:
            dwell_s[layout.places.index(left.zone)] += left.dwell_ns / NS_PER_S
    return msgspec.structs.replace(
        window,
        happened=sum((one.happened for one in mine), window.happened),
        crossings=sum((one.crossings for one in mine), window.crossings),
        dwell_s=dwell_s,
    )


def _counts(event: CellEvent) -> bool:
    return event.certainty == "confirmed" and (column_of(event) is not None or isinstance(event, LineCrossed))


def _places(event: CellEvent, layout: Layout, zones: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """(P,) where an event counts: in the field, and in the zones that it lies in.

    Coming into the field is not coming into a zone; that is told by events of its own.
    """
    places = np.zeros(len(layout.places), np.bool_)
    if isinstance(event, ZoneEntered | ZoneLeft):
        places[layout.places.index(event.zone)] = True
        return places
    places[0] = True
    if zones is not None and not isinstance(event, CellLeft) and not _entered(event):
        places[1:] = zones
    return places


def _entered(event: CellEvent) -> bool:
    return isinstance(event, CellAppeared) and event.entered


def column_of(event: CellEvent) -> int | None:
    """The column of HAPPENINGS in which an event counts, None for one that counts in none."""
    if isinstance(event, CellAppeared):
        if event.parent_id:
            return None
        return COLUMNS["entries" if event.entered else "appeared"]
    if isinstance(event, CellAbnormal):
        return COLUMNS["abnormal"]
    name = OF_KIND.get(type(event))
    return None if name is None else COLUMNS[name]


def _judged_late(late: Late, times: Mapping[int, _Happened], config: WindowConfig) -> Late:
    """With the events of times of which the first window is final."""
    events = sum(
        one.events
        for at_ns, one in times.items()
        if config.starts_over(at_ns)[0] + config.length_ns <= late.final_ns
    )
    return msgspec.structs.replace(late, events=late.events + events) if events else late
