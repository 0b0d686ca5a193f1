"""Alerts: rules over the figures of windows, raised once and cleared once."""

from streamcount.alerts.check import check_rules, require_known
from streamcount.alerts.config import AlertRule, JumpRule, LatencyRule, LimitRule, SilentRule, WindowRule
from streamcount.alerts.fold import evaluate
from streamcount.alerts.judging import figure_of
from streamcount.alerts.spans import AlertSpan, spans
from streamcount.alerts.state import AlertsState, RuleState
from streamcount.alerts.trial import (
    judged_figures,
    rule_over_windows,
    trial_summary,
    watched_cameras,
    would_have_told,
)

__all__ = [
    "AlertRule",
    "AlertSpan",
    "AlertsState",
    "JumpRule",
    "LatencyRule",
    "LimitRule",
    "RuleState",
    "SilentRule",
    "WindowRule",
    "check_rules",
    "evaluate",
    "figure_of",
    "judged_figures",
    "require_known",
    "rule_over_windows",
    "spans",
    "trial_summary",
    "watched_cameras",
    "would_have_told",
]
