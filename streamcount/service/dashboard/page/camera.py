"""One camera, large: its cells, its counts over time, its windows' figures, its events as they come."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.camera import CameraLive
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.parts import number
from streamcount.service.dashboard.page.view import CameraView
from streamcount.service.dashboard.page.wall import chips_html
from streamcount.service.dashboard.views import CameraSummary, clocks, event_row, summary
from streamcount.types import AlertRaised, AnyEvent, CellEvent

SHOWN_EVENTS = 60
CHART_POINTS = 600
# What a row of the table shows in columns of its own, or not at all.
COMMON = frozenset(
    {*CellEvent.__struct_fields__, *AlertRaised.__struct_fields__, "kind", "id", "at"}
    - {"rule", "reason", "severity", "value", "limit"}
)


class CameraPage:
    """The page of one camera in one browser."""

    def __init__(self, dashboard: Dashboard, camera_id: str) -> None:
        self._dashboard = dashboard
        self._camera_id = camera_id
        self._names: tuple[str, ...] = ()
        self._styles: dict[str, tuple[str, int]] = {}
        self._chosen: dict[str, Any] = {}
        with ui.element("div").classes("two"):
            with ui.element("div").classes("column-of"):
                self._build_picture()
                self._build_chart()
            with ui.element("div").classes("column-of"):
                self._cell = parts.panel("Cell")
                self._windows = parts.panel("Windows")
                self._events = parts.panel("Events")
        self.look()
        ui.timer(parts.REFRESH_S, self.look)
        self.draw_chart()
        ui.timer(2.0, self.draw_chart)

    def _build_picture(self) -> None:
        with ui.element("section").classes("tile").props('aria-label="Picture"'):
            with ui.element("div").classes("tile-head"):
                self._state = ui.label().classes("state")
                self._chips = ui.html(sanitize=False)
                ui.element("span").classes("grow")
                ui.link("Correct", f"/camera/{self._camera_id}/correct")
                self._foot = ui.label().classes("soft")
            self._view = CameraView(self._camera_id, {})
            self._view.on_cell(self._choose)
            with ui.element("div").classes("figures"):
                self._total = ui.label().classes("total")
                self._classes = ui.html(sanitize=False).classes("classes")
            with ui.element("div").classes("figures switches"):
                for name, on in (("outlines", True), ("ids", False), ("tails", False)):
                    ui.switch(name, value=on, on_change=lambda e, name=name: self._view.show(name, e.value))
                self._filter = (
                    ui.element("div").classes("switches").props('role=group aria-label="Classes shown"')
                )

    def _build_chart(self) -> None:
        with ui.element("section").classes("panel"):
            ui.html("<h2>Cells over time</h2>", sanitize=False)
            self._chart = ui.echart(
                {
                    "animation": False,
                    "grid": {"left": 44, "right": 16, "top": 34, "bottom": 28},
                    "legend": {"textStyle": {"color": "#7d8694"}},
                    "tooltip": {"trigger": "axis"},
                    "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
                    "yAxis": {"type": "value", "min": 0, "name": "cells"},
                    "series": [],
                }
            ).style("height: 260px; width: 100%")
            self._chart.props('role=img aria-label="Cells of each class over the last ten minutes"')

    def look(self) -> None:
        """Shows the camera as it is now."""
        found = self._dashboard.model.look(self._camera_id, self._copied)
        if found is None:
            self._state.set_text("No camera of this name has been heard of.")
            return
        now, events, windows = found
        self._set_classes(now)
        bad = now.state in ("stale", "not-counted")
        self._state.classes(add="bad" if bad else "", remove="" if bad else "bad")
        self._state.set_text(parts.state_words(now))
        self._total.set_text(str(now.total))
        parts.set_html(self._classes, parts.classes_html(now.counts, self._styles))
        parts.set_html(self._chips, chips_html(now))
        self._foot.set_text(f"run {now.run_id} · {now.rate_hz:.1f} frames/s · {parts.account_words(now)}")
        columns: tuple[str, ...] = ("window", "figure", "class", "zone", "value", "interval", "unit")
        parts.set_html(
            self._windows, parts.table_html("Windows", columns, windows, "No window has closed yet.")
        )
        rows = [_event(event) for event in events]
        columns = ("time", "frame", "what", "cell", "certainty", "more")
        parts.set_html(self._events, parts.table_html("Events", columns, rows, "Nothing has happened yet."))
        self._show_cell(events)

    @staticmethod
    def _copied(camera: CameraLive) -> tuple[CameraSummary, list[AnyEvent], list[list[object]]]:
        events = list(camera.events)[: -SHOWN_EVENTS - 1 : -1]
        return summary(camera, *clocks()), events, _figures(camera)

    def _set_classes(self, now: CameraSummary) -> None:
        names = tuple(now.counts)
        if names == self._names:
            return
        self._names = names
        self._styles = parts.class_styles(self._dashboard.settings, self._camera_id, names)
        self._view._props["styles"] = {name: list(style) for name, style in self._styles.items()}
        self._view.update()
        self._filter.clear()
        with self._filter:
            boxes = {name: ui.checkbox(name, value=True) for name in names}

        def hide() -> None:
            self._view.hide_classes([name for name, box in boxes.items() if not box.value])

        for box in boxes.values():
            box.on_value_change(hide)

    def _choose(self, cell: dict[str, Any]) -> None:
        self._chosen = cell

    def _show_cell(self, events: list[AnyEvent]) -> None:
        cell = self._chosen
        if not cell.get("id"):
            rows: list[list[object]] = []
        else:
            certain = "followed for certain" if cell["confirmed"] else "seen too seldom to be certain"
            rows = [
                ["id", cell["id"]],
                ["now", certain if cell["in_view"] else "no longer in view"],
                ["class in this frame", cell["class_name"] or "–"],
                ["probability", _or_dash(cell["probability"], "{:.2f}")],
                ["class so far", cell["believed"] or "–"],
                ["age", _or_dash(cell["age_s"], "{:.1f} s")],
                ["area", _or_dash(cell["area_px"], "{:.0f} px²")],
                ["mother", cell["parent"] or "none known"],
                ["generation", _or_dash(cell["generation"], "{}")],
            ]
            rows += [
                [event.kind, parts.clock(event.happened_at_ns)]
                for event in events
                if isinstance(event, CellEvent) and event.track_id == cell["id"]
            ]
        empty = "Click a cell, or move through them with the arrow keys when the picture has the focus."
        parts.set_html(self._cell, parts.table_html("Cell", ("", ""), rows, empty))

    def draw_chart(self) -> None:
        """The counts of the last minutes; sent only where there are new ones."""
        found = self._dashboard.model.look(
            self._camera_id, lambda camera: list(camera.counts)[-CHART_POINTS:]
        )
        if not found:
            return
        series = []
        for name in self._names:
            color, dash = self._styles[name]
            line = {
                "color": color,
                "width": 2,
                "type": "solid" if dash == 0 else [int(part) for part in parts.DASHES[dash % 6].split()],
            }
            data = [[point.at_ns // 10**6, point.counts.get(name, 0)] for point in found]
            series.append(
                {
                    "name": name,
                    "type": "line",
                    "showSymbol": False,
                    "itemStyle": {"color": color},
                    "lineStyle": line,
                    "data": data,
                }
            )
        if series != self._chart.options["series"]:
            self._chart.options["series"] = series
            self._chart.update()


def _figures(camera: CameraLive) -> list[list[object]]:
    newest = {window.window: window for window in camera.windows}
    newest.update(camera.current_windows)
    rows: list[list[object]] = []
    for name, window in newest.items():
        for figure in window.figures:
            known = figure.low is not None and figure.high is not None
            interval = f"{figure.low:.4g} – {figure.high:.4g}" if known else ""
            label = name if window.complete else f"{name} ({', '.join(window.reasons)})"
            rows.append(
                [
                    label,
                    figure.name,
                    figure.class_name,
                    figure.zone,
                    number(f"{figure.value:.4g}"),
                    interval,
                    figure.unit,
                ]
            )
    return rows


def _event(event: AnyEvent) -> list[object]:
    cell = number(event.track_id) if isinstance(event, CellEvent) else ""
    certainty = event.certainty if isinstance(event, CellEvent) else ""
    row = event_row(event)
    name = f"{row['class_name']} " if isinstance(event, CellEvent) else ""
    more = ", ".join(_words(key, value) for key, value in row.items() if key not in COMMON and value)
    return [
        parts.clock(event.happened_at_ns),
        number(event.sequence),
        event.kind,
        cell,
        certainty,
        name + more,
    ]


def _words(key: str, value: object) -> str:
    name = key.replace("_", " ")
    if value is True:
        return name
    if key.endswith("_ns") and isinstance(value, int):
        # A moment since 1970, or else a length of time.
        return f"{name[:-3]} {parts.clock(value) if key.endswith('_at_ns') else f'{value / 1e9:.1f} s'}"
    return f"{name} {' '.join(map(str, value)) if isinstance(value, list | tuple) else value}"


def _or_dash(value: object, form: str) -> str:
    return "–" if value is None else form.format(value)


def camera_page(dashboard: Dashboard, camera_id: str) -> None:
    """Builds the page for one browser."""
    with parts.framed(dashboard, camera_id, f"/camera/{camera_id}"):
        CameraPage(dashboard, camera_id)
