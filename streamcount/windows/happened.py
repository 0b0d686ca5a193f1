"""What happened to cells, counted in the windows of the time when it happened."""

from __future__ import annotations

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
from streamcount.windows.state import HAPPENINGS, Late, Layout, OpenWindow, WindowsState

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
    for row, event in enumerate(seen.events):
        if not isinstance(event, CellEvent) or not _counts(event):
            continue
        places = _places(event, layout, None if seen.surroundings is None else seen.surroundings.events[row])
        windows = tuple(
            _with_event(window, event, places, layout)
            if window.start_ns <= event.happened_at_ns < window.end_ns
            else window
            for window in state.windows
        )
        late = tuple(_judged_late(one, event, setup.windows[one.name]) for one in state.late)
        state = msgspec.structs.replace(state, windows=windows, late=late)
    return state


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


def _with_event(
    window: OpenWindow, event: CellEvent, places: NDArray[np.bool_], layout: Layout
) -> OpenWindow:
    if isinstance(event, LineCrossed):
        crossings = window.crossings.copy()
        crossings[layout.lines.index(event.line), DIRECTIONS.index(event.direction)] += 1
        return msgspec.structs.replace(window, crossings=crossings)
    if isinstance(event, ZoneLeft):
        dwell_s = window.dwell_s.copy()
        dwell_s[layout.places.index(event.zone)] += event.dwell_ns / NS_PER_S
        window = msgspec.structs.replace(window, dwell_s=dwell_s)
    happened, column = window.happened.copy(), column_of(event)
    if column is not None:
        happened[places, layout.model.class_names.index(event.class_name), column] += 1
    return msgspec.structs.replace(window, happened=happened)


def _judged_late(late: Late, event: CellEvent, config: WindowConfig) -> Late:
    """With one more late event, where the first of the windows of its time is final."""
    first_end_ns = config.starts_over(event.happened_at_ns)[0] + config.length_ns
    return msgspec.structs.replace(late, events=late.events + 1) if first_end_ns <= late.final_ns else late
