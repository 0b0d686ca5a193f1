"""Refusing rules that could never be raised, before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from streamcount.alerts.config import AlertRule, JumpRule, LimitRule
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
    windows: Collection[str],
    zones: Collection[str],
    classes: Collection[str] | None = None,
    *,
    groups: Collection[str] = (),
) -> None:
    """Raises ConfigurationError where a rule names a figure, window, zone, class, group or rule that is not there.

    windows, zones, groups: names as configured. classes: those of the models; None where they are not known yet.
    """
    over_windows = {name: rule for name, rule in rules.items() if isinstance(rule, LimitRule | JumpRule)}
    for name, rule in over_windows.items():
        key = f"alerts.{name}"
        _known(f"{key}.figure", rule.figure, [*FIGURES, *WINDOW_FIGURES])
        _check_window(f"{key}.window", rule.window, windows)
        if rule.figure in WINDOW_FIGURES and (rule.zone or rule.class_name):
            raise ConfigurationError(f"{key}: {rule.figure} has neither zone nor class; leave them out")
        _check_reach(key, rule)
        if rule.zone:
            _known(f"{key}.zone", rule.zone, zones)
        if rule.class_name and classes is not None:
            _known(f"{key}.class", rule.class_name, classes)
        _check_groups(key, rule, over_windows, groups)
        for other in rule.inhibited_by:
            if other in rules and other not in over_windows:
                raise ConfigurationError(
                    f"{key}.inhibited_by: {other!r} is of kind {rules[other].kind}, which is watched elsewhere; "
                    "name a rule of kind limit or jump"
                )
            _known(f"{key}.inhibited_by", other, over_windows)
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


def _check_groups(
    key: str, rule: LimitRule | JumpRule, rules: Mapping[str, LimitRule | JumpRule], groups: Collection[str]
) -> None:
    for name in rule.groups:
        _known(f"{key}.groups", name, groups)
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
        _known(key, window, windows)
    elif len(windows) > 1:
        raise ConfigurationError(f"{key} is missing; there are several: {', '.join(sorted(windows))}")


def _known(key: str, name: str, names: Collection[str]) -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    known = ", ".join(sorted(names)) or "none"
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {known}"
    raise ConfigurationError(f"{key} = {name!r} is not known; {hint}")
