"""Alerts: rules over the figures of windows, raised once and cleared once."""

from streamcount.alerts.check import check_rules
from streamcount.alerts.config import AlertRule, JumpRule, LatencyRule, LimitRule, SilentRule, WindowRule
from streamcount.alerts.fold import evaluate
from streamcount.alerts.judging import figure_of
from streamcount.alerts.spans import AlertSpan, spans
from streamcount.alerts.state import AlertsState, RuleState
from streamcount.alerts.trial import rule_over_windows, would_have_told

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
    "rule_over_windows",
    "spans",
    "would_have_told",
]
