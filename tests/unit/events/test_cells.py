"""Events of hand-made lives, through the real tracker."""

from __future__ import annotations

import pytest

from streamcount.events import EventsConfig, cell_events, empty_memory
from streamcount.tracking import KalmanTracker
from streamcount.types import (
    CellAbnormal,
    CellAppeared,
    CellDied,
    CellLeft,
    CellLost,
    ClassChanged,
    ModelIdentity,
)
from tests.films import MODEL, SECOND_NS, seen


def told(film, config=None):
    """All events of a film, as (frame in which it was told, event)."""
    tracker, memory = KalmanTracker(), empty_memory()
    state, every = tracker.initial_state(), []
    for detections in film:
        state, tracks = tracker.update(state, detections, 0)
        memory, events = cell_events(memory, tracks, detections.model, 0, config or EventsConfig())
        every += [(detections.metadata.sequence, event) for event in events]
        assert memory.track_ids.tolist() == state.track_ids.tolist()
    return every


def kinds(every):
    return [(sequence, event.kind) for sequence, event in every]


def test_appearing_is_told_when_trusted_and_of_the_first_sighting():
    [(sequence, event)] = told([seen(0, [])] + [seen(i, [(100 + 2 * i, 100)]) for i in range(1, 6)])
    assert sequence == 3
    assert isinstance(event, CellAppeared)
    assert (event.sequence, event.happened_at_ns, event.decided_at_ns) == (1, 11 * SECOND_NS, 13 * SECOND_NS)
    assert event.centroid_px == (102.0, 100.0)
    assert event.box_px == (92.0, 90.0, 112.0, 110.0)
    assert (event.track_id, event.class_name, event.entered) == (1, "round", False)
    assert event.event_id == "cam/run-1/1/CellAppeared/1"


@pytest.mark.parametrize(("first", "column", "entered"), [(1, 8, True), (1, 100, False), (0, 8, False)])
def test_entered_is_first_seen_at_the_border_after_the_runs_first_frame(first, column, entered):
    film = [seen(i, [(100, column + 2 * i)] if i >= first else []) for i in range(6)]
    [(_, event)] = told(film)
    assert event.entered == entered


def test_a_cell_that_goes_out_over_the_edge_has_left():
    film = [seen(i, [(100, 340 + 8 * i)] if 340 + 8 * i < 400 else []) for i in range(14)]
    every = told(film)
    assert kinds(every) == [(2, "CellAppeared"), (10, "CellLeft")]
    event = every[1][1]
    assert isinstance(event, CellLeft)
    assert (event.sequence, event.happened_at_ns, event.decided_at_ns) == (7, 17 * SECOND_NS, 20 * SECOND_NS)
    assert event.centroid_px == (100.0, 396.0)


@pytest.mark.parametrize("column", [200, 392], ids=["in the middle", "at rest beside the edge"])
def test_a_cell_in_clear_sight_that_is_suddenly_gone_has_died(column):
    film = [seen(i, [(100, column)] if i < 5 else []) for i in range(10)]
    every = told(film)
    assert kinds(every) == [(2, "CellAppeared"), (7, "CellDied")]
    event = every[1][1]
    assert isinstance(event, CellDied)
    assert (event.reason, event.sequence, event.birth_sequence) == ("vanished", 4, 0)
    assert kinds(told(film, EventsConfig(vanished_sightings=0)))[1] == (7, "CellLost")
    assert kinds(told(film, EventsConfig(vanished_sightings=6)))[1] == (7, "CellLost")


@pytest.mark.parametrize(("step_px", "fate"), [(4, "CellDied"), (17, "CellLost")], ids=["slow", "fast"])
def test_a_cell_that_may_have_outrun_its_link_is_not_told_dead(step_px, fate):
    film = [seen(i, [(100, 100 + step_px * i)] if i < 10 else []) for i in range(14)]
    assert kinds(told(film)) == [(2, "CellAppeared"), (12, fate)]


def test_a_cell_that_was_often_missed_and_is_gone_is_lost():
    film = [seen(i, [(100, 200)] if i in (0, 1, 2, 4, 6, 8) else []) for i in range(13)]
    every = told(film)
    assert kinds(every) == [(2, "CellAppeared"), (11, "CellLost")]
    assert isinstance(every[1][1], CellLost)


def test_a_cell_that_shrinks_and_is_gone_has_died_even_after_misses():
    sizes = [20, 20, 20, None, 18, None, 14, None, 11, None, 9]
    film = [
        seen(i, [(100, 200)] if size else [], diameter=size or 20)
        for i, size in enumerate([*sizes, None, None, None])
    ]
    [_, (sequence, event)] = told(film)
    assert (sequence, event.kind, event.reason, event.sequence) == (13, "CellDied", "shrank", 10)


def test_a_cell_that_shrinks_at_the_edge_has_left():
    film = [seen(i, [(100, 395)] if i < 7 else [], diameter=20 - 2 * i) for i in range(10)]
    assert kinds(told(film)) == [(2, "CellAppeared"), (9, "CellLeft")]


def test_pieces_where_the_cell_was_mean_that_it_fell_apart():
    whole = [(100, 200)]
    pieces = [(95, 196), (104, 203), (97, 206)]
    film = [seen(i, whole, diameter=30) for i in range(6)] + [
        seen(i, pieces, diameter=6) for i in range(6, 10)
    ]
    died = [event for _, event in told(film) if event.kind == "CellDied"]
    assert [(event.reason, event.sequence) for event in died] == [("fragmented", 5)]


def test_a_cell_under_another_is_lost():
    film = [
        seen(i, [(100, 204), (100, 200)][: 2 - (i > 5)], diameter=[30, 20][: 2 - (i > 5)]) for i in range(10)
    ]
    assert [kind for _, kind in kinds(told(film))] == ["CellAppeared", "CellAppeared", "CellLost"]


def test_where_many_cells_are_out_of_sight_none_has_died():
    places = [(50, 30 * i) for i in range(1, 13)]
    film = [seen(i, places if i < 6 else places[:6]) for i in range(10)]
    every = [kind for _, kind in kinds(told(film))]
    assert every.count("CellLost") == 6
    assert "CellDied" not in every


def test_a_cell_that_turns_to_a_dead_class_dies_once():
    model = ModelIdentity("viability", "3" * 64, ("living", "dead"), (), ("dead",))
    shares = [0.05] * 4 + [1.0] * 12
    film = [seen(i, [(100, 100)] if i < 16 else [], odd=shares[min(i, 15)], model=model) for i in range(20)]
    every = told(film)
    assert [kind for _, kind in kinds(every)] == ["CellAppeared", "ClassChanged", "CellDied", "CellLost"]
    assert (every[2][1].reason, every[2][1].class_name) == ("class", "dead")


def test_a_cell_that_appears_dead_did_not_die_in_view():
    model = ModelIdentity("viability", "3" * 64, ("living", "dead"), (), ("dead",))
    film = [seen(i, [(100, 100)] if i < 16 else [], odd=1.0, model=model) for i in range(20)]
    assert [kind for _, kind in kinds(told(film))] == ["CellAppeared", "CellLost"]


def test_what_was_never_trusted_is_never_told_of():
    film = [seen(i, [(50, 50)] if i in (0, 1, 4, 5) else []) for i in range(8)]
    assert told(film) == []


def test_a_turned_cell_is_told_once_and_held_first():
    # The mean over life is past one half from frame 7 on.
    film = [seen(i, [(100, 100)], odd=0.1 if i < 4 else 0.95) for i in range(16)]
    every = told(film)
    assert kinds(every) == [(2, "CellAppeared"), (9, "ClassChanged"), (9, "CellAbnormal")]
    turned, abnormal = every[1][1], every[2][1]
    assert isinstance(turned, ClassChanged)
    assert (turned.class_name, turned.previous_class_name, turned.sequence) == ("odd", "round", 9)
    assert isinstance(abnormal, CellAbnormal)
    assert (abnormal.reason, abnormal.class_name) == ("class", "odd")
    assert kinds(told(film, EventsConfig(class_hold_frames=1)))[1] == (7, "ClassChanged")


def test_a_class_that_flickers_about_the_middle_is_not_told():
    shares = [0.45, 0.45, 0.45] + [0.75, 0.25] * 8
    every = told([seen(i, [(100, 100)], odd=share) for i, share in enumerate(shares)])
    assert kinds(every) == [(2, "CellAppeared")]


def test_abnormal_cells_are_told_of_once_in_their_life():
    shares = [0.9] * 3 + [0.0] * 8 + [1.0] * 12
    every = kinds(told([seen(i, [(100, 100)], odd=share) for i, share in enumerate(shares)]))
    assert [kind for _, kind in every].count("CellAbnormal") == 1
    assert [kind for _, kind in every].count("ClassChanged") == 2
    assert every[:2] == [(2, "CellAppeared"), (2, "CellAbnormal")]


def test_another_models_words_turn_no_cell():
    other = ModelIdentity("other", "1" * 64, ("flat", "round", "odd"), ("odd",))
    film = [seen(i, [(100, 100)]) for i in range(4)] + [
        seen(i, [(100, 100)], model=other, odd=0.1) for i in range(4, 12)
    ]
    assert [kind for _, kind in kinds(told(film))] == ["CellAppeared", "ClassChanged"]
    unknown = ModelIdentity("other", "2" * 64, ("a", "b"))
    film = [seen(i, [(100, 100)]) for i in range(4)] + [
        seen(i, [(100, 100)] if i < 9 else [], model=unknown) for i in range(4, 14)
    ]
    every = told(film)
    assert [kind for _, kind in kinds(every)] == ["CellAppeared", "CellDied"]
    assert every[1][1].class_name == "a"
    assert MODEL.class_names == ("round", "odd")
