"""Whether a window breaks a rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from streamcount.alerts.config import JumpRule, LimitRule, WindowRule
from streamcount.types import Figure, WindowClosed
from streamcount.types.figures import WINDOW_FIGURES

# Of a normal distribution, standard deviation over median absolute deviation.
NORMAL_PER_MAD = 1.4826

CUT_SHORT = frozenset({"run-began", "run-ended", "settings-changed", "members-missing"})
# The share of a window's frames that may be lost or bad before its figures are no ground for an alert.
MOST_BAD = 0.1


class Judgement(NamedTuple):
    """broken: it would raise. held: it would clear. Between the two, by hysteresis, neither. reason: in words."""

    broken: bool
    held: bool
    value: float
    limit: float | None
    reason: str


def concerns(rule: WindowRule, closed: WindowClosed) -> bool:
    """Whether the rule is for this window's camera, or group."""
    return closed.camera_id in rule.groups if rule.groups else not closed.members


def figure_of(rule: WindowRule, closed: WindowClosed) -> Figure | None:
    """What the rule watches in this window; None where the window does not tell it.

    Windows that are cut short, or of which a tenth of the frames is lost or flagged, tell only what they know of
    themselves, unless the rule says `incomplete`: one lost frame in a minute must not keep an alert back.
    """
    if rule.figure in WINDOW_FIGURES:
        return _of_the_window(rule.figure, closed)
    if not rule.incomplete and not _whole_enough(closed):
        return None
    wanted = (rule.figure, rule.zone, rule.class_name)
    found = next((one for one in closed.figures if (one.name, one.zone, one.class_name) == wanted), None)
    return None if found is None or math.isnan(found.value) else found


def _whole_enough(closed: WindowClosed) -> bool:
    bad = closed.frames_missing + closed.frames_flagged
    cut = CUT_SHORT.intersection(closed.reasons)
    return closed.complete or not (cut or bad > MOST_BAD * (closed.frames + closed.frames_missing))


def _of_the_window(name: str, closed: WindowClosed) -> Figure | None:
    if name == "flagged_fraction":
        return Figure(name=name, value=closed.frames_flagged / closed.frames) if closed.frames else None
    return Figure(name=name, value=float(getattr(closed, name)))


def judge_limit(rule: LimitRule, figure: Figure) -> Judgement:
    """Raised beyond the limit, cleared from `clear_at` on. A figure without an interval is taken as exact."""
    sign, limit = rule.sign, rule.limit
    edge = figure.low if sign > 0 else figure.high
    judged = edge if rule.sure and edge is not None else figure.value
    clear_at = limit if rule.clear_at is None else rule.clear_at
    side = "above" if sign > 0 else "below"
    broken = sign * judged > sign * limit
    reason = _said(figure)
    return Judgement(
        broken=broken,
        held=sign * figure.value <= sign * clear_at,
        value=figure.value,
        limit=limit,
        reason=f"{reason}, {side} {limit:g}" if broken else reason,
    )


def judge_jump(rule: JumpRule, figure: Figure, history: Sequence[float]) -> Judgement:
    """Against the median of the windows before: one outlier among them moves it little, which is not so of a mean."""
    usual = median(history)
    change = figure.value - usual
    up = change > 0
    if rule.factor is not None:
        step = abs(usual) * (rule.factor - 1 if up else 1 - 1 / rule.factor)
    else:
        assert rule.sigmas is not None
        step = rule.sigmas * NORMAL_PER_MAD * median(abs(one - usual) for one in history)
    step = max(step, rule.least_change)
    meant = rule.direction == "both" or (rule.direction == "up") == up
    # Of two zeros none has jumped.
    broken = meant and abs(change) >= step and change != 0
    return Judgement(
        broken=broken,
        held=not broken,
        value=figure.value,
        limit=usual + step if up else usual - step,
        reason=f"{_said(figure)}, usually {usual:.4g}",
    )


def words_for(name: str, class_name: str, zone: str) -> str:
    """A figure by its name, and by its class and zone where it is of one."""
    return f"{name}{f' of {class_name}' if class_name else ''}{f' in {zone}' if zone else ''}"


def _said(figure: Figure) -> str:
    of_what = words_for(figure.name, figure.class_name, figure.zone)
    return f"{of_what} is {figure.value:.4g} {figure.unit}".rstrip()
