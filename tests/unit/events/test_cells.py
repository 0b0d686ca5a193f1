"""Events of hand-made lives, through the real tracker."""

from __future__ import annotations

import pytest

from streamcount.events import EventsConfig, cell_events, empty_memory
from streamcount.tracking import KalmanTracker
from streamcount.types import (
    CellAbnormal,
    CellAppeared,
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
def test_a_cell_that_is_gone_otherwise_is_lost(column):
    every = told([seen(i, [(100, column)] if i < 5 else []) for i in range(10)])
    assert kinds(every) == [(2, "CellAppeared"), (7, "CellLost")]
    assert isinstance(every[1][1], CellLost)
    assert every[1][1].sequence == 4


def test_what_was_never_trusted_is_never_told_of():
    assert (
        told([seen(0, [(50, 50)]), seen(1, [(50, 50)]), seen(2, []), seen(3, [(50, 50)]), seen(4, [])]) == []
    )


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
    assert [kind for _, kind in kinds(every)] == ["CellAppeared", "CellLost"]
    assert every[1][1].class_name == "a"
    assert MODEL.class_names == ("round", "odd")
