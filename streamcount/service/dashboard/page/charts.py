"""Charts over time with their bands, and links to the same as CSV and Parquet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Any

from nicegui import ui

from streamcount.errors import SinkError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.history import Span, Told
from streamcount.service.dashboard.page import doubts, parts
from streamcount.service.dashboard.page.doubts import doubt_note, doubted_area
from streamcount.service.dashboard.past import MS
from streamcount.types.colors import class_color
from streamcount.types.figures import FIGURES

POINTS = 600
SECOND_NS = 10**9
HEADLINES = ("confluence", "viability", "mitotic_index", "doubling_time_h", "cells_per_ml")
# Shares are drawn and told as they are measured, 0 to 1.
GREY = "#7d8694"

Styles = dict[str, tuple[str, int]]


def chart_options(unit: str) -> dict[str, Any]:
    """An empty chart over time. unit: of its upright axis."""
    return {
        "animation": False,
        "grid": {"left": 52, "right": 16, "top": 40, "bottom": 28},
        "legend": {
            "type": "scroll",
            "top": 0,
            "right": 0,
            "left": "30%",
            "textStyle": {"color": GREY},
            "data": [],
        },
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "scale": True, "name": unit, "nameTextStyle": {"color": GREY}},
        "series": [],
    }


def line(name: str, style: tuple[str, int], data: list[list[Any]], **more: Any) -> dict[str, Any]:
    """A line of a chart in a class's colour and dash; data: pairs of ms and value."""
    color, dash = style
    dashes = [int(part) for part in parts.DASHES[dash % len(parts.DASHES)].split()]
    stroke = {"color": color, "width": 2, "type": dashes or "solid"}
    return {
        "name": name, "type": "line", "showSymbol": len(data) < 3, "itemStyle": {"color": color}, "lineStyle": stroke,
        "data": data, **more,
    }  # fmt: skip


def band(name: str, style: tuple[str, int], rows: Sequence[tuple[int, float, float]]) -> list[dict[str, Any]]:
    """The area between low and high: (ms, low, high) a row. Two series of which the upper is stacked on the lower."""
    hidden = {
        "lineStyle": {"opacity": 0},
        "itemStyle": {"color": style[0]},
        "showSymbol": False,
        "silent": True,
    }
    common = {"type": "line", "name": f"{name}, interval", "stack": f"band {name}", **hidden}
    common["tooltip"] = {"show": False}
    return [
        {**common, "data": [[at, low] for at, low, _ in rows]},
        {
            **common,
            "data": [[at, high - low] for at, low, high in rows],
            "areaStyle": {"color": style[0], "opacity": 0.22},
        },
    ]


def other_style(number: int) -> tuple[str, int]:
    """Colour and dash of a line that is no class's."""
    return class_color(number), number


def moment_line(at_ms: int | None) -> dict[str, Any]:
    """The moment that was slid back to, as an upright line."""
    mark = {"silent": True, "symbol": "none", "data": [{"xAxis": at_ms}] if at_ms is not None else []}
    return {"name": "moment", "type": "line", "data": [], "markLine": {**mark, "label": {"show": False}}}


def downloads(what: str, path: str, query: str) -> str:
    """Links to a table as CSV and as Parquet."""
    asked = f"{path}?{query}&" if query else f"{path}?"
    return " ".join(
        f'<a class="download" download href="{escape(f"{asked}format={form}", quote=True)}" '
        f'aria-label="{escape(what)} as {name}">{name}</a>'
        for form, name in (("csv", "CSV"), ("parquet", "Parquet"))
    )


class _Chart:
    """A panel with a chart, and what could not be drawn in words."""

    def __init__(self, title: str, unit: str, height_px: int = 260) -> None:
        with ui.element("section").classes("panel"):
            with ui.element("div").classes("panel-head"):
                ui.html(f"<h2>{title}</h2>", sanitize=False)
                self.head = ui.element("div").classes("panel-head grow")
                self.links = ui.html(sanitize=False)
            self._chart = ui.echart(chart_options(unit)).style(f"height: {height_px}px; width: 100%")
            self._chart.props(f'role=img aria-label="{title}"')
            self._note = ui.label().classes("soft")

    def draw(self, series: list[dict[str, Any]], span: Span, unit: str, note: str = "") -> None:
        """Sends what has changed."""
        options = self._chart.options
        axis = {"min": span.from_ns // MS, "max": span.to_ns // MS}
        new = {
            "xAxis": {**options["xAxis"], **axis},
            "yAxis": {**options["yAxis"], "name": unit},
            "legend": {**options["legend"], "data": legend(series)},
            "series": series,
        }
        if any(options[key] != value for key, value in new.items()):
            options.update(new)
            self._chart.update()
        self._note.set_text(note)
        self._note.set_visibility(bool(note))


def legend(series: Sequence[dict[str, Any]]) -> list[str]:
    """The lines that have names of their own; bands go with theirs."""
    return [
        one["name"]
        for one in series
        if not one["name"].endswith(", interval") and one["name"] not in ("moment", doubts.NAME)
    ]


class CountsChart:
    """Cells per class over time, and the means of windows with their confidence intervals as bands."""

    def __init__(self, dashboard: Dashboard, camera_id: str, window: str) -> None:
        self._dashboard, self._camera_id, self._window = dashboard, camera_id, window
        self._chart = _Chart("Cells over time", "cells in a frame")

    async def draw(self, span: Span, styles: Styles, at_ms: int | None) -> None:
        """The counts of a time. styles: of the classes."""
        history = self._dashboard.history
        every_ns = max(SECOND_NS, (span.to_ns - span.from_ns) // POINTS // SECOND_NS * SECOND_NS)
        try:
            told = await asyncio.to_thread(history.counts, self._camera_id, span, every_ns)
            means = await asyncio.to_thread(history.figures, self._camera_id, span, "cells", self._window)
        except SinkError as error:
            self._chart.draw([], span, "cells in a frame", str(error))
            return
        lines: dict[str, list[list[Any]]] = {}
        for _, name, start_ns, mean, *_ in told.answer.rows:
            lines.setdefault(name, []).append([start_ns // MS, round(mean, 3)])
        series = [line(name, styles[name], lines[name]) for name in styles if name in lines]
        bands = bands_of(means, "class_name")
        series += [one for name in styles if name in bands for one in band(name, styles[name], bands[name])]
        note = "" if lines else "Nothing was counted in this time."
        if bands:
            note = f"Bands: confidence intervals of the means of windows “{self._window}”."
        note = f"{note} {doubt_note(means)} {cut_note(means)}".strip()
        self._chart.draw([*series, doubted_area(means), moment_line(at_ms)], span, "cells in a frame", note)
        base = f"/api/v1/cameras/{self._camera_id}/history/counts"
        query = f"from_ms={span.from_ns // MS}&to_ms={span.to_ns // MS}&every_ms={every_ns // MS}"
        parts.set_html(self._chart.links, downloads("Counts", base, query))


class FigureChart:
    """One figure of windows over time, with its unit and its band; which one is chosen."""

    def __init__(self, dashboard: Dashboard, camera_id: str, window: str) -> None:
        self._dashboard, self._camera_id, self._window = dashboard, camera_id, window
        self._chart = _Chart("Figures over time", "")
        self._drawn: tuple[Span, Styles, int | None] | None = None
        with self._chart.head:
            self._choice = ui.select(
                {one: title(one) for one in HEADLINES}, value=HEADLINES[0], label="Figure"
            )
            self._choice.props("dense outlined")
        self._choice.on_value_change(self._again)
        self._chosen = False

    def offer(self, names: Sequence[str]) -> None:
        """The figures that this camera's windows have; those of general interest are there in any case."""
        # New ones come last: a browser answers with the place in the list that it had when somebody chose.
        offered = list(self._choice.options)
        known = [*offered, *sorted(set(names) - set(offered))]
        if known != offered:
            self._choice.set_options({one: title(one) for one in known})
        if not self._chosen and names:
            self._chosen = True
            self._choice.set_value(next((one for one in HEADLINES if one in names), "cells"))

    async def _again(self) -> None:
        # What a person has chosen stays, though the camera's figures be known only later.
        self._chosen = True
        if self._drawn is not None:
            await self.draw(*self._drawn)

    async def draw(self, span: Span, styles: Styles, at_ms: int | None) -> None:
        """The figure in a time."""
        self._drawn = (span, styles, at_ms)
        name = str(self._choice.value)
        try:
            told = await asyncio.to_thread(
                self._dashboard.history.figures, self._camera_id, span, name, self._window
            )
        except SinkError as error:
            self._chart.draw([], span, "", str(error))
            return
        if name != self._choice.value:
            # Another was chosen meanwhile, and is drawn by itself.
            return
        columns = told.answer.columns
        rows = [dict(zip(columns, row, strict=True)) for row in told.answer.rows]
        series: list[dict[str, Any]] = []
        labels = list(dict.fromkeys(_label(one) for one in rows))
        bands = bands_of(told, "")
        for number, label in enumerate(labels):
            style = styles.get(label) or other_style(number + len(styles))
            data = [[_middle_ms(one), one["value"]] for one in rows if _label(one) == label]
            series.append(line(label, style, data))
            series += band(label, style, bands.get(label, ()))
        unit = FIGURES[name].unit if name in FIGURES else ""
        note = f"{FIGURES[name].meaning}." if name in FIGURES else ""
        if not rows:
            note = f"{title(name)}: no window “{self._window}” of this time tells it. {note}".strip()
        note = f"{note} {doubt_note(told)} {cut_note(told)}".strip()
        self._chart.draw([*series, doubted_area(told), moment_line(at_ms)], span, unit or title(name), note)
        base = f"/api/v1/cameras/{self._camera_id}/history/figures"
        query = f"from_ms={span.from_ns // MS}&to_ms={span.to_ns // MS}&figure={name}&window={self._window}"
        parts.set_html(self._chart.links, downloads(title(name), base, query))


class SizeChart:
    """A cell's area over its life."""

    def __init__(self) -> None:
        self._chart = _Chart("Size over time", "µm²", 200)

    def draw(self, told: Told, path: str, run_id: str) -> None:
        """The sizes as `Lives.sizes` tells them."""
        rows = [dict(zip(told.answer.columns, row, strict=True)) for row in told.answer.rows]
        if not rows:
            return
        unit = "area_px" if any(one["area_um2"] is None for one in rows) else "area_um2"
        data = [[one["happened_at_ns"] // MS, one[unit]] for one in rows]
        span = Span(rows[0]["happened_at_ns"], rows[-1]["happened_at_ns"] + SECOND_NS)
        self._chart.draw(
            [line("area", (class_color(0), 0), data)], span, "µm²" if unit == "area_um2" else "px²"
        )
        parts.set_html(self._chart.links, downloads("Sizes", path, f"run={run_id}"))


def bands_of(told: Told, by: str) -> dict[str, list[tuple[int, float, float]]]:
    """Intervals by class (by = "class_name", of the whole field) or by whatever sets a line apart (by = "")."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for row in told.answer.rows:
        one = dict(zip(told.answer.columns, row, strict=True))
        if one["low"] is None or one["high"] is None or (by and one["zone"]):
            continue
        label = one[by] if by else _label(one)
        found.setdefault(label, []).append((_middle_ms(one), one["low"], one["high"]))
    return found


def cut_note(told: Told) -> str:
    """Until when these figures are told, where the store has more; "" where they are all."""
    if not told.answer.truncated:
        return ""
    last_ns = max(row[told.answer.columns.index("window_end_ns")] for row in told.answer.rows)
    return f"The store has more of these windows than are drawn: they end at {parts.clock(last_ns)}."


def _middle_ms(one: dict[str, Any]) -> int:
    return int(one["window_start_ns"] + one["window_end_ns"]) // 2 // MS


def _label(one: dict[str, Any]) -> str:
    return " in ".join(part for part in (one["class_name"], one["zone"]) if part) or "all"


def title(name: str) -> str:
    """A figure's name without its unit, in words."""
    for ending in ("_h", "_um", "_um2", "_mm2", "_ml", "_s"):
        if name.endswith(ending) and FIGURES.get(name, ("", ""))[0] and "_per_" not in name:
            name = name.removesuffix(ending)
            break
    return name.replace("_ml", " mL").replace("_mm2", " mm²").replace("_", " ")
