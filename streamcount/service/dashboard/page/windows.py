"""Windows' figures as tables: the ones that most people ask for, and all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.charts import HEADLINES, title
from streamcount.service.dashboard.page.doubts import doubt_html
from streamcount.service.dashboard.page.parts import number
from streamcount.types import Figure, WindowClosed

NONE_OVER = "No window is known that was over by then."
WINDOWS = ("window", "figure", "class", "zone", "value", "interval", "unit")


def headlines_html(window: WindowClosed | None) -> str:
    """What most people ask for, of one window: value, unit, interval."""
    if window is None:
        return '<p class="soft">No window has closed yet.</p>'
    words = _words(window.window, window.window_start_ns) + ("" if window.final else ", not over yet")
    return _headlines(words, doubt_html(window.complete, window.reasons), window.figures, 3)


def last_over(rows: Sequence[Mapping[str, Any]], at_ns: int) -> list[Mapping[str, Any]]:
    """Of figures as `History.figures` tells them, those of the last window of each name that was over by then."""
    over = [one for one in rows if one["final"] and one["window_end_ns"] <= at_ns]
    last: dict[str, int] = {}
    for one in over:
        last[one["window_name"]] = max(last.get(one["window_name"], 0), one["window_start_ns"])
    return [one for one in over if one["window_start_ns"] == last[one["window_name"]]]


def past_headlines_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """What most people ask for, of the shortest of these windows."""
    first = min(rows, key=lambda one: one["window_end_ns"] - one["window_start_ns"], default=None)
    if first is None:
        return f'<p class="soft">{NONE_OVER}</p>'
    name = first["window_name"]
    figures = [_figure(one) for one in rows if one["window_name"] == name]
    doubt = doubt_html(bool(first["complete"]), str(first["reasons"]).split(","))
    return _headlines(_words(name, first["window_start_ns"]), doubt, figures, 4)


def window_rows(windows: Iterable[WindowClosed]) -> list[list[object]]:
    """Rows of a table of windows' figures, under `WINDOWS`."""
    return [
        _row(_label(window.window, window.final, window.reasons), figure)
        for window in windows
        for figure in window.figures
    ]


def past_rows(rows: Iterable[Mapping[str, Any]]) -> list[list[object]]:
    """The same of figures as `History.figures` tells them."""
    return [
        _row(_label(one["window_name"], bool(one["final"]), one["reasons"].split(",")), _figure(one))
        for one in rows
    ]


def _figure(told: Mapping[str, Any]) -> Figure:
    return Figure(**{name: told[name] for name in Figure.__struct_fields__})


def _label(name: str, final: bool, reasons: Iterable[str]) -> str:
    """The window's name, and what must be known of it: that it is not over, and why it is not complete."""
    notes = [*([] if final else ["so far"]), *filter(None, reasons)]
    return f"{name} ({', '.join(notes)})" if notes else name


def _row(label: str, figure: Figure) -> list[object]:
    about = [label, figure.name, figure.class_name, figure.zone]
    return [*about, number(f"{figure.value:.4g}"), _interval(figure, 4), figure.unit]


def _words(name: str, start_ns: int) -> str:
    return f"window “{name}” from {parts.clock(start_ns)}"


def _headlines(words: str, doubt: str, figures: Iterable[Figure], digits: int) -> str:
    """doubt: HTML behind the words. digits: of the intervals."""
    known = {one.name: one for one in figures if not one.zone and not one.class_name}
    rows: list[list[object]] = []
    for name in HEADLINES:
        figure = known.get(name)
        if figure is None:
            rows.append([title(name), "not measured", "", ""])
        else:
            rows.append([title(name), number(f"{figure.value:.3g}"), figure.unit, _interval(figure, digits)])
    table = parts.table_html("Figures", ("figure", "value", "unit", "interval"), rows, "")
    return f'<p><span class="soft">{escape(words)}</span>{doubt}</p>{table}'


def _interval(figure: Figure, digits: int) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.{digits}g} – {figure.high:.{digits}g}"
