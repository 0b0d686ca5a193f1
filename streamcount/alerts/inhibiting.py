"""Which rules hold back which."""

from __future__ import annotations

from collections.abc import Mapping

from streamcount.alerts.config import WindowRule


def inhibitors(name: str, rules: Mapping[str, WindowRule]) -> set[str]:
    """All rules that hold this one back, also through others; itself among them where it does so in a circle."""
    waiting, found = list(rules[name].inhibited_by), set[str]()
    while waiting:
        other = waiting.pop()
        if other not in found and other in rules:
            found.add(other)
            waiting.extend(rules[other].inhibited_by)
    return found


def inhibitors_first(rules: Mapping[str, WindowRule]) -> list[str]:
    """Names so that each comes after those that hold it back."""
    return sorted(rules, key=lambda name: (len(inhibitors(name, rules)), name))
