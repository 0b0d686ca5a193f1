"""What a rule would have told of windows that are past."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from streamcount.alerts.check import check_rules
from streamcount.alerts.config import AlertRule, JumpRule, LimitRule
from streamcount.alerts.fold import AlertEvent, evaluate
from streamcount.alerts.inhibiting import inhibitors
from streamcount.alerts.judging import concerns, figure_of, words_for
from streamcount.alerts.spans import AlertSpan, spans
from streamcount.alerts.state import AlertsState
from streamcount.errors import ConfigurationError
from streamcount.types import Figure, WindowClosed


def would_have_told(
    name: str, rules: Mapping[str, AlertRule], windows: Iterable[WindowClosed]
) -> tuple[AlertSpan, ...]:
    """The alerts of one rule, by camera and time; the rules that hold it back are judged with it.

    windows: final ones, of any cameras, in the order of each. Raises ConfigurationError where there is no such rule,
    it is of a kind that is watched by the clock, or the windows do not tell what it watches.
    """
    windows = tuple(windows)
    rule = rule_over_windows(name, rules)
    others = {one: rule for one, rule in rules.items() if isinstance(rule, LimitRule | JumpRule)}
    used = {one: others[one] for one in {name, *inhibitors(name, others)}}
    told_windows = {one.window for one in windows}
    zones = {figure.zone for one in windows for figure in one.figures} - {""}
    classes = {figure.class_name for one in windows for figure in one.figures} - {""}
    check_rules(used, told_windows, zones, classes, groups={one.camera_id for one in windows if one.members})
    watched = [one for one in windows if rule.window in ("", one.window) and concerns(rule, one)]
    if not any(figure_of(rule, one) for one in watched):
        raise ConfigurationError(
            f"alerts.{name}: no complete window of these tells {rule.figure} of the zone {rule.zone!r} and class "
            f"{rule.class_name!r}, so the rule could never be raised"
        )
    states: dict[str, AlertsState] = {}
    told: list[AlertEvent] = []
    for one in windows:
        states[one.camera_id], events = evaluate(states.get(one.camera_id, AlertsState()), one, used)
        told += [event for event in events if event.rule == name]
    return spans(told)


def trial_summary(
    name: str, rule: LimitRule | JumpRule, windows: Sequence[WindowClosed], told: Sequence[AlertSpan]
) -> Iterator[str]:
    """A line for each camera, or group, that the rule is for: how often, in how many windows, and for how long."""
    for camera in watched_cameras(rule, windows):
        judged = list(judged_figures(rule, windows, camera))
        mine = [one for one in told if one.raised.camera_id == camera]
        if not judged:
            figure = words_for(rule.figure, rule.class_name, rule.zone)
            yield f"{camera}: {name} is not judged; no complete window tells {figure}"
            continue
        last_ns = max(closed.decided_at_ns for closed, _ in judged)
        whole_s = (last_ns - min(closed.window_start_ns for closed, _ in judged)) / 1e9
        active_s = sum(one.end_ns(last_ns) - one.raised.decided_at_ns for one in mine) / 1e9
        often = "never" if not mine else "once" if len(mine) == 1 else f"{len(mine)} times"
        yield (
            f"{camera}: {name} would have been raised {often} in {len(judged)} windows, "
            f"and been active for {active_s:g} s of {whole_s:g} s"
        )


def watched_cameras(rule: LimitRule | JumpRule, windows: Iterable[WindowClosed]) -> list[str]:
    """The cameras, or groups, of these windows that the rule is for."""
    return sorted({one.camera_id for one in windows if concerns(rule, one)})


def judged_figures(
    rule: LimitRule | JumpRule, windows: Iterable[WindowClosed], camera_id: str
) -> Iterator[tuple[WindowClosed, Figure]]:
    """The windows of a camera, or group, that tell what the rule watches, each with that figure."""
    for closed in windows:
        if closed.camera_id == camera_id and rule.window in ("", closed.window) and concerns(rule, closed):
            figure = figure_of(rule, closed)
            if figure is not None:
                yield closed, figure


def rule_over_windows(name: str, rules: Mapping[str, AlertRule]) -> LimitRule | JumpRule:
    """The rule, if it is one over windows. Raises ConfigurationError."""
    if name not in rules:
        raise ConfigurationError(
            f"there is no rule {name!r}; there are: {', '.join(sorted(rules)) or 'none'}"
        )
    rule = rules[name]
    if not isinstance(rule, LimitRule | JumpRule):
        raise ConfigurationError(
            f"alerts.{name} is of kind {rule.kind}, which goes by the clock; windows do not tell of it"
        )
    return rule
