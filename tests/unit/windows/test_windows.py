"""Windows over films of known cells: what is summed, when it is told, and what makes one incomplete."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.detection import WatershedConfig
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanTracker
from streamcount.types import CellAppeared, FramesMissing, WindowClosed
from streamcount.windows import ChamberConfig, WindowConfig, WindowsSetup
from streamcount.wire import decode_state, encode_state
from tests.films import SECOND_NS, missing, seen, wandering

CELLS = [(100, 100), (200, 200)]
# The films' first frame is acquired at 10 s, one a second.
TEN = {"ten": WindowConfig(length_s=10, grace_frames=3)}


def counting(windows=TEN, **setup) -> Pipeline:
    return Pipeline(WatershedConfig().build(), KalmanTracker(), windows=WindowsSetup(windows, **setup))


def run(pipeline, items, *, finish=True):
    """All windows told of a film, and the state after it."""
    state, told = pipeline.initial_state("cam"), []
    for item in items:
        step = pipeline.miss if isinstance(item, FramesMissing) else pipeline.advance
        state, result = step(state, item)
        told += [event for event in result.events if isinstance(event, WindowClosed)]
    if finish:
        state, result = pipeline.finish(state)
        told += result.events
    return state, told


def with_meta(detections, **changes):
    meta = msgspec.structs.replace(detections.metadata, **changes)
    return msgspec.structs.replace(detections, metadata=meta)


def with_model(detections, **changes):
    return msgspec.structs.replace(detections, model=msgspec.structs.replace(detections.model, **changes))


def value(window, name, zone="", class_name=""):
    [found] = [f for f in window.figures if (f.name, f.zone, f.class_name) == (name, zone, class_name)]
    return found.value


def interval(window, name):
    [found] = [f for f in window.figures if (f.name, f.zone, f.class_name) == (name, "", "")]
    return found.low, found.high


def test_a_window_holds_the_frames_of_its_time_and_is_told_once_when_grace_is_over():
    pipeline = counting()
    state, results = pipeline.initial_state("cam"), []
    for number in range(20):
        state, result = pipeline.advance(state, seen(number, CELLS))
        results += [(number, e) for e in result.events if isinstance(e, WindowClosed)]
    [(number, window)] = results
    # [10 s, 20 s) holds frames 0 to 9; frames 10, 11, 12 are the three of grace.
    assert number == 12
    assert (window.window_start_ns, window.window_end_ns) == (10 * SECOND_NS, 20 * SECOND_NS)
    assert (window.frames, window.complete, window.reasons, window.final) == (10, True, (), True)
    assert value(window, "cells") == value(window, "cells_now") == value(window, "cells_seen") == 2
    assert window.event_id == "cam/run-1/12/WindowClosed/ten/10000000000/final"


def test_the_interval_of_cells_that_stay_is_that_of_one_frames_count():
    _, [window, *_] = run(counting(), [seen(i, CELLS) for i in range(14)])
    # Garwood's interval of 2.
    assert interval(window, "cells") == pytest.approx((0.2422, 7.2247), abs=1e-4)


def test_cells_that_come_and_go_narrow_the_interval():
    spots = [(60, 60), (60, 180), (180, 60), (180, 180), (120, 120)]
    film = [seen(i, [spots[i // 6 % 5]]) for i in range(30)]
    windows = {"half": WindowConfig(length_s=30, grace_frames=0)}
    _, [window, *_] = run(counting(windows), film)
    low, high = interval(window, "cells")
    assert value(window, "cells") == pytest.approx(20 / 20, abs=0.05) or window.frames == 20
    assert high - low < 5.5717 - 0.0253


def test_sliding_windows_overlap_and_each_is_told_once():
    windows = {"slide": WindowConfig(length_s=10, every_s=5, grace_frames=0)}
    _, told = run(counting(windows), [seen(i, CELLS) for i in range(21)])
    spans = [(w.window_start_ns // SECOND_NS, w.window_end_ns // SECOND_NS, w.frames) for w in told]
    assert spans == [(5, 15, 5), (10, 20, 10), (15, 25, 10), (20, 30, 10), (25, 35, 6), (30, 40, 1)]
    assert told[0].reasons == ("run-began",)
    assert [w.reasons for w in told[-2:]] == [("run-ended",)] * 2


@pytest.mark.parametrize("declared", [True, False])
def test_missing_frames_make_their_windows_incomplete_and_are_counted(declared):
    film = [seen(i, CELLS) for i in range(6)]
    lost = msgspec.structs.replace(missing(6, 14), decided_at_ns=25 * SECOND_NS)
    film += [lost] if declared else []
    film += [seen(i, CELLS) for i in range(15, 36)]
    _, told = run(counting(), film)
    assert [(w.frames, w.frames_missing, w.complete) for w in told[:3]] == [
        (6, 4, False),
        (5, 5, False),
        (10, 0, True),
    ]
    assert sum(w.frames + w.frames_missing for w in told) == 36


def test_an_event_that_is_known_after_its_window_is_final_is_told_as_late():
    # Seen in frames 0 to 9 only: lost is told some frames later, of its last sighting.
    film = [seen(i, CELLS if i < 9 else CELLS[:1]) for i in range(34)]
    patient = counting({"ten": WindowConfig(length_s=10, grace_frames=12)})
    hasty = counting({"ten": WindowConfig(length_s=10, grace_frames=0)})
    _, [first, *_] = run(patient, film)
    gone = sum(value(first, name) for name in ("lost", "deaths", "exits"))
    _, told = run(hasty, film)
    assert gone == 1
    assert sum(value(told[0], name) for name in ("lost", "deaths", "exits")) == 0
    assert (told[1].late_events, told[1].reasons, told[1].complete) == (1, ("late-events",), False)
    assert told[0].complete


def test_a_camera_whose_clock_steps_back_loses_no_frame_silently():
    film = [seen(i, CELLS) for i in range(25)]
    back = with_meta(seen(25, CELLS), acquired_at_ns=11 * SECOND_NS)
    _, told = run(counting(), [*film, back, *[seen(i, CELLS) for i in range(26, 40)]])
    assert [w.window_start_ns for w in told] == sorted({w.window_start_ns for w in told})
    assert sum(w.frames + w.late_frames for w in told) == 40
    assert [w.reasons for w in told if w.late_frames] == [("late-frames",)]


def test_a_new_run_closes_the_windows_of_the_old_one_under_its_name():
    film = [seen(i, CELLS) for i in range(5)] + [seen(i, CELLS, run_id="run-2") for i in range(5)]
    _, told = run(counting(), film)
    assert [(w.run_id, w.frames, w.reasons) for w in told] == [
        ("run-1", 5, ("run-ended",)),
        ("run-2", 5, ("run-ended",)),
    ]


def test_windows_are_told_as_they_stand_where_asked():
    windows = {"ten": WindowConfig(length_s=10, grace_frames=0, current_s=4)}
    _, told = run(counting(windows), [seen(i, CELLS) for i in range(12)])
    assert [(w.final, w.frames, w.sequence) for w in told[:4]] == [
        (False, 1, 0), (False, 5, 4), (False, 9, 8), (True, 10, 10)
    ]  # fmt: skip
    assert len({w.message_id for w in told}) == len(told)


def test_cells_that_touch_the_bottom_or_right_edge_do_not_count_in_densities():
    # Boxes of 20 px in an image of 400 x 400.
    places = [(100, 100), (100, 8), (8, 100), (100, 392), (392, 100)]
    film = [with_meta(seen(i, places), pixel_size_um=2.0) for i in range(14)]
    chamber = ChamberConfig(depth_um=100, dilution=2)
    _, [window, *_] = run(counting(chamber=chamber), film)
    height, width = film[0].image_shape
    area_mm2 = height * width * 4e-6
    assert value(window, "cells") == 5
    assert value(window, "cells_counted") == 3
    assert value(window, "cells_per_mm2") == pytest.approx(3 / area_mm2)
    assert value(window, "cells_per_ml") == pytest.approx(2 * 3 / (area_mm2 * 0.1 / 1000))
    low, high = interval(window, "cells_per_ml")
    assert low < value(window, "cells_per_ml") < high


def test_where_whole_cells_count_each_stands_for_those_that_the_edges_cut():
    # Boxes of 20 px in an image of 400 x 400, of which the first alone is whole.
    places = [(100, 100), (100, 8), (8, 100), (100, 392), (392, 100)]
    film = [with_meta(seen(i, places), pixel_size_um=2.0) for i in range(14)]
    _, [window, *_] = run(counting(edges="whole-cells"), film)
    height, width = film[0].image_shape
    counted = (400 / 370) ** 2
    assert value(window, "cells_counted") == pytest.approx(counted)
    assert value(window, "cells_per_mm2") == pytest.approx(counted / (height * width * 4e-6))


def test_a_bad_picture_is_counted_and_told():
    film = [seen(i, CELLS) for i in range(14)]
    film[3] = msgspec.structs.replace(film[3], quality=("out-of-focus",))
    _, [window, *_] = run(counting(), film)
    assert (window.frames, window.frames_flagged, window.reasons) == (10, 1, ("bad-picture",))


def test_fractions_follow_from_the_classes_that_the_model_marks():
    film = [seen(i, CELLS, odd=[0.1, 0.9]) for i in range(14)]
    film = [with_model(d, dead=("odd",), mitotic=("round",)) for d in film]
    _, [window, *_] = run(counting(), film)
    assert value(window, "viability") == value(window, "mitotic_index") == 0.5
    # Wilson's interval of 1 in 2.
    assert interval(window, "viability") == pytest.approx((0.0945, 0.9055), abs=1e-4)


def test_a_cell_that_was_of_a_class_for_a_while_makes_a_share_that_is_surer_than_of_one_that_always_was():
    places = [(100, 100), (200, 200), (300, 100), (100, 300)]
    # In the window from 40 s the first is odd throughout, or all are, one after the other, for 16 to 4 frames.
    always = [seen(i, places, odd=[0.95, 0.05, 0.05, 0.05]) for i in range(75)]
    whose = np.searchsorted([46, 58, 66], np.arange(75), side="right")
    by_turns = [seen(i, places, odd=np.where(np.arange(4) == whose[i], 0.95, 0.05)) for i in range(75)]
    windows = {"forty": WindowConfig(length_s=40, grace_frames=3)}
    shown = []
    for film in (always, by_turns):
        _, told = run(counting(windows), [with_model(d, mitotic=("odd",)) for d in film])
        shown.append(next(window for window in told if window.frames == 40))
    for window in shown:
        assert value(window, "mitotic_index") == pytest.approx(0.25, abs=0.05)
    assert value(shown[0], "mitotic_variance") == pytest.approx(value(shown[0], "mitotic_cells"), rel=0.2)
    # 0.4, 0.3, 0.2 and 0.1, squared and added.
    assert value(shown[1], "mitotic_variance") == pytest.approx(0.3, rel=0.05)
    widths = [high - low for low, high in (interval(window, "mitotic_index") for window in shown)]
    assert widths[1] < 0.6 * widths[0]


def test_the_mean_size_of_cells_has_an_interval():
    film = [with_meta(seen(i, CELLS), pixel_size_um=0.5) for i in range(14)]
    film = [msgspec.structs.replace(d, areas_px=np.array([300, 420], np.float32)) for d in film]
    _, [window, *_] = run(counting(), film)
    assert value(window, "area_um2") == pytest.approx(90)
    # Two cells that stay, 75 and 105 µm2: 90 +- 12.706 x 15.
    assert interval(window, "area_um2") == pytest.approx((0, 90 + 12.706 * 15), rel=1e-3)


def test_a_model_that_changes_within_a_run_closes_what_was_open():
    film = [seen(i, CELLS) for i in range(14)]
    film[5:] = [with_model(d, sha256="other") for d in film[5:]]
    _, told = run(counting(), film)
    assert [(w.frames, w.complete, w.reasons) for w in told] == [
        (5, False, ("settings-changed",)),
        (5, False, ("settings-changed",)),
        (4, False, ("run-ended",)),
    ]


def test_windows_of_another_length_begin_anew_and_none_of_both_is_called_complete():
    film = [seen(i, CELLS) for i in range(32)]
    before, after = counting(), counting({"ten": WindowConfig(length_s=5, grace_frames=3)})
    state, told = run(before, film[:14], finish=False)
    for detections in film[14:]:
        state, result = after.advance(state, detections)
        told += [event for event in result.events if isinstance(event, WindowClosed)]
    told += after.finish(state)[1].events
    assert sum(w.frames for w in told) == 32
    cut = [w for w in told if "settings-changed" in w.reasons]
    assert [(w.window_start_ns // SECOND_NS, w.frames) for w in cut] == [(20, 4), (20, 1)]
    assert not any(w.complete for w in cut)


@pytest.mark.parametrize("declared", [True, False])
def test_frames_lost_before_the_first_one_counted_are_told(declared):
    film = [missing(0, 4)] if declared else []
    _, [window, *_] = run(counting(), [*film, *[seen(i, CELLS) for i in range(5, 14)]])
    assert (window.frames, window.frames_missing) == (5, 5)
    assert "frames-missing" in window.reasons


def test_windows_of_a_camera_whose_every_frame_is_lost_are_told_and_let_go():
    state, told = run(counting(), [seen(0, CELLS), *[missing(i, i) for i in range(1, 300)]], finish=False)
    assert len(state.windows.windows) <= 3
    assert sum(w.frames_missing for w in told) >= 270
    assert sum(w.frames for w in told) == 1


def test_one_time_from_the_future_closes_nothing_early_and_dates_nothing():
    film = [seen(i, CELLS) for i in range(40)]
    film[5] = with_meta(film[5], acquired_at_ns=10**15)
    _, told = run(counting(), film)
    [first, *_] = told
    assert (first.window_start_ns, first.frames) == (10 * SECOND_NS, 9)
    assert [w.decided_at_ns for w in told if w.window_start_ns < 10**15] == sorted(
        {w.decided_at_ns for w in told if w.window_start_ns < 10**15}
    )
    assert max(w.decided_at_ns for w in told) < 10**15
    assert value(first, "cells_seen") == 2


def test_a_frame_out_of_order_makes_no_cell_two():
    order = [*range(9), 11, 9, 10, *range(12, 30)]
    film = [with_meta(seen(i, CELLS), acquired_at_ns=(10 + t) * SECOND_NS) for i, t in enumerate(order)]
    _, [window, *_] = run(counting(), film)
    assert (window.frames, value(window, "cells_seen")) == (10, 2)
    assert interval(window, "cells") == pytest.approx((0.2422, 7.2247), abs=1e-4)


def test_no_windows_are_told_where_none_are_set():
    _, told = run(counting({}), [seen(i, CELLS) for i in range(14)])
    assert told == []


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [({"length_s": 10, "every_s": 20}, "lower it"), ({"length_s": 100, "every_s": 1}, "raise every_s")],
)
def test_windows_that_leave_gaps_or_overlap_too_often_are_refused(wrong, remedy):
    with pytest.raises(ValueError, match=remedy):
        WindowConfig(**wrong)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cut=st.integers(0, 39),
    length=st.sampled_from([3, 7, 10]),
    every=st.sampled_from([1, 3]),
)
def test_windows_conserve_frames_and_events_and_cutting_the_run_changes_nothing(seed, cut, length, every):
    sliding = WindowConfig(length_s=3 * every, every_s=every)
    pipeline = counting({"any": WindowConfig(length_s=length, grace_frames=0), "slide": sliding})
    film = wandering(8, 40, seed=seed)
    _, whole = run(pipeline, film)
    state, told, appeared = pipeline.initial_state("cam"), [], 0
    for number, detections in enumerate(film):
        if number == cut:
            state = decode_state(encode_state(state))
        state, result = pipeline.advance(state, detections)
        told += [event for event in result.events if isinstance(event, WindowClosed)]
        appeared += sum(isinstance(e, CellAppeared) and not e.parent_id for e in result.events)
    told += pipeline.finish(state)[1].events
    assert told == whole
    tumbling = [w for w in told if w.window == "any"]
    assert sum(w.frames for w in tumbling) == len(film)
    counted = sum(value(w, "entries") + value(w, "appeared") for w in tumbling) + sum(
        w.late_events for w in tumbling
    )
    assert counted >= appeared
    mean = sum(value(w, "cells") * w.frames for w in tumbling if w.frames) / len(film)
    assert mean == pytest.approx(np.mean([len(d) for d in film]))
