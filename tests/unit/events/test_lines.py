"""Counting lines: directions, trembling, gaps, bends and ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streamcount.events.places import LineConfig, PlacesConfig, ZoneConfig, places_map
from tests.films import seen, wandering
from tests.placefilms import kinds, told_places

# From left to right in the picture, so that above is left of it and below is right.
ACROSS = ((200, -1e5), (200, 1e5))


def lined(points=ACROSS, **options):
    return places_map(PlacesConfig(lines={"gate": LineConfig(points_px=points, **options)}))


def going(rows, column=200, **options):
    """A cell that is at these rows, None where it is not seen."""
    return [seen(i, [] if y is None else [(y, column)], **options) for i, y in enumerate(rows)]


def directions(film, places):
    return [(number, event.direction) for number, event in told_places(film, places)[0]]


@pytest.mark.parametrize(
    ("given_", "word"),
    [
        ({"points_px": ((0, 0),)}, "at least 2 points"),
        ({"points_px": ((0, 0), (0, 0))}, "twice in a row"),
        ({"points_px": ACROSS, "points_um": ACROSS}, "either"),
        ({"points_px": ACROSS, "edges": "centroid"}, "edges"),
    ],
)
def test_what_is_no_line_is_refused(given_, word):
    with pytest.raises(ValidationError, match=word):
        LineConfig(**given_)


def test_down_over_a_line_from_left_to_right_is_forward():
    down = list(range(170, 230, 5))
    # Told when more than a quarter of the diameter of 20 beyond.
    assert directions(going(down), lined()) == [(8, "forward")]
    assert directions(going(down[::-1]), lined()) == [(7, "backward")]
    assert directions(going(down), lined(ACROSS[::-1])) == [(8, "backward")]
    [(_, event)] = told_places(going(down), lined())[0]
    assert event.event_id == "cam/run-1/8/LineCrossed/1/gate"
    assert (event.line, event.centroid_px) == ("gate", (210.0, 200.0))


def test_a_cell_that_trembles_on_the_line_does_not_cross_it():
    trembling = [199, 201] * 8
    assert directions(going(trembling), lined()) == []
    assert directions(going([180, 190, *trembling, 190, 180]), lined()) == []
    assert directions(going([180, 190, *trembling, 210, 220]), lined()) == [(18, "forward")]
    assert len(directions(going(trembling), lined(hysteresis_px=0))) == 13


def test_a_cell_out_of_sight_has_crossed_when_it_is_found_on_the_other_side():
    rows = [160, 168, 176, 184, 192, None, None, 216, 224]
    assert directions(going(rows), lined()) == [(7, "forward")]
    assert directions(going([160, 168, 176, 184, 192, None, None, None]), lined()) == []


def test_a_cell_that_passes_before_it_is_trusted_is_told_when_it_is():
    assert directions(going([190, 200, 212, 222]), lined()) == [(2, "forward")]


def test_the_way_round_the_end_of_a_line_is_no_crossing():
    short = lined(((200, 180), (200, 220)))
    # Round its end, and then over it: once.
    way = [(180, 240), (190, 240), (200, 240), (210, 240), (215, 230), (220, 220), (220, 210), (220, 200)]
    over = [(212, 200), (204, 200), (196, 200), (188, 200)]
    film = [seen(i, [place]) for i, place in enumerate(way + over)]
    assert directions(film, short) == [(11, "backward")]


def test_a_bend_is_crossed_once_and_its_tip_not_at_all():
    bent = lined(((100, 100), (200, 200), (100, 300)), hysteresis_px=1)
    assert directions(going(range(150, 250, 10)), bent) == [(6, "forward")]
    assert directions(going(range(180, 260, 4)), bent) == [(6, "forward")]
    past = [seen(i, [(205, 160 + 8 * i)]) for i in range(12)]
    assert directions(past, bent) == []
    through = [seen(i, [(150, 110 + 10 * i)]) for i in range(20)]
    assert [direction for _, direction in directions(through, bent)] == ["backward", "forward"]
    # Both arms in one step: it is on the side where it was.
    assert bent.crossings(np.array([[150, 100]], np.float32), np.array([[150, 300]], np.float32)) == [[0]]


def test_only_cells_of_the_lines_classes_are_told_of():
    film = going(range(170, 230, 5))
    assert directions(film, lined(classes=("odd",))) == []
    assert len(directions(film, lined(classes=("round", "odd")))) == 1


def test_zones_and_lines_stand_beside_each_other():
    zone = ZoneConfig(points_px=((200, 0), (200, 400), (400, 400), (400, 0)))
    places = places_map(
        PlacesConfig(zones={"low": zone}, lines={"gate": LineConfig(points_px=ACROSS, hysteresis_px=0)})
    )
    film = going([180, 188, 196, 204, 212])
    assert kinds(told_places(film, places)[0]) == [(3, "ZoneEntered"), (3, "LineCrossed")]


BENT = ((-1e4, 150), (120, 150), (260, 260), (1e4, 260))


@pytest.mark.parametrize("points", [ACROSS, BENT, ((-1e4, 210), (1e4, 195))])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_on_an_endless_line_forward_and_backward_alternate(points, seed):
    every, _ = told_places(wandering(30, 25, seed), lined(points, hysteresis_px=1))
    by_cell = {}
    for _, event in every:
        by_cell.setdefault(event.track_id, []).append(event.direction)
    assert all(one != other for ways in by_cell.values() for one, other in pairwise(ways))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_walk_on_whole_pixels_crosses_as_often_as_it_changes_sides(seed):
    rng = np.random.default_rng(seed)
    # Many steps end on the line, and in its very bends.
    steps = rng.integers(-2, 3, (400, 2))
    walk = np.cumsum(steps, axis=0).astype(np.float32)
    places = lined(((-1e4, 0), (-3, 0), (0, 3), (2, -4), (5, 0), (1e4, 0)))
    ways = places.crossings(walk[:-1], walk[1:])[:, 0]
    passed = np.cumsum(ways)
    assert passed.max() - passed.min() <= 1
    # Far from the bends the side is that of a straight line: x below 0 lies to the right, going down.
    clear = np.abs(walk[1:, 1]) > 5
    right = (walk[1:, 1] < 0)[clear]
    numbers = passed[clear]
    if right.any() and not right.all():
        assert len(np.unique(numbers[right])) == len(np.unique(numbers[~right])) == 1
        assert numbers[right][0] == numbers[~right][0] + 1


@given(seed=st.integers(0, 2**32), cut=st.integers(1, 24))
@settings(max_examples=12, deadline=None)
def test_cutting_the_run_at_any_frame_changes_no_crossing(seed, cut):
    film, places = wandering(25, 20, seed), lined(BENT)
    assert told_places(film, places)[0] == told_places(film, places, cut=cut)[0]
