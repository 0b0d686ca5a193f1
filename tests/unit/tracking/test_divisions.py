"""Divisions of hand-made cells, from the tracker to the events."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.events import EventsConfig, cell_events, empty_memory
from streamcount.tracking import KalmanConfig, KalmanTracker
from streamcount.tracking.divisions import Cells, Mothers, find_births
from streamcount.types import CellDivided, TrackStatus
from tests.films import seen

MOTHER, DAUGHTER = 30.0, 21.0
AT = (100.0, 100.0)
BESIDE = [(100.0, 89.0), (100.0, 111.0)]
ONE = {"centroids": [AT], "diameter": MOTHER}
TWO = {"centroids": BESIDE, "diameter": DAUGHTER}


def follow(frames, config=None, gaps=None):
    """The tracks of each frame, and all events as (frame in which it was told, event)."""
    tracker, memory = KalmanTracker(config), empty_memory()
    state, every, events = tracker.initial_state(), [], []
    for sequence, frame in enumerate(frames):
        hole = (gaps or {}).get(sequence, 0)
        detections = seen(sequence + sum(n for at, n in (gaps or {}).items() if at <= sequence), **frame)
        state, tracks = tracker.update(state, detections, hole)
        memory, told = cell_events(memory, tracks, detections.model, 0, EventsConfig())
        every.append(tracks)
        events += [(sequence, event) for event in told]
    return every, events


def divided(events):
    return [
        (at, event.certainty, event.track_id, event.daughter_ids)
        for at, event in events
        if isinstance(event, CellDivided)
    ]


def test_a_division_is_told_at_once_and_confirmed_when_both_daughters_can_be_trusted():
    every, events = follow([ONE] * 4 + [TWO] * 4)
    assert divided(events) == [(4, "provisional", 1, (2, 3)), (6, "confirmed", 1, (2, 3))]
    [(_, first), (_, second)] = [(at, event) for at, event in events if isinstance(event, CellDivided)]
    assert first.event_id == second.event_id == "cam/run-1/4/CellDivided/1"
    assert (first.sequence, first.centroid_px) == (second.sequence, second.centroid_px) == (4, AT)
    assert [event.kind for _, event in events] == [
        "CellAppeared", "CellDivided", "CellAppeared", "CellAppeared", "CellDivided",
    ]  # fmt: skip
    daughters = [event for at, event in events if at == 6 and event.kind == "CellAppeared"]
    assert [(one.track_id, one.parent_id, one.generation, one.birth_sequence) for one in daughters] == [
        (2, 1, 1, 4),
        (3, 1, 1, 4),
    ]
    statuses = [int(tracks.status[tracks.track_ids == 1][0]) for tracks in every[3:7]]
    assert statuses == [TrackStatus.CONFIRMED, TrackStatus.DIVIDING, TrackStatus.DIVIDING, TrackStatus.ENDED]


def test_generations_count_on():
    four = {"centroids": [(92, 89), (108, 89), (92, 111), (108, 111)], "diameter": 15.0}
    every, _ = follow([ONE] * 4 + [TWO] * 4 + [four] * 4)
    last = every[-1]
    assert last.generations.tolist() == [2, 2, 2, 2]
    assert last.parent_ids.tolist() == [2, 3, 2, 3]


def test_the_other_daughter_may_be_found_a_frame_later():
    half = {"centroids": BESIDE[:1], "diameter": DAUGHTER}
    _, events = follow([ONE] * 4 + [half] + [TWO] * 4)
    assert [(at, certainty) for at, certainty, *_ in divided(events)] == [
        (5, "provisional"),
        (7, "confirmed"),
    ]


def test_a_daughter_may_be_missed_once():
    half = {"centroids": BESIDE[1:], "diameter": DAUGHTER}
    _, events = follow([ONE] * 4 + [TWO, half, TWO, TWO, TWO])
    assert divided(events) == [(4, "provisional", 1, (2, 3)), (7, "confirmed", 1, (2, 3))]


def test_if_one_daughter_was_none_the_other_is_the_mother():
    half = {"centroids": BESIDE[1:], "diameter": DAUGHTER}
    every, events = follow([ONE] * 4 + [TWO] + [half] * 4)
    assert divided(events) == [(4, "provisional", 1, (2, 3)), (6, "retracted", 1, (2, 3))]
    assert [event.kind for _, event in events] == ["CellAppeared", "CellDivided", "CellDivided"]
    last = every[-1]
    assert last.track_ids.tolist() == [1]
    assert last.status.tolist() == [TrackStatus.CONFIRMED]
    assert last.centroids_px[0].tolist() == list(BESIDE[1])


def test_if_neither_daughter_was_one_the_mother_is_lost_as_any_cell():
    nothing = {"centroids": [], "diameter": 1.0}
    _, events = follow([ONE] * 4 + [TWO] + [nothing] * 5)
    assert [certainty for _, certainty, *_ in divided(events)] == ["provisional", "retracted"]
    assert [event.kind for _, event in events][-1] in ("CellDied", "CellLost")
    assert [event.track_id for _, event in events] == [1, 1, 1, 1]


def test_a_hole_too_long_undoes_what_was_not_certain():
    config = KalmanConfig(max_gap_frames=5)
    every, events = follow([ONE] * 4 + [TWO, TWO], config, gaps={5: 9})
    assert [certainty for _, certainty, *_ in divided(events)] == ["provisional", "retracted"]
    assert every[-1].status.tolist()[:3] == [TrackStatus.ENDED] * 3


@pytest.mark.parametrize(
    ("daughters", "diameters"),
    [
        ([(100, 101), (100, 127)], (30, 24)),  # a neighbour that comes into sight
        ([(100, 89), (100, 111)], (30, 30)),  # two as large as she
        ([(100, 89), (100, 111)], (26, 10)),  # a speck
        ([(100, 80), (100, 180)], (21, 21)),  # too far apart
        ([(100, 120), (100, 142)], (21, 21)),  # both on one side
        ([(100, 99), (100, 104)], (21, 21)),  # on each other
    ],
)
def test_what_is_no_division(daughters, diameters):
    two = {"centroids": daughters, "diameter": diameters}
    _, events = follow([ONE] * 5 + [two] * 5)
    assert divided(events) == []


def test_the_nearer_mother_of_two_gets_the_daughters():
    mothers = Mothers(
        np.array([[100.0, 100.0], [100.0, 130.0]]), np.full(2, 700.0), np.array([-1, -1], np.int64)
    )
    cells = Cells(np.array(BESIDE), np.full(2, 350.0), np.ones(2, np.bool_))
    births = find_births(mothers, cells, 2.0, 7.0)
    assert births.mothers.tolist() == [0]
    assert births.daughters.tolist() == [[0, 1]]


def test_no_detection_is_a_daughter_of_two():
    places = np.array([[100.0, 100.0], [101.0, 100.0]])
    mothers = Mothers(places, np.full(2, 700.0), np.array([-1, -1], np.int64))
    cells = Cells(np.array(BESIDE), np.full(2, 350.0), np.ones(2, np.bool_))
    assert len(find_births(mothers, cells, 2.0, 7.0).mothers) == 1


def test_at_limit_zero_nothing_divides():
    _, events = follow([ONE] * 4 + [TWO] * 4, KalmanConfig(division_max_cost=0))
    assert divided(events) == []
