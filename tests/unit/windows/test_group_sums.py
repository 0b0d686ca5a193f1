"""Groups over windows of known cells: what is summed, when it is told, and what came too late."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.detection import WatershedConfig
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanTracker
from streamcount.types import WindowClosed
from streamcount.types.figures import CAMERAS_ONLY, FIGURES
from streamcount.windows import ChamberConfig, WindowConfig, WindowsSetup
from streamcount.windows.figures import Key, Rule, figures_of
from streamcount.windows.groups import Group, GroupState, gather, relieve
from streamcount.windows.groups.total import sums_told, total_of
from streamcount.wire import arrays
from tests.films import MODEL, SECOND_NS, living, seen, wandering
from tests.groupfilms import window

S = SECOND_NS
AB = Group("plate", ("a", "b"), wait_ns=20 * S)
MARKED = msgspec.structs.replace(MODEL, dead=("odd",), mitotic=("round",))


def of_film(film, camera="a", *, pixel_size_um=0.5, run_id="run-1", chamber=None, length_s=10):
    """The final windows of a film, as the camera of this name tells them."""
    windows = WindowsSetup({"ten": WindowConfig(length_s=length_s, grace_frames=2)}, chamber)
    pipeline = Pipeline(WatershedConfig().build(), KalmanTracker(), windows=windows)
    state, told = pipeline.initial_state(camera), []
    for detections in film:
        meta = msgspec.structs.replace(
            detections.metadata, camera_id=camera, run_id=run_id, pixel_size_um=pixel_size_um
        )
        detections = msgspec.structs.replace(
            detections, metadata=meta, model=MARKED, foreground_fraction=0.2 if camera == "a" else 0.4
        )
        state, result = pipeline.advance(state, detections)
        told += [event for event in result.events if isinstance(event, WindowClosed)]
    return told + [event for event in pipeline.finish(state)[1].events if isinstance(event, WindowClosed)]


def run(windows, group=AB, *, state=None):
    state, told = state or GroupState(), []
    for one in windows:
        state, events = gather(state, one, group)
        told += events
    return state, told


def value(closed, name, zone="", class_name=""):
    found = [f for f in closed.figures if (f.name, f.zone, f.class_name) == (name, zone, class_name)]
    return found[0].value if found else None


def facts(told):
    """(number of the window, complete, reasons, members, missing) of each."""
    return [
        (one.window_start_ns // S // 10, one.complete, one.reasons, one.members, one.members_missing)
        for one in told
    ]


@pytest.mark.parametrize("film", [wandering(45, 9, 3), living(45, 12, 4)], ids=["wandering", "living"])
def test_all_figures_of_a_window_follow_from_what_adds_in_it(film):
    windows = of_film(film, chamber=ChamberConfig(depth_um=100))
    told = {figure.name for one in windows for figure in one.figures}
    assert told - CAMERAS_ONLY == set(FIGURES) - CAMERAS_ONLY - {
        "dwell_s", "dwell_total_s", "crossings_forward", "crossings_backward"
    }  # fmt: skip
    for one in windows:
        known = tuple(figure for figure in one.figures if figure.name not in CAMERAS_ONLY)
        assert figures_of(sums_told(one), Rule()) == known


def test_a_group_is_the_sum_of_its_cameras_with_fractions_and_intervals_of_the_whole():
    chamber = ChamberConfig(depth_um=100, dilution=2)
    few = of_film([seen(i, [(50, 50), (90, 90)], odd=[0.1, 0.9]) for i in range(25)], chamber=chamber)
    many = of_film(
        [seen(i, [(40, 40 * k) for k in range(1, 9)], odd=0.1) for i in range(25)], "b", chamber=chamber
    )
    _, [first, *_] = run([few[0], many[0]])
    assert (first.camera_id, first.run_id, first.members, first.complete) == (
        "plate",
        "group",
        ("a", "b"),
        True,
    )
    assert first.frames == 20
    assert value(first, "cells") == 2 + 8
    assert value(first, "dead_cells") == 1
    assert value(first, "viability") == pytest.approx(0.9)
    assert value(first, "confluence") == pytest.approx(0.3)
    area_mm2 = 2 * (400 * 0.5) ** 2 * 1e-6
    assert value(first, "cells_per_mm2") == pytest.approx(10 / area_mm2)
    assert value(first, "cells_per_ml") == pytest.approx(2 * 10 / (area_mm2 * 0.1 * 1e-3))
    [viability] = [f for f in first.figures if f.name == "viability"]
    # Wilson's interval of 9 in 10.
    assert (viability.low, viability.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    for name in ("cells", "exits", "deaths", "appeared"):
        for class_name in ("", "round", "odd"):
            both = value(few[0], name, "", class_name) + value(many[0], name, "", class_name)
            assert value(first, name, "", class_name) == both


def test_what_only_some_cameras_tell_makes_no_ratio_of_the_whole():
    film = [seen(i, [(50, 50), (90, 90)]) for i in range(25)]
    known, unknown = of_film(film), of_film(film, "b", pixel_size_um=None)
    _, [closed, *_] = run([known[0], unknown[0]])
    assert value(closed, "cells") == 4
    assert value(closed, "cells_per_mm2") is None
    assert value(closed, "field_mm2") is None
    # The mean size is of those cells whose size is known.
    assert value(closed, "area_um2") == pytest.approx(value(known[0], "area_um2"))


def test_zones_are_summed_by_their_name_over_the_cameras_that_have_them():
    a = window("a", 1, figures=figures_of({Key("exits"): 3.0, Key("exits", "gate"): 1.0}, Rule()))
    b = window("b", 1, figures=figures_of({Key("exits"): 4.0}, Rule()))
    total = total_of({"a": [a], "b": [b]})
    assert total == {Key("exits"): 7.0, Key("exits", "gate"): 1.0}


def test_parts_of_a_cameras_window_are_joined_in_time():
    first = window("a", 1, cells=4.0, told_to_s=12, reasons=("run-ended",), frames=2)
    second = window("a", 1, cells=10.0, run="run-2", reasons=("run-began",), frames=6)
    _, [closed] = run([window("b", 1, cells=1.0), first, second])
    assert closed.reasons == ("run-began", "run-ended")
    assert value(closed, "cells") == pytest.approx(1 + (2 * 4 + 6 * 10) / 8)
    assert value(closed, "cells_variance") == pytest.approx(1 + (2 / 8) ** 2 * 4 + (6 / 8) ** 2 * 10)
    assert (value(closed, "deaths"), closed.frames) == (3, 18)


A, B = "a", "b"
CASES = {
    "both": ([(A, 1), (B, 1)], [(1, True, (), (A, B), ())]),
    "one is not there yet": ([(A, 1), (A, 2)], []),
    "one is silent": (
        [(A, 1), (B, 1), (A, 2), (A, 3), (A, 4)],
        [(1, True, (), (A, B), ()), (2, False, ("members-missing",), (A,), (B,))],
    ),
    "one was not there then, and is now": (
        [(A, 1), (B, 2), (A, 2)],
        [(1, False, ("members-missing",), (A,), (B,)), (2, True, (), (A, B), ())],
    ),
    "one comes back too late for two": (
        [(A, 1), (A, 2), (A, 3), (A, 4), (B, 1), (B, 2), (B, 3), (B, 4)],
        [
            (1, False, ("members-missing",), (A,), (B,)),
            (2, False, ("members-missing",), (A,), (B,)),
            (3, False, ("late-members",), (A, B), ()),
            (4, True, (), (A, B), ()),
        ],
    ),
}


@pytest.mark.parametrize(("order", "wanted"), CASES.values(), ids=CASES.keys())
def test_a_window_is_told_when_all_are_past_it_or_have_been_waited_for(order, wanted):
    _, told = run([window(camera, number) for camera, number in order])
    assert facts(told) == wanted
    assert all(one.event_id == f"plate/group/{one.window_end_ns // 10**6}/WindowClosed/"
               f"ten/{one.window_start_ns}/final" for one in told)  # fmt: skip


def test_what_came_too_late_is_told_by_the_next_window_and_counted_in_none():
    late = [(A, 1), (A, 2), (A, 3), (B, 1), (B, 2), (B, 3)]
    _, told = run([window(camera, number) for camera, number in late])
    assert [(one.late_members, one.late_frames, one.frames) for one in told] == [
        ((), 0, 10),
        (("b",), 10, 20),
        ((), 0, 20),
    ]


def test_a_run_that_ends_in_a_window_does_not_hold_it_longer_than_the_wait():
    cut = window("b", 1, told_to_s=14, reasons=("run-ended",), frames=4)
    _, told = run([cut, window("a", 1), window("a", 2), window("a", 3)])
    assert facts(told) == [(1, False, ("run-ended",), (A, B), ())]
    assert told[0].decided_at_ns == 40 * S


def test_windows_of_one_name_that_were_set_otherwise_are_kept_apart():
    _, told = run([window("a", 2, length_s=5), window("b", 2, length_s=5), window("b", 1), window("a", 1)])
    assert [(one.window_start_ns // S, one.window_end_ns // S, one.members) for one in told] == [
        (10, 15, ("a", "b")),
        (10, 20, ("a", "b")),
    ]
    assert len({one.event_id for one in told}) == 2


def test_others_and_what_is_not_final_or_is_a_groups_change_nothing():
    state, _ = run([window("a", 1)])
    for other in (
        window("c", 1),
        window("b", 1, final=False),
        window("b", 1, members=("x",)),
        window("a", 1),
    ):
        assert gather(state, other, AB) == (state, ())


def test_a_camera_that_is_taken_out_is_not_waited_for_and_not_in_the_sum():
    state, _ = run([window("b", 1)])
    _, told = run([window("a", 1)], Group("plate", ("a",)), state=state)
    assert facts(told) == [(1, True, (), (A,), ())]


def test_films_of_an_earlier_time_are_summed_whole_though_cameras_were_once_far_beyond():
    live = [window(camera, n, run="live") for n in range(5000, 5003) for camera in "ab"]
    film = [window(camera, n, run="film") for n in range(4) for camera in "ab"]
    _, told = run(live + film)
    assert facts(told) == [(n, True, (), (A, B), ()) for n in (5000, 5001, 5002, 0, 1, 2, 3)]


def test_a_camera_whose_clock_was_once_far_ahead_does_not_end_the_wait_for_others():
    group = Group("plate", ("a", "b", "c"), wait_ns=20 * S)
    live = [window(camera, n) for n in range(6) for camera in "ab"]
    _, told = run([window("c", 9_460_800), *live], group)
    assert facts(told) == [(n, False, ("members-missing",), (A, B), ("c",)) for n in range(4)]


THREE = Group("plate", ("a", "b", "c"), wait_ns=20 * S)
YEAR = 3_153_600


def test_a_camera_that_goes_on_with_a_clock_far_ahead_ends_no_wait_before_its_time():
    """c's clock is a year ahead, and b is a window behind a."""
    live = [[window("c", YEAR + n), window("a", n), window("b", n - 1)] for n in range(1, 9)]
    _, told = run([one for each in live for one in each], THREE)
    assert facts([one for one in told if one.window_start_ns < YEAR * S]) == [
        (0, False, ("members-missing",), (B,), ("a", "c")),
        *((n, False, ("members-missing",), (A, B), ("c",)) for n in range(1, 8)),
    ]
    assert all(
        one.members == ("c",) and one.complete is False for one in told if one.window_start_ns >= YEAR * S
    )


def test_that_it_goes_on_ends_the_wait_for_those_that_are_silent():
    ahead = [window("c", YEAR + n) for n in range(5)]
    state, told = run([ahead[0], window("a", 1), *ahead[1:3]], THREE)
    assert [one.members for one in told] == [("c",)]
    # c's first window after a's may have begun before it; two more are the 20 s.
    _, told = run(ahead[3:4], THREE, state=state)
    assert facts(told)[0] == (1, False, ("members-missing",), (A,), (B, "c"))


@pytest.mark.parametrize("there_and_back", [False, True], ids=["leaps once", "leaps each other window"])
def test_a_clock_that_leaps_does_not_end_the_waits_of_others(there_and_back):
    def leaping(n):
        return window("c", n + (YEAR if n > 3 and (n % 2 or not there_and_back) else 0), run=f"run-{n}")

    film = [[window("a", n), leaping(n), window("b", n - 1)] for n in range(1, 12)]
    _, told = run([one for each in film for one in each], THREE)
    here = [one for one in told if one.window_start_ns < YEAR * S]
    assert all({"a", "b"} <= set(one.members) for one in here[1:])
    assert [one.window_start_ns // S // 10 for one in here] == list(range(11))
    assert {one.late_members for one in told} <= {(), ("c",)}


def test_frames_further_apart_than_windows_are_no_leap():
    group = Group("plate", ("a", "b"), wait_ns=500 * S)
    # Of 600 s each: the first step is taken for a leap, the second is the rhythm.
    film = [window("a", 60 * n) for n in range(3)]
    assert run(film[:2], group)[1] == []
    _, told = run(film, group)
    assert facts(told) == [(n, False, ("members-missing",), (A,), (B,)) for n in (0, 60)]


def test_a_film_of_an_earlier_day_is_summed_after_many_windows_of_today_and_told_once():
    def day(first, run_id, numbers):
        return [window(camera, first + n, run=run_id) for n in numbers for camera in "ab"]

    today = day(20_000, "today", [n for n in range(1500) if n % 97])
    film = day(8_640, "film", range(40))
    state, told = run([*today, *film])
    assert facts(told[-40:]) == [(8_640 + n, True, (), (A, B), ()) for n in range(40)]
    # Again, as another run: it was told.
    state, told = run(day(8_640, "again", range(40)), state=state)
    assert told == []
    # And today's go on behind it.
    _, told = run(day(20_000, "later", range(1490, 1503)), state=state)
    assert [one.window_start_ns // S // 10 for one in told] == [21_500, 21_501, 21_502]
    assert told[0].late_members == (A, B)


def test_what_is_relieved_is_told_once_as_it_stands_the_oldest_first():
    state, _ = run([window("a", 1), window("b", 1, told_to_s=14, reasons=("run-ended",)), window("a", 2)])
    state, told = relieve(state, AB)
    assert facts(told) == [(1, False, ("run-ended",), (A, B), ())]
    state, told = relieve(state, AB)
    assert facts(told) == [(2, False, ("members-missing",), (A,), (B,))]
    assert relieve(state, AB) == (state, ())
    _, told = run([window("b", 2, run="run-2"), window("b", 3, run="run-2"), window("a", 3)], state=state)
    assert facts(told) == [(3, False, ("late-members",), (A, B), ())]


def restored(state):
    return arrays.decode(arrays.encode(state), GroupState)


@settings(max_examples=60, deadline=None)
@given(
    order=st.lists(st.sampled_from("abc"), min_size=60, max_size=60),
    repeats=st.sets(st.integers(0, 30), max_size=5),
    cut=st.integers(0, 35),
)
def test_neither_order_nor_repeats_nor_cuts_change_what_is_told_of_cameras_that_all_tell(order, repeats, cut):
    group = Group("plate", ("a", "b", "c"), wait_ns=10_000 * S)
    films = {camera: [window(camera, n, cells=n + ord(camera)) for n in range(10)] for camera in "abc"}
    _, wanted = run([films[camera][n] for n in range(10) for camera in "abc"], group)
    places = dict.fromkeys("abc", 0)
    state, told = GroupState(), []
    for number, camera in enumerate([*order, *"aaaaaaaaaabbbbbbbbbbcccccccccc"]):
        if places[camera] == 10:
            continue
        tells = [films[camera][places[camera]]]
        if number in repeats:
            # A worker that was killed tells from a little before.
            tells = films[camera][max(0, places[camera] - 2) : places[camera] + 1]
        places[camera] += 1
        for one in tells:
            state, events = gather(restored(state) if number == cut else state, one, group)
            told += events
    assert told == wanted
    assert len(told) == 10
    assert all(one.complete for one in told)


def test_its_memory_stays_bounded():
    state, told = run([window(camera, number) for number in range(3000) for camera in "ab"])
    assert len(told) == 3000
    assert len(arrays.encode(state)) < 20_000
    assert run([window("b", 2, run="run-0")], state=state)[1] == []
