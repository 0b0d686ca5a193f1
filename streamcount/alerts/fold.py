"""Closed windows become alerts: a pure fold that raises each once and clears it once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from streamcount.alerts.config import AlertRule, JumpRule, LimitRule
from streamcount.alerts.inhibiting import inhibitors, inhibitors_first
from streamcount.alerts.judging import Judgement, concerns, figure_of, judge_jump, judge_limit
from streamcount.alerts.state import AlertsState, RuleState
from streamcount.types import AlertCleared, AlertRaised, Figure, WindowClosed

SECOND_NS = 1_000_000_000

OverWindows: TypeAlias = LimitRule | JumpRule
AlertEvent: TypeAlias = AlertRaised | AlertCleared


def evaluate(
    state: AlertsState, closed: WindowClosed, rules: Mapping[str, AlertRule]
) -> tuple[AlertsState, tuple[AlertEvent, ...]]:
    """The state after a window, and what is told of it.

    rules: by name, as `check_rules` lets them pass. Windows that are not final change nothing, as do kinds that are
    no matter of windows. A rule that names groups is for those alone, any other for cameras.

    A figure that a window does not tell neither raises nor clears. A rule is broken for the time that windows cover,
    so that a gap counts for nothing. A rule that is held back is raised by the first window that breaks it when those
    that hold it back are cleared; one that was raised before them stays. An alert whose rule is gone, or watches
    something else now, is cleared.
    """
    if not closed.final:
        return state, ()
    over_windows = {
        name: rule for name, rule in rules.items() if isinstance(rule, OverWindows) and concerns(rule, closed)
    }
    entries, told = _without_gone(state, closed, over_windows)
    if closed.run_id != state.run_id:
        # Another run may be another sample, whose usual values are others.
        entries = {name: msgspec.structs.replace(one, history=()) for name, one in entries.items()}
    for name in inhibitors_first(over_windows):
        rule = over_windows[name]
        figure = figure_of(rule, closed) if rule.window in ("", closed.window) else None
        if figure is None:
            continue
        before = entries.get(name, RuleState(name, _watched(rule)))
        inhibited = bool(rule.inhibited_by) and any(
            entries[other].raised for other in inhibitors(name, over_windows) if other in entries
        )
        entries[name], event = _step(before, rule, figure, closed, inhibited)
        if event is not None:
            told.append(event)
    return AlertsState(tuple(entries[name] for name in sorted(entries)), closed.run_id), tuple(told)


def _without_gone(
    state: AlertsState, closed: WindowClosed, rules: Mapping[str, OverWindows]
) -> tuple[dict[str, RuleState], list[AlertEvent]]:
    entries: dict[str, RuleState] = {}
    told: list[AlertEvent] = []
    for entry in state.entries:
        rule = rules.get(entry.rule)
        if rule is not None and entry.watched == _watched(rule):
            entries[entry.rule] = entry
        elif entry.raised:
            gone = "the rule is gone" if rule is None else "the rule watches something else now"
            told.append(_cleared(closed, entry, gone))
            if rule is not None:
                entries[entry.rule] = RuleState(entry.rule, _watched(rule), changed_at=_place(closed))
    return entries, told


def _step(
    entry: RuleState, rule: OverWindows, figure: Figure, closed: WindowClosed, inhibited: bool
) -> tuple[RuleState, AlertEvent | None]:
    judged = _judged(entry, rule, figure)
    entry = _watched_on(entry, rule, figure, closed, judged)
    if judged is None or entry.changed_at == _place(closed):
        return entry, None
    if entry.raised:
        if not judged.held:
            return entry, None
        lowered = RuleState(
            entry.rule,
            entry.watched,
            judged_to_ns=entry.judged_to_ns,
            changed_at=_place(closed),
            history=entry.history,
        )
        return lowered, _cleared(closed, entry, judged.reason)
    if not judged.broken or inhibited or entry.broken_ns < rule.for_s * SECOND_NS:
        return entry, None
    raised = msgspec.structs.replace(entry, raised_at_ns=closed.decided_at_ns, changed_at=_place(closed))
    return raised, _raised(closed, entry, rule, judged)


def _judged(entry: RuleState, rule: OverWindows, figure: Figure) -> Judgement | None:
    if isinstance(rule, LimitRule):
        return judge_limit(rule, figure)
    if len(entry.history) < rule.first or not math.isfinite(figure.value):
        return None
    return judge_jump(rule, figure, entry.history)


def _watched_on(
    entry: RuleState, rule: OverWindows, figure: Figure, closed: WindowClosed, judged: Judgement | None
) -> RuleState:
    """The entry with one more window in its streak and its history."""
    since_ns, broken_ns = -1, 0
    if judged is not None and judged.broken:
        since_ns = entry.broken_since_ns if entry.broken_since_ns >= 0 else closed.window_start_ns
        # Sliding windows overlap; what they share is counted once.
        new_from_ns = closed.window_start_ns
        if entry.broken_since_ns >= 0:
            new_from_ns = max(new_from_ns, entry.judged_to_ns)
        broken_ns = entry.broken_ns + max(closed.window_end_ns - new_from_ns, 0)
    history = entry.history
    if isinstance(rule, JumpRule) and math.isfinite(figure.value):
        history = (*history, figure.value)[-rule.over :]
    return msgspec.structs.replace(
        entry,
        broken_since_ns=since_ns,
        broken_ns=broken_ns,
        judged_to_ns=closed.window_end_ns,
        history=history,
    )


def _watched(rule: OverWindows) -> str:
    return "/".join((rule.window, rule.figure, rule.zone, rule.class_name))


def _place(closed: WindowClosed) -> str:
    return f"{closed.run_id}/{closed.sequence}"


def _raised(closed: WindowClosed, entry: RuleState, rule: OverWindows, judged: Judgement) -> AlertRaised:
    return AlertRaised(
        camera_id=closed.camera_id,
        run_id=closed.run_id,
        sequence=closed.sequence,
        happened_at_ns=closed.window_end_ns,
        decided_at_ns=closed.decided_at_ns,
        rule=entry.rule,
        reason=judged.reason,
        severity=rule.severity,
        figure=rule.figure,
        value=judged.value if math.isfinite(judged.value) else None,
        limit=judged.limit,
        since_ns=entry.broken_since_ns,
    )


def _cleared(closed: WindowClosed, entry: RuleState, reason: str) -> AlertCleared:
    return AlertCleared(
        camera_id=closed.camera_id,
        run_id=closed.run_id,
        sequence=closed.sequence,
        happened_at_ns=closed.window_end_ns,
        decided_at_ns=closed.decided_at_ns,
        rule=entry.rule,
        raised_at_ns=entry.raised_at_ns,
        reason=reason,
    )
