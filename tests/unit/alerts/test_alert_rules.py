"""Rules over hand-made windows."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from streamcount.alerts import (
    AlertRule,
    AlertsState,
    JumpRule,
    LatencyRule,
    LimitRule,
    SilentRule,
    check_rules,
    evaluate,
    spans,
)
from streamcount.errors import ConfigurationError
from streamcount.types import AlertAcknowledged, Figure, WindowClosed
from streamcount.types.figures import FIGURES, PLACES_ONLY, WINDOW_FIGURES
from streamcount.wire import arrays

S = 10**9
RAISED, CLEARED = "AlertRaised", "AlertCleared"


def window(i, value=None, *, name="w", run="run-1", low=None, high=None, step_s=10, **more):
    """The i-th window of 10 s; its frame is the i-th as well."""
    figures = () if value is None else (Figure(name="cells", value=value, low=low, high=high),)
    given = {
        "camera_id": "cam", "run_id": run, "sequence": i, "window": name, "final": True, "complete": True,
        "frames": 10,
        "happened_at_ns": i * step_s * S, "decided_at_ns": (i * step_s + 10) * S,
        "window_start_ns": i * step_s * S, "window_end_ns": (i * step_s + 10) * S, "figures": figures,
    }  # fmt: skip
    return WindowClosed(**{**given, **more})


def told(windows, rules, state=None):
    """(number of the window, kind, rule) of each event; the state is stored and restored after each window."""
    state, every = state or AlertsState(), []
    for i, one in enumerate(windows):
        state, events = evaluate(state, one, rules)
        state = arrays.decode(arrays.encode(state), AlertsState)
        every += [(i, event.kind, event.rule) for event in events]
    return every


def of(rule, values, **more):
    windows = [window(i, value, **more) for i, value in enumerate(values)]
    return [(i, kind) for i, kind, _ in told(windows, {"rule": rule})]


@pytest.mark.parametrize(
    ("rule", "values", "wanted"),
    [
        pytest.param({"above": 100}, [100, 101, 150, 100], [(1, RAISED), (3, CLEARED)], id="above"),
        pytest.param({"below": 0.5}, [0.5, 0.4, 0.5], [(1, RAISED), (2, CLEARED)], id="below"),
        pytest.param(
            {"above": 100, "clear_at": 80}, [101, 90, 101, 81, 80, 90], [(0, RAISED), (4, CLEARED)], id="hysteresis"
        ),
        pytest.param({"below": 10, "for_s": 20}, [5, 11, 5, 5, 5], [(3, RAISED)], id="for"),
        pytest.param({"below": 1, "for_s": 30}, [0, 0, None, 0], [(3, RAISED)], id="a missing figure is no time"),
        pytest.param({"above": 1}, [2, None, math.nan, 0], [(0, RAISED), (3, CLEARED)], id="nothing is known"),
        pytest.param({"above": 1}, [math.inf, 0], [(0, RAISED), (1, CLEARED)], id="infinite"),
    ],
)  # fmt: skip
def test_limits(rule, values, wanted):
    assert of(LimitRule(figure="cells", **rule), values) == wanted


def test_sure_asks_for_the_whole_interval_and_takes_a_figure_without_one_as_exact():
    rules = {"many": LimitRule(figure="cells", above=100, sure=True)}
    film = [
        window(0, 110, low=95, high=125),
        window(1, 130, low=105, high=150),
        window(2, 99),
        window(3, 101),
    ]
    assert told(film, rules) == [(1, RAISED, "many"), (2, CLEARED, "many"), (3, RAISED, "many")]
    few = {"few": LimitRule(figure="cells", below=100, sure=True)}
    assert told([window(0, 90, low=80, high=101), window(1, 90, low=80, high=99)], few) == [
        (1, RAISED, "few")
    ]


def test_windows_that_are_cut_short_are_judged_only_where_the_rule_says_so():
    cut = {"complete": False, "reasons": ("run-began",)}
    film = [window(0, 200, **cut), window(1, 200), window(2, 1, **cut)]
    assert told(film, {"many": LimitRule(figure="cells", above=100)}) == [(1, RAISED, "many")]
    every = {"many": LimitRule(figure="cells", above=100, incomplete=True)}
    assert told(film, every) == [(0, RAISED, "many"), (2, CLEARED, "many")]


def test_a_window_may_lack_a_tenth_of_its_frames():
    rules = {"many": LimitRule(figure="cells", above=100)}
    lacking = {"complete": False, "reasons": ("frames-missing",), "frames": 18}
    film = [window(0, 200, **lacking, frames_missing=3), window(1, 200, **lacking, frames_missing=2)]
    assert told(film, rules) == [(1, RAISED, "many")]


def test_what_a_window_says_of_itself_is_known_in_incomplete_ones_too():
    rules = {
        "blurred": LimitRule(figure="flagged_fraction", above=0.2),
        "lossy": LimitRule(figure="frames_missing", above=0),
    }
    film = [
        window(0, frames_flagged=3, frames_missing=1, complete=False),
        window(1, frames_flagged=2),
        window(2, frames=0, frames_missing=4, complete=False),
    ]
    assert told(film, rules) == [
        (0, RAISED, "blurred"),
        (0, RAISED, "lossy"),
        (1, CLEARED, "blurred"),
        (1, CLEARED, "lossy"),
        (2, RAISED, "lossy"),
    ]


def test_a_gap_between_windows_counts_for_nothing_and_overlap_once():
    rule = LimitRule(figure="cells", above=1, for_s=30)
    assert told([window(0, 2), window(1000, 2), window(1001, 2)], {"r": rule}) == [(2, RAISED, "r")]
    # Windows of 10 s every 5 s: 10 s, 15, 20, 25, 30.
    assert of(rule, [2] * 6, step_s=5) == [(4, RAISED)]


def test_other_windows_and_those_that_are_not_final_change_nothing():
    rules = {"many": LimitRule(figure="cells", above=1, window="w")}
    state = AlertsState()
    for other in (window(0, 5, name="other"), window(1, 5, final=False)):
        state, events = evaluate(state, other, rules)
        assert (state.entries, events) == ((), ())


def test_an_alert_outlives_a_run_of_the_camera():
    rules = {"many": LimitRule(figure="cells", above=1)}
    film = [window(0, 2), window(0, 2, run="run-2"), window(1, 0, run="run-2")]
    assert told(film, rules) == [(0, RAISED, "many"), (2, CLEARED, "many")]


def test_several_windows_closed_by_one_frame_tell_no_two_events_of_one_id():
    rules = {"many": LimitRule(figure="cells", above=1)}
    film = [window(i, value, sequence=7) for i, value in enumerate((2, 0, 2, 0, 2, 0))] + [window(8, 0)]
    state, ids = AlertsState(), []
    for one in film:
        state, events = evaluate(state, one, rules)
        ids += [event.event_id for event in events]
    assert ids == ["cam/run-1/7/AlertRaised/many", "cam/run-1/8/AlertCleared/many"]


def test_an_inhibited_rule_is_raised_when_the_other_is_cleared():
    rules = {
        "a": LimitRule(figure="cells", above=10, inhibited_by=("m",)),
        "m": LimitRule(figure="cells", above=15, inhibited_by=("z",)),
        "z": LimitRule(figure="cells", above=20),
    }
    assert told([window(i, value) for i, value in enumerate((30, 12, 30, 5))], rules) == [
        (0, RAISED, "z"),
        (1, CLEARED, "z"),
        (1, RAISED, "a"),
        (2, RAISED, "z"),
        (3, CLEARED, "z"),
        (3, CLEARED, "a"),
    ]


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        ({}, "the rule is gone"),
        ({"many": LimitRule(figure="deaths", above=1)}, "the rule watches something else now"),
        ({"many": SilentRule()}, "the rule is gone"),
    ],
)
def test_an_alert_whose_rule_is_no_more_is_cleared_once(later, reason):
    state, [raised] = evaluate(AlertsState(), window(0, 2), {"many": LimitRule(figure="cells", above=1)})
    state, [event] = evaluate(state, window(1, 2), later)
    assert (event.kind, event.reason, event.raised_at_ns) == (CLEARED, reason, raised.decided_at_ns)
    assert evaluate(state, window(2, 2), later)[1] == ()


def test_the_event_says_what_was_watched():
    rules = {"crowded": LimitRule(figure="cells", above=8, for_s=20, severity="critical")}
    state, _ = evaluate(AlertsState(), window(3, 9), rules)
    _, [event] = evaluate(state, window(4, 9.25), rules)
    assert (event.severity, event.figure, event.value, event.limit) == ("critical", "cells", 9.25, 8)
    assert event.reason == "cells is 9.25, above 8"
    assert (event.sequence, event.since_ns, event.happened_at_ns) == (4, 30 * S, 50 * S)


def test_the_reason_names_zone_and_class():
    figure = Figure(name="cells", value=14.5, zone="well", class_name="red")
    rules = {"crowded": LimitRule(figure="cells", above=5, zone="well", class_name="red")}
    _, [event] = evaluate(AlertsState(), window(0, figures=(figure,)), rules)
    assert event.reason == "cells of red in well is 14.5, above 5"


@pytest.mark.parametrize(
    ("rule", "values", "wanted"),
    [
        pytest.param({"factor": 2}, [10] * 4 + [19, 20, 10], [(5, RAISED), (6, CLEARED)], id="up by a factor"),
        pytest.param({"factor": 2}, [10] * 4 + [5, 10], [(4, RAISED), (5, CLEARED)], id="down by a factor"),
        pytest.param({"factor": 2, "direction": "up"}, [10] * 4 + [1, 10], [], id="only up"),
        pytest.param({"factor": 2}, [10, 10, 10, 90], [], id="too early"),
        pytest.param({"factor": 2}, [10] * 8 + [1000, 10], [(8, RAISED), (9, CLEARED)], id="a spike is one jump"),
        pytest.param({"factor": 2, "over": 4}, [10] * 4 + [30] * 4, [(4, RAISED), (6, CLEARED)], id="a step"),
        pytest.param({"factor": 2, "least_change": 3}, [0] * 4 + [2, 3], [(5, RAISED)], id="of nothing"),
        pytest.param({"sigmas": 4, "least_change": 1}, [9, 10, 11] * 2 + [15, 17, 9], [(7, RAISED), (8, CLEARED)]),
        pytest.param({"sigmas": 4, "least_change": 1}, [10] * 6 + [10.9, 11], [(7, RAISED)], id="no spread"),
    ],
)  # fmt: skip
def test_jumps(rule, values, wanted):
    assert of(JumpRule(figure="cells", **rule), values) == wanted


def test_what_is_usual_is_learnt_anew_in_another_run_and_is_bounded():
    rules = {"jump": JumpRule(figure="cells", factor=2, over=5, first=3)}
    film = [window(i, 10.0) for i in range(20)]
    state = AlertsState()
    for one in film:
        state, _ = evaluate(state, one, rules)
    assert len(state.entries[0].history) == 5
    assert told([window(i, 100.0, run="run-2") for i in range(5)], rules, state) == []


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.floats(0, 5), st.booleans(), st.integers(0, 1)), max_size=40),
    st.floats(0, 40),
)
def test_raised_and_cleared_take_turns_and_ids_are_unique(steps, for_s):
    rules = {
        "a": LimitRule(figure="cells", above=3, clear_at=2, for_s=for_s),
        "b": LimitRule(figure="cells", below=1, inhibited_by=("a",)),
        "c": JumpRule(figure="cells", factor=1.5, over=4, first=2),
    }
    state, every, sequence = AlertsState(), [], 0
    for i, (value, complete, more) in enumerate(steps):
        sequence += more
        state, events = evaluate(state, window(i, value, complete=complete, sequence=sequence), rules)
        every += events
    assert len({event.event_id for event in every}) == len(every)
    for name in rules:
        kinds = [event.kind for event in every if event.rule == name]
        assert kinds == [(RAISED, CLEARED)[n % 2] for n in range(len(kinds))]
    lasting = {one.raised.rule for one in spans(every) if one.cleared is None}
    assert lasting == {entry.rule for entry in state.entries if entry.raised}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "limit", "figure": "cells"}, "exactly one of above and below"),
        ({"kind": "limit", "figure": "cells", "above": 1, "below": 0}, "exactly one"),
        ({"kind": "limit", "figure": "cells", "above": 1, "clear_at": 2}, "good side"),
        ({"kind": "limit", "figure": "cells", "below": 1, "clear_at": 0}, "good side"),
        ({"kind": "limit", "figure": "cells", "above": math.nan}, "finite"),
        ({"kind": "jump", "figure": "cells"}, "exactly one of factor and sigmas"),
        ({"kind": "jump", "figure": "cells", "sigmas": 3}, "least_change"),
        ({"kind": "jump", "figure": "cells", "factor": 2, "first": 20}, "first cannot exceed over"),
        ({"kind": "jump", "figure": "cells", "factor": 1}, "greater than 1"),
        ({"kind": "silent", "after_s": 0}, "greater than 0"),
        ({"kind": "louder"}, "limit"),
    ],
)
def test_foolish_rules_are_refused(table, words):
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(AlertRule).validate_python(table)


def test_a_class_is_called_class_in_the_configuration():
    rule = TypeAdapter(AlertRule).validate_python(
        {"kind": "limit", "figure": "cells", "class": "dead", "above": 1}
    )
    assert rule.class_name == "dead"


@pytest.mark.parametrize(
    ("rule", "windows", "words"),
    [
        (LimitRule(figure="viabilty", below=1), {"w"}, r"alerts.r.figure = 'viabilty' .*'viability'"),
        (LimitRule(figure="cells", above=1, zone="lft"), {"w"}, r"alerts.r.zone.*'left'"),
        (LimitRule(figure="cells", above=1, class_name="dad"), {"w"}, r"alerts.r.class.*'dead'"),
        (LimitRule(figure="cells", above=1, window="minut"), {"minute"}, r"alerts.r.window.*'minute'"),
        (LimitRule(figure="cells", above=1), {"hour", "minute"}, r"alerts.r.window is missing.*hour, minute"),
        (LimitRule(figure="cells", above=1), set(), r"alerts.r.window.*add one"),
        (LimitRule(figure="frames_missing", above=1, zone="left"), {"w"}, r"leave them out"),
        (LimitRule(figure="confluence", above=1, zone="left"), {"w"}, r"whole field only; leave the zone out"),
        (LimitRule(figure="dwell_s", above=1), {"w"}, r"alerts.r.zone is missing"),
        (LimitRule(figure="viability", below=1, class_name="dead"), {"w"}, r"all classes together; leave it"),
        (JumpRule(figure="cells", factor=2, inhibited_by=("silent",)), {"w"}, r"of kind silent"),
        (JumpRule(figure="cells", factor=2, inhibited_by=("nobody",)), {"w"}, r"inhibited_by = 'nobody'"),
        (JumpRule(figure="cells", factor=2, inhibited_by=("other",)), {"w"}, r"leads back"),
    ],
)  # fmt: skip
def test_rules_that_name_what_is_not_there_are_refused_with_the_remedy(rule, windows, words):
    rules = {
        "r": rule,
        "silent": SilentRule(),
        "late": LatencyRule(),
        "other": LimitRule(figure="cells", above=1, window=next(iter(windows), ""), inhibited_by=("r",)),
    }
    with pytest.raises(ConfigurationError, match=words):
        check_rules(rules, windows, {"left"}, {"cell", "dead"})


def test_good_rules_pass_and_every_figure_may_be_watched():
    rules = {
        name: LimitRule(figure=name, above=1, zone="left" if name in PLACES_ONLY else "")
        for name in (*FIGURES, *WINDOW_FIGURES)
    }
    check_rules({**rules, "silent": SilentRule()}, {"w"}, {"left"})
    check_rules({"silent": SilentRule(), "late": LatencyRule()}, set(), set())


@pytest.mark.parametrize("over", [2, 3, 4, 5, 12])
@pytest.mark.parametrize("overlapping", [1, 2])
def test_a_jump_that_must_last_longer_than_a_step_is_refused_and_what_passes_can_be_reached(
    over, overlapping
):
    length_s, every_s = 10, 10 / overlapping
    longest_s = length_s + over // 2 * every_s
    windows = {"w": (length_s, every_s)}

    def rule(for_s):
        return {"r": JumpRule(figure="cells", factor=1.5, over=over, first=2, for_s=for_s)}

    with pytest.raises(
        ConfigurationError, match=rf"alerts.r.for_s = .* lower for_s to {longest_s:g}.*raise over"
    ):
        check_rules(rule(longest_s + 1), windows, set())
    check_rules(rule(longest_s), windows, set())
    values = [10] * over + [100] * over
    bounds = [
        {"window_start_ns": round(i * every_s * S), "window_end_ns": round((i * every_s + length_s) * S)}
        for i in range(len(values))
    ]
    film = [window(i, value, **bounds[i]) for i, value in enumerate(values)]
    assert [kind for _, kind, _ in told(film, rule(longest_s + 1))] == []
    # An odd number of windows has one median, an even one two whose mean a factor of 1.5 still exceeds.
    assert [kind for _, kind, _ in told(film, rule(longest_s))][:1] == [RAISED]


def test_no_number_of_windows_may_be_enough_for_a_jump_that_lasts():
    rule = {"r": JumpRule(figure="cells", factor=2, for_s=86_400)}
    with pytest.raises(ConfigurationError, match=r"lower for_s to 70 or less$"):
        check_rules(rule, {"w": (10, 10)}, set())


def acknowledged(raised, who, remark, at_ns=5):
    common = {name: getattr(raised, name) for name in raised.__struct_fields__[:5]}
    return AlertAcknowledged(
        **common,
        rule=raised.rule,
        raised_at_ns=raised.decided_at_ns,
        who=who,
        remark=remark,
        acknowledged_at_ns=at_ns,
    )


def test_who_acknowledged_is_told_with_the_alert_once_and_ends_nothing():
    rules = {"many": LimitRule(figure="cells", above=1)}
    state, [raised] = evaluate(AlertsState(), window(0, 2), rules)
    seen = [acknowledged(raised, "ann", "on it"), acknowledged(raised, "ben", "")]
    again = acknowledged(raised, "ann", "on it", at_ns=9)
    assert again.message_id == seen[0].message_id != seen[1].message_id
    (span,) = spans([seen[0], raised, seen[1], again])
    assert (span.raised, span.cleared, span.acknowledged) == (raised, None, tuple(seen))
    _, [cleared] = evaluate(state, window(1, 0), rules)
    other = msgspec.structs.replace(seen[0], raised_at_ns=7)
    (span,) = spans([raised, other, cleared])
    assert (span.cleared, span.acknowledged) == (cleared, ())


def test_a_rule_for_groups_judges_them_alone_and_any_other_cameras_alone():
    rules = {
        "camera": LimitRule(figure="cells", above=10),
        "plate": LimitRule(figure="cells", above=10, groups=("plate", "lab")),
    }
    assert told([window(0, 20)], rules) == [(0, RAISED, "camera")]
    of_plate = window(0, 20, camera_id="plate", members=("cam",))
    assert told([of_plate], rules) == [(0, RAISED, "plate")]
    assert told([window(0, 20, camera_id="other", members=("cam",))], rules) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"figure": "cells", "groups": ("plat",)}, "did you mean 'plate'"),
        ({"figure": "doubling_time_h", "groups": ("plate",)}, "cameras only"),
        ({"figure": "cells", "groups": ("plate",), "inhibited_by": ("other",)}, "other groups"),
    ],
)
def test_rules_for_groups_that_could_never_be_raised_are_refused(rule, words):
    rules = {"one": LimitRule(above=1, **rule), "other": LimitRule(figure="cells", above=1)}
    with pytest.raises(ConfigurationError, match=words):
        check_rules(rules, {"w"}, (), groups={"plate", "lab"})
