"""Windows' figures as tables: the ones that most people ask for, and all."""

from __future__ import annotations

from html import escape

from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.charts import HEADLINES, title
from streamcount.service.dashboard.page.parts import number
from streamcount.types import WindowClosed

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
