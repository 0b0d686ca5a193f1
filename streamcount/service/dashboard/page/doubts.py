"""Windows that say less than they seem to: cut short, with frames missing, or of bad pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Any

from streamcount.service.dashboard.history import Told
from streamcount.service.dashboard.past import MS

SHADE = "#7d8694"
NAME = "incomplete"


def doubt_html(complete: bool, reasons: Iterable[str]) -> str:
    """A badge for one window's figures; "" where nothing is wrong with it."""
    return "" if complete else f' <span class="chip">{escape(_incomplete(reasons))}</span>'


def doubted_area(told: Told) -> dict[str, Any]:
    """A series that shades the windows of these figures that are not complete; without data where all are."""
    spans: list[list[int]] = []
    for start_ns, end_ns, _ in sorted(_doubted(told)):
        if spans and start_ns // MS <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end_ns // MS)
        else:
            spans.append([start_ns // MS, end_ns // MS])
    shaded = [[{"xAxis": begin}, {"xAxis": end}] for begin, end in spans]
    area = {"silent": True, "itemStyle": {"color": SHADE, "opacity": 0.18}, "data": shaded}
    return {"name": NAME, "type": "line", "data": [], "markArea": area}


def doubt_note(told: Told) -> str:
    """The same in words: how many windows, and why; "" where all are complete."""
    doubted = _doubted(told)
    if not doubted:
        return ""
    windows = len({row[:2] for row in _bounds(told)})
    why = Counter(reason for _, _, reasons in doubted for reason in reasons.split(",") if reason)
    words = ", ".join(f"{_words(reason)} {n}" for reason, n in why.most_common())
    verb = "is" if len(doubted) == 1 else "are"
    return f"Grey: {len(doubted)} of {windows} windows {verb} incomplete{f' ({words})' if words else ''}."


def _incomplete(reasons: Iterable[str]) -> str:
    words = ", ".join(_words(reason) for reason in reasons if reason)
    return f"incomplete: {words}" if words else "incomplete"


def _words(reason: str) -> str:
    return reason.replace("-", " ")


def _bounds(told: Told) -> set[tuple[int, int, bool, str]]:
    columns = ("window_start_ns", "window_end_ns", "complete", "reasons")
    at = [told.answer.columns.index(name) for name in columns]
    return {
        (start_ns, end_ns, bool(complete), reasons or "")
        for start_ns, end_ns, complete, reasons in ([row[i] for i in at] for row in told.answer.rows)
    }


def _doubted(told: Told) -> set[tuple[int, int, str]]:
    return {(start, end, reasons) for start, end, complete, reasons in _bounds(told) if not complete}
