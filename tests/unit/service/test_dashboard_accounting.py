"""Whether the page's account of frames comes out even, whatever it hears and in what order."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamcount.service.dashboard.accounting import MOST_PIECES, Ranges, RunFrames
from streamcount.service.dashboard.camera import CameraLive
from streamcount.service.dashboard.health import camera_health
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.views import earlier_runs, summary
from streamcount.types import (
    FramesMissing,
)
from streamcount.wire import encode_event
from tests.liverecords import (
    NOW_NS,
    common,
    counted,
    fed,
    frame,
    record,
)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-2, 12)), max_size=30))
def test_ranges_are_a_set_of_numbers(pieces: list[tuple[int, int]]) -> None:
    ranges, numbers = Ranges(), set()
    for first, length in pieces:
        ranges.add(first, first + length - 1)
        numbers.update(range(first, first + length))
    assert len(ranges) == len(numbers)
    assert (ranges.first, ranges.last) == (min(numbers, default=None), max(numbers, default=None))
    assert all((number in ranges) == (number in numbers) for number in range(-1, 75))
    assert ranges.from_on(20) == sum(number >= 20 for number in numbers)
    pairs = list(ranges.pieces())
    assert all(after[0] > before[1] + 1 for before, after in itertools.pairwise(pairs))


def test_ranges_in_too_many_pieces_forget_the_lowest_and_the_sum_begins_behind() -> None:
    frames = RunFrames("a")
    for sequence in range(0, 2 * MOST_PIECES + 20, 2):
        frames.counted.add(sequence, sequence)
        frames.missing.add(sequence + 1, sequence + 1)
    account = frames.account()
    assert account is not None
    assert account.first > 0
    assert account.difference == 0
    assert account.counted + account.missing == account.through - account.first + 1


def test_frames_with_every_fate_come_out_even_in_any_order_and_however_often_told() -> None:
    told = [
        counted(3), counted(1), counted(0), counted(1),
        FramesMissing(**common(4), last_sequence=6, reason="dropped"),
        FramesMissing(**common(5), last_sequence=6, reason="dropped"),
        FramesMissing(**common(2), last_sequence=2, reason="dead-lettered"),
    ]  # fmt: skip
    camera = fed(*told)
    camera.published("a", 9, 9, live=True)
    account = camera.runs["a"].account()
    assert account is not None
    assert (account.first, account.through, account.published) == (0, 6, 10)
    assert (account.counted, account.missing, account.dead_lettered) == (3, 3, 1)
    assert (account.waiting, account.difference) == (3, 0)


def test_a_frame_of_which_nobody_speaks_is_the_difference() -> None:
    account = fed(counted(0), counted(1), counted(4)).runs["a"].account()
    assert account is not None
    assert account.difference == 2


def test_a_page_started_late_sums_from_what_it_heard_first() -> None:
    account = fed(counted(700), counted(701)).runs["a"].account()
    assert account is not None
    assert (account.first, account.published, account.difference) == (700, 2, 0)
    assert RunFrames("b").account() is None


def runs_of(camera: CameraLive, now_s: float = 100.0) -> list[tuple[str, bool, int, int, int, bool]]:
    return [
        (one.run_id, one.ended, one.published, one.waiting, one.difference, lasts)
        for one, lasts in earlier_runs(camera, now_s)
    ]


def test_frames_of_an_ended_run_stay_in_the_account() -> None:
    model = LiveModel()
    for sequence in range(10):
        model.take(frame(sequence), 0.0, NOW_NS)
    for sequence in (0, 1, 3, 4):
        model.take(record("counts", encode_event(counted(sequence))), 0.0, NOW_NS)
    # The next run is sent, and waits: nothing of the first is lost yet.
    model.take(frame(0, "b"), 1.0, NOW_NS)
    with model.reading() as cameras:
        camera = cameras["scope-1"]
        now = summary(camera, 1.0, NOW_NS)
        assert now.account is not None
        assert (now.run_id, now.account.waiting, now.account.difference) == ("a", 5, 1)
        assert runs_of(camera) == []
    model.take(record("counts", encode_event(counted(0, "b"))), 1.0, NOW_NS)
    with model.reading() as cameras:
        camera = cameras["scope-1"]
        assert runs_of(camera, 2.0) == [("a", True, 10, 0, 6, False)]
        assert summary(camera, 2.0, NOW_NS).unaccounted_before == 0
        assert runs_of(camera, 6.0) == [("a", True, 10, 0, 6, True)]
        assert summary(camera, 6.0, NOW_NS).unaccounted_before == 6
        health = camera_health(camera, 6.0, NOW_NS)
        assert [one.account.run_id for one in health.earlier] == ["a"]
    for run_id in ("c", "d", "e"):
        model.take(record("counts", encode_event(counted(0, run_id))), 7.0, NOW_NS)
    with model.reading() as cameras:
        camera = cameras["scope-1"]
        assert (camera.forgotten.runs, camera.forgotten.published, camera.forgotten.difference) == (1, 10, 6)
        assert [one[0] for one in runs_of(camera)] == ["d", "c", "b"]
        assert summary(camera, 7.0, NOW_NS).unaccounted_before == 6


def test_a_run_of_which_nothing_was_counted_is_the_difference_once_a_later_one_is() -> None:
    model = LiveModel()
    for sequence in (5, 6, 7):
        model.take(frame(sequence, "lost"), 0.0, NOW_NS)
    model.take(frame(0, "b"), 1.0, NOW_NS)
    with model.reading() as cameras:
        assert runs_of(cameras["scope-1"]) == []
    model.take(record("counts", encode_event(counted(0, "b"))), 2.0, NOW_NS)
    with model.reading() as cameras:
        assert [one[:5] for one in runs_of(cameras["scope-1"])] == [("lost", True, 3, 0, 3)]


def test_the_last_frame_of_a_run_before_anybody_listened_is_no_loss() -> None:
    model = LiveModel()
    old = frame(99, "old")
    old = Taken(old.topic, 0, 0, old.key, old.value, old.headers, old.captured_at_ms, live=False)
    model.take(old, 0.0, NOW_NS)
    model.take(frame(0, "b"), 1.0, NOW_NS)
    model.take(record("counts", encode_event(counted(0, "b"))), 2.0, NOW_NS)
    with model.reading() as cameras:
        assert runs_of(cameras["scope-1"]) == []
