"""Rules whose figure no camera can tell, by its model, pixel size or chamber: they would be silent for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from streamcount.alerts import AlertRule, JumpRule, LimitRule
from streamcount.errors import ConfigurationError
from streamcount.types import ModelIdentity
from streamcount.types.figures import ROLE_SPREADS, WINDOW_FIGURES

# What it takes to tell a figure, beside cells.
ROLES: Final = {
    "abnormal_cells": "abnormal", "abnormal_fraction": "abnormal", "dead_cells": "dead", "viability": "dead",
    "mitotic_cells": "mitotic", "mitotic_index": "mitotic",
    **ROLE_SPREADS,
}  # fmt: skip
OUTLINED: Final = frozenset({"confluence", "fields", "foreground", "patches"})
IN_CHAMBER: Final = frozenset({"cells_per_ml", "volume_ml"})
SIZED: Final = frozenset({"area_um2", "cell_area_squares_um4", "cell_area_um2", "cells_sized", "diameter_um"})
SCALED: Final = SIZED | IN_CHAMBER | {"cells_per_mm2", "field_mm2"}
CROSSINGS: Final = frozenset({"crossings_backward", "crossings_forward"})
# A group has these of those of its cameras that tell them, and all else only where every one does.
OF_SOME: Final = OUTLINED | SIZED


@dataclass(frozen=True)
class Means:
    """What one camera has to tell figures with.

    name: in words. model: None where it could not be read, and so is taken to have whatever is asked. outlines:
    whether it tells which pixels are cell. pixel_size: whether frames carry one; "perhaps" where pictures may.
    """

    name: str
    model: ModelIdentity | None
    outlines: bool
    pixel_size: Literal["known", "perhaps", "none"]
    chamber: bool
    zones: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()

    def has_place(self, rule: LimitRule | JumpRule) -> bool:
        """Whether it has the zone or line that the rule names."""
        return rule.zone in ("", *self.zones, *self.lines)

    def has_class(self, rule: LimitRule | JumpRule) -> bool:
        """Whether its model has the class that the rule names."""
        return self.model is None or rule.class_name in ("", *self.model.class_names)

    def lack(self, rule: LimitRule | JumpRule) -> str:
        """Why it can never tell what the rule watches, with the remedy; "" where it can, or may."""
        if not self.has_class(rule):
            return f"the model has no class {rule.class_name!r}; choose one that has it"
        if rule.zone in self.lines and rule.figure not in CROSSINGS:
            return f"{rule.zone!r} is a line, of which only crossings are told; name a zone"
        if rule.zone in self.zones and rule.figure in CROSSINGS:
            return f"{rule.zone!r} is a zone, and crossings are told of lines; name a line"
        role = ROLES.get(rule.figure)
        if role and self.model is not None and not getattr(self.model, role):
            return (
                f"no class of the model {self.model.name} is marked {role}; choose one that has such a class"
            )
        if rule.figure in OUTLINED and self.model is not None and not self.outlines:
            return f"{self.model.name} tells no outlines; choose a model that does, such as phase-contrast"
        if rule.figure in SCALED and self.pixel_size == "none":
            return "the pixel size is not known; set pixel_size_um"
        if rule.figure in IN_CHAMBER and not self.chamber:
            return "no chamber is set; add [chamber]"
        return ""


def check_tellable(
    rules: Mapping[str, AlertRule], cameras: Mapping[str, Means], groups: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Warnings, where only some of the cameras that a rule is for can tell its figure, or may be able to.

    cameras: by name, "" for all that are not listed. groups: names of cameras. Raises ConfigurationError where none
    can.
    """
    for name, rule in rules.items():
        if not isinstance(rule, LimitRule | JumpRule) or rule.figure in WINDOW_FIGURES:
            continue
        key = f"alerts.{name}"
        if rule.groups:
            for group in rule.groups:
                _check_group(key, rule, group, [cameras[one] for one in groups[group]])
            meant = [cameras[one] for group in rule.groups for one in groups[group]]
        else:
            # A rule that names a zone or a class is for those that have it.
            meant = [one for one in cameras.values() if one.has_place(rule) and one.has_class(rule)]
            yield from _warned(key, rule, meant)
        unsure = [
            one
            for one in meant
            if one.pixel_size == "perhaps" and not one.lack(rule) and rule.figure in SCALED
        ]
        if unsure:
            yield (
                f"{key}: {rule.figure} is told only where the pictures carry the pixel size ({_names(unsure)}); "
                "set pixel_size_um to be sure"
            )


def _warned(key: str, rule: LimitRule | JumpRule, meant: Sequence[Means]) -> Iterator[str]:
    lacking = [one for one in meant if one.lack(rule)]
    if not lacking:
        return
    if len(lacking) == len(meant):
        raise ConfigurationError(f"{key}: no camera can tell {rule.figure}: {_why(rule, lacking)}")
    yield f"{key}: some cameras cannot tell {rule.figure}, and are not judged: {_why(rule, lacking)}"


def _check_group(key: str, rule: LimitRule | JumpRule, group: str, members: Sequence[Means]) -> None:
    asked = [one for one in members if one.has_place(rule)]
    lacking = [one for one in asked if one.lack(rule)]
    if not asked:
        raise ConfigurationError(f"{key}: no camera of the group {group!r} has a zone {rule.zone!r}")
    if lacking and (rule.figure not in OF_SOME or len(lacking) == len(asked)):
        raise ConfigurationError(
            f"{key}: the group {group!r} cannot tell {rule.figure}, which its cameras would have to: "
            + _why(rule, lacking)
        )


def _why(rule: LimitRule | JumpRule, lacking: Sequence[Means]) -> str:
    """Each reason once, with its cameras."""
    reasons: dict[str, list[Means]] = {}
    for one in lacking:
        reasons.setdefault(one.lack(rule), []).append(one)
    return "; ".join(f"{reason} ({_names(those)})" for reason, those in reasons.items())


def _names(cameras: Sequence[Means]) -> str:
    return ", ".join(dict.fromkeys(one.name for one in cameras))
