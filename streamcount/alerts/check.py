"""Refusing rules that could never be raised, before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from streamcount.alerts.config import MOST_OVER, AlertRule, JumpRule, LimitRule
from streamcount.alerts.inhibiting import inhibitors
from streamcount.errors import ConfigurationError
from streamcount.types.figures import (
    CAMERAS_ONLY,
    CLASSLESS,
    FIELD_ONLY,
    FIGURES,
    PLACES_ONLY,
    WINDOW_FIGURES,
)


def check_rules(
    rules: Mapping[str, AlertRule],
    windows: Collection[str] | Mapping[str, tuple[float, float]],
    zones: Collection[str],
    classes: Collection[str] | None = None,
    *,
    groups: Collection[str] = (),
) -> None:
    """Raises ConfigurationError where a rule names a figure, window, zone, class, group or rule that is not there, or
    asks a jump to last for longer than a step is one.

    windows, zones, groups: names as configured; of windows that are a mapping, each name has (length, s from one
    beginning to the next). classes: those of the models; None where they are not known yet.
    """
    over_windows = {name: rule for name, rule in rules.items() if isinstance(rule, LimitRule | JumpRule)}
    for name, rule in over_windows.items():
        key = f"alerts.{name}"
        require_known(f"{key}.figure", rule.figure, [*FIGURES, *WINDOW_FIGURES])
        _check_window(f"{key}.window", rule.window, windows)
        if rule.figure in WINDOW_FIGURES and (rule.zone or rule.class_name):
            raise ConfigurationError(f"{key}: {rule.figure} has neither zone nor class; leave them out")
        _check_reach(key, rule)
        if isinstance(rule, JumpRule) and isinstance(windows, Mapping):
            _check_lasting(key, rule, windows[rule.window or next(iter(windows))])
        if rule.zone:
            require_known(f"{key}.zone", rule.zone, zones)
        if rule.class_name and classes is not None:
            require_known(f"{key}.class", rule.class_name, classes)
        _check_groups(key, rule, over_windows, groups)
        for other in rule.inhibited_by:
            if other in rules and other not in over_windows:
                raise ConfigurationError(
                    f"{key}.inhibited_by: {other!r} is of kind {rules[other].kind}, which is watched elsewhere; "
                    "name a rule of kind limit or jump"
                )
            require_known(f"{key}.inhibited_by", other, over_windows)
        if name in inhibitors(name, over_windows):
            raise ConfigurationError(f"{key}.inhibited_by leads back to {name!r}; take one of them out")


def _check_reach(key: str, rule: LimitRule | JumpRule) -> None:
    if rule.zone and rule.figure in FIELD_ONLY:
        raise ConfigurationError(
            f"{key}.zone: {rule.figure} is told of the whole field only; leave the zone out"
        )
    if not rule.zone and rule.figure in PLACES_ONLY:
        raise ConfigurationError(
            f"{key}.zone is missing; {rule.figure} is told of a zone or line: name it there"
        )
    if rule.class_name and rule.figure in CLASSLESS:
        raise ConfigurationError(f"{key}.class: {rule.figure} is told of all classes together; leave it out")


def _check_lasting(key: str, rule: JumpRule, window_s: tuple[float, float]) -> None:
    """A step is usual once it fills half of the windows that the median is of."""
    length_s, every_s = window_s

    def longest_s(over: int) -> float:
        return length_s + over // 2 * every_s

    if rule.for_s <= longest_s(rule.over):
        return
    most_s = longest_s(rule.over)
    needed = next((over for over in range(rule.over, MOST_OVER + 1) if rule.for_s <= longest_s(over)), None)
    more = "" if needed is None else f", or raise over to {needed} or more"
    raise ConfigurationError(
        f"{key}.for_s = {rule.for_s:g} is never reached: after half of over = {rule.over} windows, {most_s:g} s, "
        f"a step is what is usual; lower for_s to {most_s:g} or less{more}"
    )


def _check_groups(
    key: str, rule: LimitRule | JumpRule, rules: Mapping[str, LimitRule | JumpRule], groups: Collection[str]
) -> None:
    for name in rule.groups:
        require_known(f"{key}.groups", name, groups)
    if rule.groups and rule.figure in CAMERAS_ONLY:
        raise ConfigurationError(f"{key}.groups: {rule.figure} is told of cameras only; leave the groups out")
    for other in rule.inhibited_by:
        if other in rules and set(rules[other].groups) != set(rule.groups):
            raise ConfigurationError(
                f"{key}.inhibited_by: {other!r} is for other groups; name the same in both"
            )


def _check_window(key: str, window: str, windows: Collection[str]) -> None:
    if not windows:
        raise ConfigurationError(f"{key}: there is no window whose figures it could watch; add one")
    if window:
        require_known(key, window, windows)
    elif len(windows) > 1:
        raise ConfigurationError(f"{key} is missing; there are several: {', '.join(sorted(windows))}")


def require_known(key: str, name: str, names: Collection[str]) -> None:
    """Raises ConfigurationError with the nearest known name where the key's value is none of the names."""
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    known = ", ".join(sorted(names)) or "none"
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {known}"
    raise ConfigurationError(f"{key} = {name!r} is not known; {hint}")
