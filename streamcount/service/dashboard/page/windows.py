"""Windows' figures as tables: the ones that most people ask for, and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.charts import HEADLINES, title
from streamcount.service.dashboard.page.parts import number
from streamcount.types import WindowClosed

NONE_OVER = "No window is known that was over by then."
WINDOWS = ("window", "figure", "class", "zone", "value", "interval", "unit")


def headlines_html(window: WindowClosed | None) -> str:
    """What most people ask for, of one window: value, unit, interval."""
    if window is None:
        return '<p class="soft">No window has closed yet.</p>'
    known = {one.name: one for one in window.figures if not one.zone and not one.class_name}
    rows: list[list[object]] = []
    for name in HEADLINES:
        figure = known.get(name)
        if figure is None:
            rows.append([title(name), "not measured", "", ""])
            continue
        interval = (
            "" if figure.low is None or figure.high is None else f"{figure.low:.3g} – {figure.high:.3g}"
        )
        rows.append([title(name), number(f"{figure.value:.3g}"), figure.unit, interval])
    start = f"window “{window.window}” from {parts.clock(window.window_start_ns)}"
    words = start + ("" if window.final else ", not over yet")
    table = parts.table_html("Figures", ("figure", "value", "unit", "interval"), rows, "")
    return f'<p class="soft">{escape(words)}</p>{table}'


def last_over(rows: Sequence[Mapping[str, Any]], at_ns: int) -> list[Mapping[str, Any]]:
    """Of figures as `History.figures` tells them, those of the last window of each name that was over by then."""
    over = [one for one in rows if one["final"] and one["window_end_ns"] <= at_ns]
    last: dict[str, int] = {}
    for one in over:
        last[one["window_name"]] = max(last.get(one["window_name"], 0), one["window_start_ns"])
    return [one for one in over if one["window_start_ns"] == last[one["window_name"]]]


def past_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[object]]:
    """The same as rows of a table, under `WINDOWS`."""
    return [
        [
            one["window_name"] if one["complete"] else f"{one['window_name']} ({one['reasons'].replace(',', ', ')})",
            one["name"], one["class_name"], one["zone"], number(f"{one['value']:.4g}"), _interval(one), one["unit"],
        ]
        for one in rows
    ]  # fmt: skip


def past_headlines_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """What most people ask for, of the shortest of these windows."""
    first = min(rows, key=lambda one: one["window_end_ns"] - one["window_start_ns"], default=None)
    if first is None:
        return f'<p class="soft">{NONE_OVER}</p>'
    known = {
        one["name"]: one
        for one in rows
        if one["window_name"] == first["window_name"] and not one["zone"] and not one["class_name"]
    }
    told: list[list[object]] = [
        [title(name), number(f"{known[name]['value']:.3g}"), known[name]["unit"], _interval(known[name])]
        if name in known
        else [title(name), "not measured", "", ""]
        for name in HEADLINES
    ]
    words = f"window “{first['window_name']}” from {parts.clock(first['window_start_ns'])}"
    table = parts.table_html("Figures", ("figure", "value", "unit", "interval"), told, "")
    return f'<p class="soft">{escape(words)}</p>{table}'


def _interval(one: Mapping[str, Any]) -> str:
    return "" if one["low"] is None or one["high"] is None else f"{one['low']:.4g} – {one['high']:.4g}"


def window_rows(windows: list[WindowClosed]) -> list[list[object]]:
    """Rows of a table of windows' figures, under `WINDOWS`."""
    rows: list[list[object]] = []
    for window in windows:
        label = window.window if window.complete else f"{window.window} ({', '.join(window.reasons)})"
        for figure in window.figures:
            known = figure.low is not None and figure.high is not None
            interval = f"{figure.low:.4g} – {figure.high:.4g}" if known else ""
            about = [label, figure.name, figure.class_name, figure.zone]
            rows.append([*about, number(f"{figure.value:.4g}"), interval, figure.unit])
    return rows
