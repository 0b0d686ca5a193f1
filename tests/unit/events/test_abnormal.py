"""Abnormal cells of hand-made films, through the real tracker."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streamcount.events import EventsConfig, cell_events, empty_memory
from streamcount.events.abnormal import density, elongations, slenderness
from streamcount.events.certainty import certainties
from streamcount.tracking import KalmanTracker
from streamcount.types import CellAbnormal, ModelIdentity
from tests.films import seen

CELLS = 40
ONE_CLASS = ModelIdentity("one", "4" * 64, ("cell",))
# The last cell is the odd one, among others as they come.
GRID = [(30.0 + 45 * (i // 8), 30.0 + 45 * (i % 8)) for i in range(CELLS)]


def film(
    frames=30, *, area=1.0, stretch=1.0, bright=-0.3, sure=0.9, novelty=None, places=GRID, quality=(), **more
):
    """Cells at rest whose looks vary a little; the last one is larger, longer, brighter, less sure or stranger.

    novelty: the last one's; the others are as usual ones are. None: the model cannot tell.
    """
    rng = np.random.default_rng(3)
    diameters = rng.normal(20, 1.2, len(places))
    greys = rng.normal(-0.3, 0.02, len(places))
    diameters[-1], greys[-1] = 20 * np.sqrt(area), bright
    odd = np.full(len(places), 0.1)
    odd[-1] = 1 - sure
    for sequence in range(frames):
        shown = diameters * rng.normal(1, 0.01, len(places))
        one = seen(sequence, places, diameter=shown, odd=odd, **more)
        boxes = one.boxes_px.copy()
        half = 10 * np.sqrt(area) * np.array([1 / np.sqrt(stretch), np.sqrt(stretch)])
        boxes[-1] = [*(places[-1] - half), *(places[-1] + half)]
        strange = None
        if novelty is not None:
            strange = np.append(np.linspace(0.2, 0.55, len(places) - 1), novelty).astype(np.float32)
        yield msgspec.structs.replace(
            one, boxes_px=boxes, intensities=greys.astype(np.float32), quality=quality, novelties=strange
        )


def abnormal(frames, config=None):
    """(frame, event) of each CellAbnormal of a film."""
    tracker, memory, found = KalmanTracker(), empty_memory(), []
    state = tracker.initial_state()
    for detections in frames:
        state, tracks = tracker.update(state, detections, 0)
        memory, events = cell_events(
            memory, tracks, detections.model, 0, config or EventsConfig(), detections
        )
        found += [(detections.metadata.sequence, one) for one in events if isinstance(one, CellAbnormal)]
    return found


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"area": 3.0}, "size"),
        ({"area": 0.3}, "size"),
        ({"stretch": 3.0}, "shape"),
        ({"bright": -0.6}, "intensity"),
        ({"bright": 0.1}, "intensity"),
        ({"sure": 0.45}, "unsure"),
        ({"novelty": 1.3}, "unsure"),
    ],
)
def test_the_odd_cell_is_told_once_with_its_reason(odd, reason):
    # A cell that is odder than that is of the other class, where there is one.
    more = {"model": ONE_CLASS} if reason == "unsure" else {}
    found = abnormal(film(**odd, **more))
    assert [event.reason for _, event in found] == [reason]
    [(sequence, event)] = found
    assert event.centroid_px == GRID[-1]
    assert event.snapshot == f"cam/run-1/{sequence}/{event.track_id}/{reason}"
    assert event.score < 0.5 if reason == "unsure" else event.score > 4


def test_the_words_tell_the_figures_in_the_specimens_units():
    [(_, event)] = abnormal(film(area=4.0))
    assert "px² is" in event.explanation
    assert "robust deviations above the median" in event.explanation
    assert event.explanation.endswith("of class round")
    sized = [
        msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, pixel_size_um=0.5))
        for one in film(area=4.0)
    ]
    [(_, event)] = abnormal(sized)
    area = float(event.explanation.split()[1])
    assert area == pytest.approx(np.pi * 100, rel=0.1)
    assert "µm² is" in event.explanation


def test_the_words_tell_whether_the_probability_or_the_novelty_is_to_blame():
    [(_, event)] = abnormal(film(novelty=1.3))
    assert event.explanation.startswith("the mean certainty of class round is 0.")
    assert "its probability is 0.90" in event.explanation
    assert "1.30 times as far from its usual cells as all but one in 1,000" in event.explanation
    for improbable in ({"sure": 0.45}, {"sure": 0.45, "novelty": 0.3}):
        [(_, event)] = abnormal(film(model=ONE_CLASS, **improbable))
        assert event.explanation == "the mean probability of class cell is 0.45 over its last sightings"
    # Neither would do alone.
    [(_, event)] = abnormal(film(model=ONE_CLASS, sure=0.6, novelty=0.9))
    assert "its probability is 0.60" in event.explanation
    assert "0.90 times" in event.explanation


def test_a_cell_at_the_limit_of_novelty_is_as_likely_strange_as_usual():
    detections = next(film(novelty=1.0, sure=1.0))
    rows, ids, apart = np.arange(CELLS), np.zeros(CELLS, np.int64), np.ones(CELLS, np.bool_)
    told = certainties(detections, rows, ids, apart, EventsConfig())
    assert told[-1] == pytest.approx(0.5, abs=1e-3)
    assert told[:-1] == pytest.approx(0.9, abs=0.1)
    twice = certainties(detections, rows, ids, apart, EventsConfig(unsure_novelty=2))
    assert twice[-1] == pytest.approx(1, abs=0.02)
    unknown = msgspec.structs.replace(detections, novelties=np.full(CELLS, np.nan, np.float32))
    np.testing.assert_array_equal(
        certainties(unknown, rows, ids, apart, EventsConfig()), detections.class_probabilities[:, 0]
    )


def test_where_all_cells_are_strange_to_the_model_only_the_strangest_are_told():
    def shifted(novelty, cells=CELLS):
        for one in film(novelty=novelty, places=GRID[:cells]):
            yield msgspec.structs.replace(one, novelties=one.novelties * np.float32(4))

    assert abnormal(shifted(0.3)) == []
    [(_, event)] = abnormal(shifted(1.5))
    assert event.reason == "unsure"
    # A few cells are no measure of themselves.
    assert {event.reason for _, event in abnormal(shifted(0.3, cells=3))} == {"unsure"}


def test_novelty_can_be_left_out():
    assert abnormal(film(novelty=3.0), EventsConfig(unsure_novelty=0)) == []
    assert abnormal(film(novelty=3.0), EventsConfig(unsure_below=0)) == []
    assert abnormal(film(novelty=1.3), EventsConfig(unsure_novelty=1.6)) == []


def test_usual_cells_are_not_told():
    assert abnormal(film(frames=300)) == []
    assert abnormal(film(frames=300, novelty=0.5)) == []


def test_nothing_is_judged_before_enough_cells_were_looked_at():
    few = EventsConfig(abnormal_least_cells=CELLS + 1)
    assert abnormal(film(area=3.0), few) == []
    assert abnormal(film(area=3.0, places=GRID[:9])) == []


def test_one_cell_looked_at_often_is_no_population():
    often = EventsConfig(population_every_frames=1)
    assert abnormal(film(frames=60, area=3.0, places=GRID[:9]), often) == []


def test_what_may_be_two_cells_that_touch_is_not_told():
    assert abnormal(film(area=2.0, stretch=2.0)) == []


def test_the_outline_of_a_cell_that_touches_another_is_not_judged():
    beside = [*GRID[:-1], (GRID[-2][0], GRID[-2][1] + 17)]
    assert abnormal(film(area=3.0, bright=-0.6, places=beside)) == []
    assert abnormal(film(area=3.0, novelty=3.0, places=beside)) == []
    # What the model says does not depend on outlines.
    found = abnormal(film(area=3.0, sure=0.45, places=beside, model=ONE_CLASS))
    assert [event.reason for _, event in found] == ["unsure"]


def test_two_cells_in_one_outline_for_a_while_are_not_one_large_cell():
    frames = list(film(frames=60))
    for index in range(20, 32):
        areas = frames[index].areas_px.copy()
        areas[-1] *= 2.5
        frames[index] = msgspec.structs.replace(frames[index], areas_px=areas)
    assert abnormal(frames) == []


def test_a_cell_that_has_become_large_is_told_in_the_end():
    frames = list(film(frames=100))
    for index in range(20, 100):
        areas, boxes = frames[index].areas_px.copy(), frames[index].boxes_px.copy()
        areas[-1] *= 3
        middle = (boxes[-1, :2] + boxes[-1, 2:]) / 2
        half = np.sqrt(3) * (boxes[-1, 2:] - boxes[-1, :2]) / 2
        boxes[-1] = [*(middle - half), *(middle + half)]
        frames[index] = msgspec.structs.replace(frames[index], areas_px=areas, boxes_px=boxes)
    [(sequence, event)] = abnormal(frames)
    assert event.reason == "size"
    assert sequence > 30


def test_twice_the_stain_is_twice_the_density():
    once, twice = density(np.array([0.8 - 1, 0.64 - 1], np.float32))
    assert twice == pytest.approx(2 * once)
    assert density(np.array([0.0, 0.7, -1.0], np.float32)) == pytest.approx([0, 0.7, np.log(0.05)])


def test_a_cell_at_the_edge_is_not_judged():
    assert abnormal(film(area=3.0, places=[*GRID[:-1], (200.0, 383.0)])) == []


def test_frames_of_a_bad_picture_are_neither_learned_from_nor_judged():
    assert abnormal(film(area=3.0, quality=("out-of-focus",))) == []


def test_it_is_held_before_it_is_told():
    late = EventsConfig(abnormal_hold_frames=12)
    soon = abnormal(film(area=3.0), EventsConfig(abnormal_hold_frames=3))[0][0]
    assert abnormal(film(area=3.0), late)[0][0] > soon


def test_a_flash_of_two_frames_is_not_told():
    frames = list(film(frames=40))
    for index in (20, 21):
        areas = frames[index].areas_px.copy()
        areas[-1] *= 2
        frames[index] = msgspec.structs.replace(frames[index], areas_px=areas)
    assert abnormal(frames) == []


def test_each_of_the_ways_can_be_switched_off():
    odd = {"area": 0.3, "stretch": 3.0, "bright": 0.2, "sure": 0.3, "model": ONE_CLASS}
    assert {one.reason for _, one in abnormal(film(**odd))} == {"size", "shape", "intensity", "unsure"}
    by_model = abnormal(film(**odd), EventsConfig(abnormal_deviations=0))
    assert [one.reason for _, one in by_model] == ["unsure"]
    assert abnormal(film(**odd), EventsConfig(abnormal_deviations=0, unsure_below=0)) == []


def test_older_detections_without_intensities_are_judged_by_size():
    older = [msgspec.structs.replace(one, intensities=None) for one in film(area=3.0)]
    assert [event.reason for _, event in abnormal(older)] == ["size"]
    mixed = older[:10] + list(film(area=3.0))[10:]
    assert [event.reason for _, event in abnormal(mixed)] == ["size"]


def test_dead_cells_are_not_judged():
    model = ModelIdentity("viability", "3" * 64, ("dead", "living"), (), ("dead",))
    assert abnormal(film(area=3.0, model=model)) == []


@pytest.mark.parametrize("turn", [0.0, 0.3, np.pi / 4, 1.2])
@pytest.mark.parametrize("ratio", [1.0, 1.3, 2.8])
def test_the_elongation_of_an_ellipse_does_not_depend_on_how_it_is_turned(turn, ratio):
    a, b = 20.0 * np.sqrt(ratio), 20.0 / np.sqrt(ratio)
    half = np.hypot([a * np.sin(turn), a * np.cos(turn)], [b * np.cos(turn), b * np.sin(turn)])
    boxes = np.array([[*(50 - half), *(50 + half)]], np.float32)
    found = elongations(slenderness(boxes, np.array([np.pi * a * b], np.float32)))
    assert found[0] == pytest.approx(ratio, rel=1e-3, abs=2e-3)


def test_elongation_from_a_box_alone_is_the_ratio_of_its_sides():
    boxes = np.array([[0, 0, 10, 25], [0, 0, 25, 10], [0, 0, 8, 8]], np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    found = elongations(slenderness(boxes, np.asarray(sides.prod(axis=1) * np.pi / 4, np.float32)))
    np.testing.assert_allclose(found, [2.5, 2.5, 1.0], rtol=1e-3)
    assert (elongations(slenderness(boxes, np.zeros(3, np.float32))) >= 1).all()
