"""Silent and late cameras, with a clock that the test owns."""

from __future__ import annotations

import contextlib
import sqlite3

from streamcount.alerts import LatencyRule, LimitRule, SilentRule
from streamcount.service.alerts.waiting import LOOKS, Waiting
from streamcount.service.alerts.watch import CameraWatch
from streamcount.types import CountsUpdated, FramesMissing
from tests.sunk import SECOND_NS, START_NS, at, counts, in_a_store

SILENT = {"silent": SilentRule(after_s=10, severity="critical")}
LATE = {"late": LatencyRule(above_s=5, for_s=3)}
NOBODY_WAITS: dict[int, float] = {}


def said(events):
    return [(event.kind, event.sequence) for event in events]


def hear(watch, sequence, now_s, *, live=True, latency_s=None, camera="scope-1"):
    return watch.heard(counts(sequence, 1, camera), 0, now_s, live=live, latency_s=latency_s)


def test_a_silent_camera_is_told_once_and_its_return_once():
    watch = CameraWatch(SILENT)
    assert hear(watch, 7, 100.0) == []
    assert watch.tick(109.9, NOBODY_WAITS) == []
    stalled, raised = watch.tick(110.0, NOBODY_WAITS)
    assert said([stalled, raised]) == [("CameraStalled", 7), ("AlertRaised", 7)]
    assert stalled.silent_for_ns == 10 * SECOND_NS
    assert (raised.severity, raised.reason, raised.figure) == ("critical", "no frame for 10 s", "silence_s")
    assert raised.decided_at_ns == START_NS + 17 * SECOND_NS
    assert watch.tick(500.0, NOBODY_WAITS) == []
    assert watch.active("silent") == 1
    [cleared] = hear(watch, 8, 501.0)
    assert (cleared.kind, cleared.sequence, cleared.raised_at_ns) == ("AlertCleared", 8, raised.decided_at_ns)
    assert hear(watch, 9, 502.0) == []


def test_a_rule_that_is_taken_away_and_put_back_tells_another_alert_of_the_same_silence(tmp_path):
    topic = []

    def restarted(rules):
        watch = CameraWatch(rules)
        for event in topic:
            watch.recall(event, 0)
        topic.extend(watch.without_rule())
        hear(watch, 7, 0.0, live=False)
        topic.extend(event for event in watch.tick(100.0, NOBODY_WAITS) if event.kind != "CameraStalled")
        return watch

    for rules in (SILENT, LATE, SILENT, LATE, SILENT):
        watch = restarted(rules)
    assert said(topic) == [("AlertRaised", 7), ("AlertCleared", 7)] * 2 + [("AlertRaised", 7)]
    assert len({event.message_id for event in topic}) == len(topic), "or a sink would drop one"
    [cleared] = hear(watch, 8, 101.0)
    store = in_a_store(tmp_path / "store.sqlite", [*topic, cleared])
    with contextlib.closing(sqlite3.connect(store)) as db:
        spans = db.execute(
            "SELECT raised_at_ns, cleared_at_ns FROM alert_spans ORDER BY raised_at_ns"
        ).fetchall()
    begun = START_NS + 17 * SECOND_NS
    assert spans == [(begun, begun), (begun + 1, begun + 1), (begun + 2, cleared.decided_at_ns)]


def test_one_silent_camera_says_nothing_of_another():
    watch = CameraWatch({"silent": SilentRule(after_s=10, cameras=("scope-1", "scope-2"))})
    for camera in ("scope-1", "scope-2", "scope-3"):
        hear(watch, 0, 0.0, camera=camera)
    hear(watch, 1, 9.0, camera="scope-2")
    assert [(event.camera_id, event.kind) for event in watch.tick(12.0, NOBODY_WAITS)] == [
        ("scope-1", "CameraStalled"),
        ("scope-1", "AlertRaised"),
    ]


def test_two_rules_tell_of_one_stall_in_events_that_a_repeat_equals():
    rules = {"page": SilentRule(after_s=60), "mail": SilentRule(after_s=10)}
    watch = CameraWatch(rules)
    hear(watch, 0, 0.0)
    told = watch.tick(20.0, NOBODY_WAITS) + watch.tick(70.0, NOBODY_WAITS)
    assert [getattr(event, "rule", event.kind) for event in told] == ["CameraStalled", "mail", "page"]
    again = CameraWatch(rules)
    hear(again, 0, 3.0)
    assert again.tick(100.0, NOBODY_WAITS) == told


def test_frames_that_wait_are_no_silence():
    watch = CameraWatch(SILENT)
    hear(watch, 0, 100.0)
    # Since 105 s frames wait: the camera was silent for 5 s at most.
    assert watch.tick(200.0, {0: 105.0}) == []
    assert watch.tick(200.0, {1: 105.0}) != []
    other = CameraWatch(SILENT)
    hear(other, 0, 100.0)
    assert said(other.tick(200.0, {0: 199.0})) == [("CameraStalled", 0), ("AlertRaised", 0)]


def test_what_was_raised_before_a_restart_is_not_raised_again_and_is_cleared_by_a_later_frame_only():
    watch = CameraWatch(SILENT)
    hear(watch, 7, 0.0)
    _, raised = watch.tick(20.0, NOBODY_WAITS)
    again = CameraWatch(SILENT)
    again.recall(raised, 0)
    for sequence in (5, 6, 7):
        assert hear(again, sequence, 1.0, live=False) == []
    assert again.tick(100.0, NOBODY_WAITS) == []
    # It came back while nobody watched.
    [cleared] = hear(again, 8, 101.0, live=False)
    third = CameraWatch(SILENT)
    third.recall(raised, 0)
    third.recall(cleared, 0)
    hear(third, 8, 0.0, live=False)
    assert said(third.tick(20.0, NOBODY_WAITS)) == [("CameraStalled", 8), ("AlertRaised", 8)]


def test_another_run_clears_even_where_its_clock_was_set_back():
    watch = CameraWatch(SILENT)
    hear(watch, 7, 0.0)
    watch.tick(20.0, NOBODY_WAITS)
    early = CountsUpdated(
        **{**at(0), "run_id": "run-2", "decided_at_ns": 1},
        counts={},
        total=0,
        confirmed_tracks=0,
        cells_seen=0,
    )
    assert watch.heard(early, 0, 21.0, live=False) == []
    assert said(watch.heard(early, 0, 22.0, live=True)) == []
    later = CountsUpdated(
        **{**at(1), "run_id": "run-2", "decided_at_ns": 2},
        counts={},
        total=0,
        confirmed_tracks=0,
        cells_seen=0,
    )
    assert said(watch.heard(later, 0, 23.0, live=True)) == [("AlertCleared", 1)]


def test_time_in_which_nothing_could_be_heard_is_no_silence():
    watch = CameraWatch(SILENT)
    hear(watch, 7, 0.0)
    watch.pause(8.0)
    assert watch.tick(17.9, NOBODY_WAITS) == []
    assert len(watch.tick(18.0, NOBODY_WAITS)) == 2


def test_repeats_of_a_killed_worker_are_no_sign_of_life():
    watch = CameraWatch(SILENT)
    hear(watch, 7, 0.0)
    assert hear(watch, 6, 9.0) == hear(watch, 7, 9.0) == []
    assert len(watch.tick(10.0, NOBODY_WAITS)) == 2


def test_a_camera_whose_frames_are_all_missing_lives():
    watch = CameraWatch(SILENT)
    hear(watch, 7, 0.0)
    missing = FramesMissing(**at(8), last_sequence=12, reason="dead-lettered")
    assert watch.heard(missing, 0, 9.0, live=True) == []
    [_, raised] = watch.tick(19.0, NOBODY_WAITS)
    assert raised.sequence == 12


def test_late_frames_must_be_late_for_so_long():
    watch = CameraWatch(LATE)
    assert hear(watch, 0, 0.0, latency_s=6.0) == []
    assert hear(watch, 1, 2.0, latency_s=4.0) == []
    assert hear(watch, 2, 3.0, latency_s=6.0) == []
    assert hear(watch, 3, 5.9, latency_s=6.0) == []
    assert hear(watch, 4, 5.9, latency_s=None) == []
    [raised] = hear(watch, 5, 6.0, latency_s=7.25)
    assert (raised.value, raised.limit, raised.figure) == (7.25, 5, "latency_s")
    assert raised.reason == "frames are counted after 7.2 s, above 5 s"
    assert hear(watch, 6, 7.0, latency_s=8.0) == []
    assert said(hear(watch, 7, 8.0, latency_s=5.0)) == [("AlertCleared", 7)]


def test_frames_that_wait_for_a_worker_that_is_gone_are_late():
    watch = CameraWatch(LATE)
    hear(watch, 0, 100.0, camera="sending")
    hear(watch, 0, 10.0, camera="gone-before")
    assert watch.tick(105.0, {0: 101.0}) == []
    assert watch.tick(107.0, {0: 101.0}) == []
    [raised] = watch.tick(110.0, {0: 101.0})
    assert (raised.camera_id, raised.value) == ("sending", 9.0)


def test_alerts_of_others_are_left_alone_and_those_without_a_rule_are_ended():
    watch = CameraWatch(SILENT)
    hear(watch, 7, 0.0)
    _, raised = watch.tick(20.0, NOBODY_WAITS)
    for rules in ({}, {"silent": LatencyRule()}, {"silent": LimitRule(figure="cells", above=1)}):
        again = CameraWatch(rules)
        again.recall(raised, 0)
        [cleared] = again.without_rule()
        assert (cleared.reason, cleared.raised_at_ns) == ("the rule is gone", raised.decided_at_ns)
        assert again.without_rule() == []


def expecting(rules=SILENT, *, now_s=0.0, now_ns=START_NS, cameras=("scope-1",)):
    watch = CameraWatch(rules)
    watch.expect(dict.fromkeys(cameras, 0), now_s, now_ns)
    return watch


def test_a_camera_that_is_expected_and_never_sends_is_silent_from_the_start_on():
    watch = expecting(now_s=100.0)
    assert watch.tick(109.9, NOBODY_WAITS) == []
    [raised] = watch.tick(110.0, NOBODY_WAITS)
    assert (raised.kind, raised.camera_id, raised.run_id) == ("AlertRaised", "scope-1", "unheard")
    assert raised.reason == "no frame for 10 s, nor any before"
    assert (raised.since_ns, raised.decided_at_ns) == (START_NS, START_NS + 10 * SECOND_NS)
    assert watch.tick(500.0, NOBODY_WAITS) == []
    assert (watch.cameras, watch.active("silent")) == (0, 1)
    [cleared] = hear(watch, 0, 501.0)
    assert (cleared.kind, cleared.run_id, cleared.raised_at_ns) == (
        "AlertCleared",
        "run-1",
        raised.decided_at_ns,
    )


def test_one_that_was_never_heard_is_told_once_over_restarts_and_anew_after_it_was_heard():
    [raised] = expecting().tick(20.0, NOBODY_WAITS)
    again = expecting(now_ns=START_NS + 3600 * SECOND_NS)
    again.recall(raised, 0)
    assert again.without_rule() == again.taken_out({0}, configured=True) == []
    assert again.tick(100.0, NOBODY_WAITS) == []
    later = expecting(now_ns=START_NS + 7200 * SECOND_NS)
    later.recall(raised, 0)
    [cleared] = hear(later, 7, 1.0)
    third = expecting(now_ns=START_NS + 90_000 * SECOND_NS)
    third.recall(raised, 0)
    third.recall(cleared, 0)
    # By then nothing of it is read again: another silence, with an id of its own.
    [anew] = third.tick(20.0, NOBODY_WAITS)
    assert anew.event_id != raised.event_id


def test_frames_that_wait_may_be_those_of_one_that_was_never_heard():
    assert expecting().tick(200.0, {0: 5.0}) == []
    late = expecting({**SILENT, **LATE})
    assert late.tick(200.0, {0: 0.5}) == []


def test_a_rule_that_names_cameras_expects_no_others():
    watch = expecting(
        {"silent": SilentRule(after_s=10, cameras=("scope-2",))}, cameras=("scope-1", "scope-2")
    )
    assert [one.camera_id for one in watch.tick(20.0, NOBODY_WAITS)] == ["scope-2"]


def test_a_camera_that_was_taken_out_does_not_ring_for_ever():
    [never] = expecting().tick(20.0, NOBODY_WAITS)
    heard = CameraWatch(SILENT)
    hear(heard, 7, 0.0)
    _, stopped = heard.tick(20.0, NOBODY_WAITS)
    for raised in (never, stopped):
        again = expecting(cameras=("scope-2",))
        again.recall(raised, 3)
        assert again.without_rule() == []
        # The cameras of another partition are another process's to end.
        assert again.taken_out({0}, configured=True) == []
        [cleared] = again.taken_out({0, 3}, configured=True)
        assert (cleared.reason, cleared.raised_at_ns) == ("the camera was taken out", raised.decided_at_ns)
        assert again.partition_of("scope-1") == 3
        assert again.taken_out({0, 3}, configured=True) == []


def test_a_camera_that_no_settings_ever_had_stays_silent_until_it_sends():
    heard = CameraWatch(SILENT)
    hear(heard, 7, 0.0)
    _, raised = heard.tick(20.0, NOBODY_WAITS)
    again = CameraWatch(SILENT)
    again.recall(raised, 0)
    assert again.taken_out({0}, configured=False) == []
    still = expecting(cameras=("scope-2",))
    still.recall(raised, 0)
    hear(still, 7, 0.0, live=False)
    assert still.taken_out({0}, configured=True) == []


def test_an_alert_of_a_camera_that_its_rule_no_longer_names_is_ended():
    [raised] = expecting().tick(20.0, NOBODY_WAITS)
    again = expecting({"silent": SilentRule(after_s=10, cameras=("scope-2",))})
    again.recall(raised, 0)
    [cleared] = again.without_rule()
    assert cleared.reason == "the rule no longer names the camera"


def test_waiting_is_counted_from_the_first_look_that_the_workers_have_not_reached():
    waiting = Waiting()
    waiting.look(1.0, {0: 10, 1: 0}, {0: 10})
    assert waiting.since_s() == {}
    waiting.look(2.0, {0: 15, 1: 0}, {0: 10})
    waiting.look(3.0, {0: 20, 1: 3}, {0: 12})
    assert waiting.since_s() == {0: 2.0, 1: 3.0}
    waiting.look(4.0, {0: 30, 1: 3}, {0: 15, 1: 3})
    assert waiting.since_s() == {0: 3.0}
    waiting.look(5.0, {0: 30, 1: 3}, {0: 30, 1: 3})
    assert waiting.since_s() == {}


def test_what_is_remembered_of_waiting_is_bounded_and_keeps_the_oldest():
    waiting = Waiting()
    for look in range(5 * LOOKS):
        waiting.look(float(look), {0: look + 1}, {})
    assert waiting.since_s() == {0: 0.0}
    assert len(waiting._looks[0]) <= LOOKS
