"""Zones and lines through the whole pipeline: who enters, stays, leaves and crosses."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streamcount.detection import WatershedConfig
from streamcount.errors import ConfigurationError
from streamcount.events.places import LineConfig, PlacesConfig, ZoneConfig, places_map
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanTracker
from streamcount.types import CellEvent, LineCrossed, WindowClosed, ZoneEntered, ZoneLeft
from streamcount.types.figures import CLASSLESS, FIELD_ONLY, FIGURES, PLACES_ONLY
from streamcount.windows import WindowConfig, WindowsSetup
from streamcount.wire import decode_state, encode_state
from tests.films import SECOND_NS, seen, wandering

SQUARE = [(100, 100), (100, 200), (200, 200), (200, 100)]
MIDDLE = {"middle": ZoneConfig(points_px=SQUARE)}
# From the bottom up: its left is at small x, so forward is to the right.
UPWARD = {"gate": LineConfig(points_px=[(400, 150), (0, 150)])}


def following(zones=None, lines=None, **setup) -> Pipeline:
    places = places_map(PlacesConfig(zones=zones or {}, lines=lines or {}))
    windows = WindowsSetup(setup.get("windows", {}))
    return Pipeline(WatershedConfig().build(), KalmanTracker(), places=places, windows=windows)


def stories(pipeline, film, kinds=(ZoneEntered, ZoneLeft, LineCrossed)):
    state, told = pipeline.initial_state("cam"), []
    for detections in film:
        state, result = pipeline.advance(state, detections)
        told += [event for event in result.events if isinstance(event, kinds)]
    return state, told


def passing(speed=10, frames=32):
    """One cell from left to right through the middle of the square."""
    return [seen(i, [(150, 40 + speed * i)]) for i in range(frames)]


def test_a_cell_that_passes_a_zone_enters_once_and_leaves_once_with_its_dwell():
    _, [entered, left] = stories(following(MIDDLE), passing())
    assert (type(entered), type(left)) == (ZoneEntered, ZoneLeft)
    # x is 100 at frame 6; it has left by a quarter of its 20 px at x = 210, frame 17.
    assert (entered.sequence, left.sequence) == (6, 17)
    assert left.dwell_ns == 11 * SECOND_NS
    assert entered.zone == left.zone == "middle"


def test_a_cell_that_trembles_on_the_border_enters_once():
    film = [seen(i, [(150, 100 + (3 if i % 2 else -3))]) for i in range(40)]
    _, told = stories(following(MIDDLE), film)
    assert [type(event) for event in told] == [ZoneEntered]


def test_a_cell_that_vanishes_within_a_zone_leaves_it_at_its_last_sighting():
    film = [seen(i, [(150, 150), (300, 300)] if i < 10 else [(300, 300)]) for i in range(20)]
    _, told = stories(following(MIDDLE), film)
    assert [type(event) for event in told] == [ZoneEntered, ZoneLeft]
    assert told[1].sequence == 9


@pytest.mark.parametrize(("speed", "start", "direction"), [(10, 40, "forward"), (-10, 350, "backward")])
def test_a_line_is_crossed_once_in_its_direction(speed, start, direction):
    film = [seen(i, [(150, start + speed * i)]) for i in range(30)]
    _, told = stories(following(lines=UPWARD), film)
    assert [(event.line, event.direction) for event in told] == [("gate", direction)]


def test_crossing_while_out_of_sight_counts():
    film = [frame for frame in passing() if frame.metadata.sequence not in (10, 11, 12)]
    _, told = stories(following(lines=UPWARD), film)
    assert [event.direction for event in told] == ["forward"]


def test_a_cell_that_trembles_on_a_line_does_not_cross_it():
    film = [seen(i, [(150, 150 + (3 if i % 2 else -3))]) for i in range(40)]
    _, told = stories(following(lines=UPWARD), film)
    assert told == []


def test_windows_count_zones_and_lines():
    pipeline = following(MIDDLE, UPWARD, windows={"all": WindowConfig(length_s=50, grace_frames=0)})
    film = [seen(i, [(150, 40 + 10 * i), (300, 300)]) for i in range(31)]
    state, told = stories(pipeline, film, (WindowClosed,))
    told += pipeline.finish(state)[1].events
    figures = {(f.name, f.zone, f.class_name): f.value for window in told for f in window.figures}
    assert figures["crossings_forward", "gate", ""] == 1
    assert figures["crossings_backward", "gate", ""] == 0
    assert figures["dwell_s", "middle", ""] == 11
    # Ten of the 31 frames show it with its centroid within [100, 200).
    assert figures["cells", "middle", ""] == pytest.approx(10 / 31)
    assert figures["cells", "", ""] == 2


def test_figures_are_told_of_what_the_table_of_figures_says():
    windows = {"all": WindowConfig(length_s=50, grace_frames=0)}
    pipeline = following(MIDDLE, UPWARD, windows=windows)
    film = [
        msgspec.structs.replace(
            found,
            metadata=msgspec.structs.replace(found.metadata, pixel_size_um=1.0),
            model=msgspec.structs.replace(found.model, dead=("odd",), mitotic=("odd",)),
            foreground_fraction=0.1,
        )
        for found in (seen(i, [(150, 40 + 10 * i), (300, 300)]) for i in range(31))
    ]
    state, told = stories(pipeline, film, (WindowClosed,))
    figures = [f for window in (*told, *pipeline.finish(state)[1].events) for f in window.figures]
    assert len({f.name for f in figures}) > 30
    assert {f.name for f in figures} <= set(FIGURES)
    assert not {f.name for f in figures if f.zone} & FIELD_ONLY
    assert not {f.name for f in figures if not f.zone} & PLACES_ONLY
    assert not {f.name for f in figures if f.class_name} & CLASSLESS
    assert all(f.unit == FIGURES[f.name].unit for f in figures)


def test_the_haemocytometers_rule_counts_a_cell_in_one_of_two_neighbours():
    left = ZoneConfig(points_px=[(0, 0), (0, 100), (400, 100), (400, 0)], edges="haemocytometer")
    right = ZoneConfig(points_px=[(0, 100), (0, 200), (400, 200), (400, 100)], edges="haemocytometer")
    places = places_map(PlacesConfig(zones={"left": left, "right": right}))
    # Across the common edge; wholly left; touching the top edge; touching the bottom edge of the image.
    found = seen(0, [(200, 100), (200, 50), (5, 50), (396, 50)])
    assert places.detected(found).tolist() == [[False, True], [True, False], [True, False], [False, False]]


def test_a_change_of_the_drawing_begins_anew_without_anyone_leaving():
    film = passing()
    state, told = stories(following(MIDDLE), film[:10])
    assert [type(event) for event in told] == [ZoneEntered]
    moved = following({"middle": ZoneConfig(points_px=[(y + 1, x) for y, x in SQUARE])})
    _, result = moved.advance(state, film[10])
    assert [type(e) for e in result.events if isinstance(e, ZoneEntered | ZoneLeft)] == [ZoneEntered]


@pytest.mark.parametrize(
    ("points", "word"),
    [
        ([(0, 0), (1, 1)], "at least 3 points"),
        ([(0, 0), (1, 1), (2, 2)], "touches itself"),
        ([(0, 0), (10, 10), (0, 10), (10, 0)], "crosses"),
    ],
)
def test_zones_that_are_no_polygon_are_refused(points, word):
    with pytest.raises(ValidationError, match=word):
        ZoneConfig(points_px=points)


def test_places_in_um_need_the_size_of_a_pixel():
    config = PlacesConfig(zones={"z": ZoneConfig(points_um=SQUARE)})
    with pytest.raises(ConfigurationError, match="pixel_size_um"):
        places_map(config)
    assert places_map(config, 2.0).areas_px((400, 400)).tolist() == [2500.0]
    assert places_map(config, 2.0).areas_px((75, 400)).tolist() == [1250.0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 38))
def test_who_entered_and_did_not_leave_is_inside_and_cutting_changes_nothing(seed, cut):
    pipeline, film = following(MIDDLE, UPWARD), wandering(15, 40, seed=seed)
    state, whole = stories(pipeline, film)
    entered = {(e.track_id, e.zone) for e in whole if isinstance(e, ZoneEntered)}
    balance = dict.fromkeys(entered, 0)
    for event in whole:
        if isinstance(event, ZoneEntered | ZoneLeft):
            balance[event.track_id, event.zone] += 1 if isinstance(event, ZoneEntered) else -1
    inside = set(state.places.track_ids[state.places.inside[:, 0]].tolist())
    assert {track for (track, _), number in balance.items() if number == 1} == inside
    assert set(balance.values()) <= {0, 1}
    # The line has no ends within the picture, so a cell crosses it there and back in turn.
    crossings: dict[int, list[str]] = {}
    for event in whole:
        if isinstance(event, LineCrossed):
            crossings.setdefault(event.track_id, []).append(event.direction)
    assert all(one != other for ways in crossings.values() for one, other in pairwise(ways))
    again, told = pipeline.initial_state("cam"), []
    for number, detections in enumerate(film):
        if number == cut:
            again = decode_state(encode_state(again))
        again, result = pipeline.advance(again, detections)
        told += [e for e in result.events if isinstance(e, CellEvent)]
    assert [e for e in told if isinstance(e, ZoneEntered | ZoneLeft | LineCrossed)] == whole
    assert np.array_equal(again.places.inside, state.places.inside)
