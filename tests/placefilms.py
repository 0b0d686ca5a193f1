"""Films told with zones and lines, as a pipeline tells them, for the tests of both."""

from __future__ import annotations

from streamcount.events import EventsConfig, cell_events, empty_memory
from streamcount.events.memory import CellMemory
from streamcount.events.places import CellsAround, PlacesMemory, empty_places, place_events
from streamcount.tracking import KalmanTracker
from streamcount.tracking.state import TrackerState
from streamcount.wire import arrays


def told_places(film, places, *, cut=None, config=None):
    """All that is told of zones and lines, as (frame, event), and who is inside after each frame.

    cut: the frame before which all that is remembered is written as bytes and read again. places: one map, or one a
    frame.
    """
    tracker, cells, memory = KalmanTracker(), empty_memory(), empty_places()
    state, every, inside = tracker.initial_state(), [], []
    for number, detections in enumerate(film):
        if number == cut:
            state, cells, memory = (
                arrays.decode(arrays.encode(value, packed=True), kind)
                for value, kind in ((state, TrackerState), (cells, CellMemory), (memory, PlacesMemory))
            )
        state, tracks = tracker.update(state, detections, 0)
        before = cells
        cells, _ = cell_events(cells, tracks, detections.model, 0, config or EventsConfig())
        here = places[number] if isinstance(places, list) else places
        memory, events, there = place_events(
            memory, tracks, CellsAround(before, cells), detections.model, here
        )
        every += [(detections.metadata.sequence, event) for event in events]
        inside.append(there)
    ids = [event.message_id for _, event in every]
    assert len(set(ids)) == len(ids)
    return every, inside


def kinds(every):
    """(frame, kind) of each."""
    return [(number, event.kind) for number, event in every]
