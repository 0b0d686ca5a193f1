from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.detection import WatershedConfig
from streamcount.errors import StreamcountError
from streamcount.pipeline import Pipeline
from streamcount.pipeline.state import REMEMBERED_RUNS
from streamcount.tracking import KalmanTracker
from streamcount.types import (
    CellEvent,
    CountsUpdated,
    FramesMissing,
    QualityChanged,
    RunStarted,
    WindowClosed,
)
from streamcount.windows import WindowConfig, WindowsSetup
from tests.films import SECOND_NS, discs, missing, seen, wandering

CELLS = [(100, 100), (200, 200)]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(WatershedConfig().build(), KalmanTracker())


def feed(pipeline, items, state=None):
    """Detections and losses in order; the state, and the result of each."""
    state, results = state or pipeline.initial_state("cam"), []
    for item in items:
        step = pipeline.miss if isinstance(item, FramesMissing) else pipeline.advance
        state, result = step(state, item)
        results.append(result)
    return state, results


def holes(results):
    return [
        (event.sequence, event.last_sequence, event.reason)
        for result in results
        for event in result.events
        if isinstance(event, FramesMissing)
    ]


def test_counts_of_a_plain_run(pipeline):
    state, results = feed(pipeline, [seen(i, CELLS, odd=[0.1, 0.9]) for i in range(4)])
    last = results[-1].events[-1]
    assert isinstance(last, CountsUpdated)
    assert last.counts == {"round": 1, "odd": 1}
    assert (last.total, last.confirmed_tracks, last.cells_seen, last.sequence) == (2, 2, 2, 3)
    assert last.happened_at_ns == last.decided_at_ns == 13 * SECOND_NS
    assert [sum(isinstance(e, CountsUpdated) for e in r.events) for r in results] == [1] * 4
    assert (state.run_id, state.last_sequence, state.cells_seen) == ("run-1", 3, 2)
    assert results[2].tracks.track_ids.tolist() == [1, 2]


def test_step_is_detect_then_advance(pipeline):
    frame = discs(0, [(50, 50), (90, 120)])
    _, stepped = pipeline.step(pipeline.initial_state("cam"), frame)
    _, advanced = pipeline.advance(pipeline.initial_state("cam"), pipeline.detect(frame))
    assert stepped.events == advanced.events
    assert len(stepped.detections) == 2
    assert pipeline.detect(frame, labels=True).labels.max() == 2


@pytest.mark.parametrize("again", [0, 2, 3])
def test_a_stale_frame_is_skipped(pipeline, again):
    state, _ = feed(pipeline, [seen(i, CELLS) for i in range(4)])
    after, [result] = feed(pipeline, [seen(again, CELLS)], state)
    assert result.skipped
    assert result.events == ()
    assert result.tracks is None
    assert after is state


def test_a_hole_is_told_before_anything_else(pipeline):
    _, results = feed(pipeline, [seen(0, CELLS), seen(1, CELLS), seen(5, CELLS)])
    hole = results[-1].events[0]
    assert holes(results) == [(2, 4, "not-received")]
    assert (hole.happened_at_ns, hole.decided_at_ns) == (11 * SECOND_NS, 15 * SECOND_NS)
    assert hole.event_id == "cam/run-1/2/FramesMissing"


def test_a_run_that_does_not_begin_at_zero_has_a_hole(pipeline):
    _, results = feed(pipeline, [seen(3, CELLS)])
    assert holes(results) == [(0, 2, "not-received")]
    assert results[0].events[0].happened_at_ns == 13 * SECOND_NS


def test_cells_of_a_runs_first_frame_did_not_enter_though_it_is_not_number_zero(pipeline):
    _, results = feed(pipeline, [seen(i, [(100, 8)]) for i in range(3, 7)])
    assert [event.entered for r in results for event in r.events if isinstance(event, CellEvent)] == [False]


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (missing(2, 4), [(2, 4, "dropped")]),
        (missing(0, 4, "dead-lettered"), [(2, 4, "dead-lettered")]),
        (missing(4, 6), [(2, 3, "not-received"), (4, 6, "dropped")]),
        (missing(0, 1), []),
        (missing(5, 4), []),
    ],
)
def test_a_declared_loss_is_told_of_what_was_not_accounted_for(pipeline, loss, told):
    state, results = feed(pipeline, [seen(0, CELLS), seen(1, CELLS), loss])
    assert holes(results) == told
    assert results[-1].skipped == (not told)
    assert state.last_sequence == (told[-1][1] if told else 1)
    again, repeated = feed(pipeline, [loss], state)
    assert repeated[0].skipped
    assert again is state


def test_frames_after_a_declared_loss_are_no_hole_and_frames_within_it_are_stale(pipeline):
    film = [seen(0, CELLS), seen(1, CELLS), missing(2, 4), seen(3, CELLS), seen(5, CELLS)]
    _, results = feed(pipeline, film)
    assert holes(results) == [(2, 4, "dropped")]
    assert [result.skipped for result in results] == [False, False, False, True, False]


def test_the_tracker_hears_of_all_missing_frames_at_the_next_frame(pipeline):
    heard = []

    class Listening(KalmanTracker):
        def update(self, state, detections, missed_frames):
            heard.append(missed_frames)
            return super().update(state, detections, missed_frames)

    listening = Pipeline(pipeline.detector, Listening())
    film = [seen(0, CELLS), missing(1, 2), missing(3, 3, "dead-lettered"), seen(6, CELLS), seen(7, CELLS)]
    feed(listening, film)
    assert heard == [0, 5, 0]


def test_a_moving_cell_is_followed_over_a_loss(pipeline):
    film = [seen(i, [(100, 100 + 10 * i)]) for i in range(6)]
    film += [missing(6, 9)] + [seen(i, [(100, 100 + 10 * i)]) for i in range(10, 13)]
    state, results = feed(pipeline, film)
    assert state.cells_seen == 1
    assert results[-1].tracks.track_ids.tolist() == [1]


def test_a_new_run_starts_anew_and_the_old_one_is_over(pipeline):
    old = [seen(i, CELLS) for i in range(5)]
    new = [seen(i, CELLS, run_id="run-2") for i in range(3)]
    state, results = feed(pipeline, [*old, *new])
    _, alone = feed(pipeline, new)
    began, *counted = results[5].events
    assert isinstance(began, RunStarted)
    assert (began.run_id, began.sequence, began.previous_run_id) == ("run-2", 0, "run-1")
    assert [tuple(counted), *(r.events for r in results[6:])] == [r.events for r in alone]
    assert (state.run_id, state.finished_runs, state.cells_seen) == ("run-2", ("run-1",), 2)
    after, late = feed(pipeline, [seen(9, CELLS), missing(9, 10)], state)
    assert all(result.skipped for result in late)
    assert after is state


def test_a_declared_loss_can_begin_a_run(pipeline):
    film = [seen(0, CELLS), missing(0, 2, run_id="run-2"), seen(3, CELLS, run_id="run-2")]
    state, results = feed(pipeline, film)
    assert holes(results) == [(0, 2, "dropped")]
    assert [event.kind for event in results[1].events] == ["RunStarted", "FramesMissing"]
    assert (state.run_id, state.first_sequence) == ("run-2", 3)


def test_a_picture_that_goes_bad_is_counted_flagged_and_told_once(pipeline):
    good = [discs(i, [(50, 50), (90, 120)]) for i in range(12)]
    white = [discs(i, [(50, 50), (90, 120)], grey=(255, 90)) for i in range(12, 18)]
    state, events = pipeline.initial_state("cam"), []
    for frame in [*good, *white]:
        state, result = pipeline.step(state, frame)
        events += result.events
    turned = [event for event in events if isinstance(event, QualityChanged)]
    assert [(event.sequence, "saturated" in event.flags, event.previous) for event in turned] == [
        (14, True, ())
    ]
    flagged = [e.sequence for e in events if isinstance(e, CountsUpdated) and "saturated" in e.quality]
    # The detector says of each white frame that it is; the judge waits until it lasts.
    assert flagged == list(range(12, 18))


def test_frames_without_a_cell_are_told_so_and_make_no_window_incomplete():
    setup = WindowsSetup({"ten": WindowConfig(length_s=10)})
    pipeline = Pipeline(WatershedConfig().build(), KalmanTracker(), windows=setup)
    # One cell that is there in every other second.
    _, results = feed(pipeline, [pipeline.detect(discs(i, [(50, 50)] * (i % 2))) for i in range(40)])
    counted = [e for result in results for e in result.events if isinstance(e, CountsUpdated)]
    assert [e.total for e in counted] == [0, 1] * 20
    assert ["empty" in e.quality for e in counted] == [True, False] * 20
    closed = [e for result in results for e in result.events if isinstance(e, WindowClosed) and e.final]
    whole = closed[1:]
    assert len(whole) >= 2
    for window in whole:
        assert (window.complete, window.frames_flagged) == (True, 0)
        assert next(f.value for f in window.figures if (f.name, f.class_name) == ("cells", "")) == 0.5


def test_finished_runs_are_bounded(pipeline):
    state, _ = feed(pipeline, [seen(0, CELLS, run_id=f"run-{i}") for i in range(REMEMBERED_RUNS + 5)])
    assert len(state.finished_runs) == REMEMBERED_RUNS
    assert state.finished_runs[-1] == f"run-{REMEMBERED_RUNS + 3}"


def test_another_cameras_frames_are_refused(pipeline):
    with pytest.raises(StreamcountError, match="'other'"):
        pipeline.advance(pipeline.initial_state("other"), seen(0, CELLS))
    with pytest.raises(StreamcountError, match="one state for each camera"):
        pipeline.miss(pipeline.initial_state("other"), missing(0, 1))


def test_ids_of_a_film_are_unique(pipeline):
    _, results = feed(pipeline, wandering(80, 60, seed=9, miss=0.15))
    ids = Counter(event.message_id for result in results for event in result.events)
    assert set(ids.values()) == {1}
    assert {"CellAppeared", "CellLeft", "CellLost", "CellAbnormal"} <= {name.split("/")[3] for name in ids}


@given(seed=st.integers(0, 2**32), order=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_the_order_of_detections_changes_no_event(seed, order):
    pipeline, rng = Pipeline(WatershedConfig().build(), KalmanTracker()), np.random.default_rng(order)
    film, shuffled = wandering(15, 25, seed=seed), []
    for detections in film:
        rows = rng.permutation(len(detections))
        names = ("centroids_px", "boxes_px", "areas_px", "class_probabilities")
        shuffled.append(
            msgspec.structs.replace(detections, **{name: getattr(detections, name)[rows] for name in names})
        )
    assert [r.events for r in feed(pipeline, film)[1]] == [r.events for r in feed(pipeline, shuffled)[1]]


@given(seed=st.integers(0, 2**32), shift_ns=st.integers(0, 10**15))
@settings(max_examples=10, deadline=None)
def test_a_film_at_another_time_has_the_same_events_at_that_time(seed, shift_ns):
    pipeline, film = Pipeline(WatershedConfig().build(), KalmanTracker()), wandering(15, 25, seed=seed)
    later = [
        msgspec.structs.replace(
            detections,
            metadata=msgspec.structs.replace(
                detections.metadata, acquired_at_ns=detections.metadata.acquired_at_ns + shift_ns
            ),
        )
        for detections in film
    ]
    moved = [
        msgspec.structs.replace(
            event,
            happened_at_ns=event.happened_at_ns + shift_ns,
            decided_at_ns=event.decided_at_ns + shift_ns,
        )
        for result in feed(pipeline, film)[1]
        for event in result.events
    ]
    assert moved == [event for result in feed(pipeline, later)[1] for event in result.events]


@given(seed=st.integers(0, 2**32), shift=st.tuples(st.integers(0, 500), st.integers(0, 500)))
@settings(max_examples=10, deadline=None)
def test_a_shifted_film_has_the_same_events_elsewhere(seed, shift):
    """Cells far from every edge, whole pixels, so that no number is rounded otherwise."""
    pipeline, rng = Pipeline(WatershedConfig().build(), KalmanTracker()), np.random.default_rng(seed)
    places = rng.integers(1000, 1400, (25, 2)).astype(float)
    films: tuple[list, list] = ([], [])
    for sequence in range(15):
        places = places + rng.integers(-4, 5, places.shape)
        shown = places[rng.random(len(places)) > 0.1]
        films[0].append(seen(sequence, shown, shape=(3000, 3000)))
        films[1].append(seen(sequence, shown + np.array(shift), shape=(3000, 3000)))
    results = [feed(pipeline, film)[1] for film in films]
    told = [[event for result in part for event in result.events] for part in results]
    assert [event.event_id for event in told[0]] == [event.event_id for event in told[1]]
    for one, other in zip(*told, strict=True):
        if isinstance(one, CellEvent):
            np.testing.assert_allclose(np.subtract(other.centroid_px, one.centroid_px), shift, atol=1e-2)
