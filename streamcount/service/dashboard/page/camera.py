"""One camera, large: its cells, its counts over time, its windows' figures, its events as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from streamcount.errors import StreamcountError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.camera import CameraLive
from streamcount.service.dashboard.history import Span
from streamcount.service.dashboard.moments import Moment, nothing
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.cell import CellPanel
from streamcount.service.dashboard.page.charts import CountsChart, FigureChart, downloads
from streamcount.service.dashboard.page.parts import number
from streamcount.service.dashboard.page.timebar import TimeBar
from streamcount.service.dashboard.page.view import CameraView, ask_early
from streamcount.service.dashboard.page.windows import (
    NONE_OVER,
    WINDOWS,
    headlines_html,
    last_over,
    past_headlines_html,
    past_rows,
    window_rows,
)
from streamcount.service.dashboard.past import MS
from streamcount.service.dashboard.views import CameraSummary, clocks, event_row, summary
from streamcount.types import AlertRaised, AnyEvent, CellEvent, WindowClosed

SHOWN_EVENTS = 60
EVENTS_BEFORE_MS = 600_000
DRAW_S, DRAW_LONG_S, LONG_NS = 2.0, 60.0, 3700 * 10**9
EVENTS = ("time", "frame", "what", "cell", "certainty", "more")
PAST_EVENTS = (*EVENTS[:-1], "class")
EVENT_COLUMNS = ("happened_at_ns", "sequence", "kind", "track_id", "certainty", "class_name")
# What a row of the table shows in columns of its own, or not at all.
COMMON = frozenset(
    {*CellEvent.__struct_fields__, *AlertRaised.__struct_fields__, "kind", "id", "at"}
    - {"rule", "reason", "severity", "value", "limit"}
)


class CameraPage:
    """The page of one camera in one browser: now, or as it was at a moment that one has slid back to."""

    def __init__(self, dashboard: Dashboard, camera_id: str) -> None:
        self._dashboard = dashboard
        self._camera_id = camera_id
        self._names: tuple[str, ...] = ()
        self._styles: dict[str, tuple[str, int]] = {}
        self._moment: Moment | None = None
        self._drawn_s = 0.0
        window = _main_window(dashboard)
        with ui.element("div").classes("two"):
            with ui.element("div").classes("column-of"):
                self._build_picture()
                self._time = TimeBar(dashboard, camera_id, self._turn)
                self._counts = CountsChart(dashboard, camera_id, window)
                self._figures = FigureChart(dashboard, camera_id, window)
            with ui.element("div").classes("column-of"):
                self._headlines = parts.panel("Figures")
                self._cell = CellPanel(dashboard, camera_id)
                self._view.on_cell(self._cell.choose)
                self._windows = parts.panel("Windows")
                with ui.element("section").classes("panel"):
                    with ui.element("div").classes("panel-head"):
                        ui.html("<h2>Events</h2>", sanitize=False)
                        ui.element("span").classes("grow")
                        self._links = ui.html(sanitize=False)
                    self._events = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
        self.look()
        ui.timer(parts.REFRESH_S, self.look)
        ui.timer(DRAW_S, self._redraw)

    def _build_picture(self) -> None:
        with ui.element("section").classes("tile").props('aria-label="Picture"'):
            with ui.element("div").classes("tile-head"):
                self._state = ui.label().classes("state")
                self._chips = ui.html(sanitize=False)
                ui.element("span").classes("grow")
                ui.link("Correct", f"/camera/{self._camera_id}/correct")
                self._foot = ui.label().classes("soft")
            self._view = CameraView(self._camera_id, {})
            places = self._dashboard.settings.places_for(self._camera_id)
            if places.zones or places.lines:
                self._view.draw_places(places)
            with ui.element("div").classes("figures"):
                self._total = ui.label().classes("total")
                self._classes = ui.html(sanitize=False).classes("classes")
            with ui.element("div").classes("figures switches"):
                for name, on in (("outlines", True), ("ids", False), ("tails", False), ("zones", True)):
                    ui.switch(name, value=on, on_change=lambda e, name=name: self._view.show(name, e.value))
                self._filter = (
                    ui.element("div").classes("switches").props('role=group aria-label="Classes shown"')
                )

    def look(self) -> None:
        """Shows the camera as it is now; of a moment of the past, what is not of that moment."""
        found = self._dashboard.model.look(self._camera_id, self._copied)
        if found is None:
            # It may come yet: a camera that is not configured is known with its first frame.
            self._state.classes(add="bad")
            self._state.set_text("No camera of this name has been heard of; the wall shows those that were.")
            return
        now, events, windows = found
        self._set_classes(now)
        self._figures.offer([figure.name for window in windows for figure in window.figures])
        if self._moment is not None:
            return
        bad = parts.is_bad(now)
        self._state.classes(add="bad" if bad else "", remove="" if bad else "bad")
        self._state.set_text(parts.state_words(now))
        self._total.set_text(parts.total_words(now))
        parts.set_html(self._classes, parts.classes_html(now.counts, self._styles))
        parts.set_html(self._chips, parts.chips_html(now))
        run = f"run {now.run_id} · " if now.run_id else ""
        self._foot.set_text(f"{run}{now.rate_hz:.1f} frames/s · {parts.account_words(now)}")
        self._show_windows(windows)
        rows = [_event(event) for event in events]
        parts.set_html(self._events, parts.table_html("Events", EVENTS, rows, "Nothing has happened yet."))
        self._cell.show(events)

    @staticmethod
    def _copied(camera: CameraLive) -> tuple[CameraSummary, list[AnyEvent], list[WindowClosed]]:
        events = list(camera.events)[: -SHOWN_EVENTS - 1 : -1]
        newest = {window.window: window for window in camera.windows}
        newest.update(camera.current_windows)
        return summary(camera, *clocks()), events, list(newest.values())

    def _show_windows(self, windows: list[WindowClosed]) -> None:
        parts.set_html(
            self._windows,
            parts.table_html("Windows", WINDOWS, window_rows(windows), "No window has closed yet."),
        )
        first = min(windows, key=lambda one: one.window_end_ns - one.window_start_ns, default=None)
        parts.set_html(self._headlines, headlines_html(first))

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

    async def _redraw(self) -> None:
        span = self._time.span()
        # A long time is the store's to sum up, and hardly changes meanwhile.
        every_s = DRAW_S if span.to_ns - span.from_ns <= LONG_NS else DRAW_LONG_S
        if self._moment is None and time.monotonic() - self._drawn_s >= every_s:
            await self._draw(None)

    async def _draw(self, at_ms: int | None) -> None:
        self._drawn_s = time.monotonic()
        span = self._time.span()
        await self._counts.draw(span, self._styles, at_ms)
        await self._figures.draw(span, self._styles, at_ms)
        base = f"/api/v1/cameras/{self._camera_id}/history/events"
        query = f"from_ms={span.from_ns // MS}&to_ms={span.to_ns // MS}"
        parts.set_html(self._links, downloads("Events", base, query))

    async def _turn(self) -> None:
        """To the moment that the slider says, or back to the present."""
        at_ms = self._time.at_ms
        if at_ms is None:
            if self._moment is not None:
                self._moment = None
                self._view.turn_to(None)
                self.look()
        else:
            try:
                moment = await asyncio.to_thread(self._dashboard.moments.at, self._camera_id, at_ms * MS)
                rows = await asyncio.to_thread(self._events_before, at_ms)
                told = await asyncio.to_thread(self._windows_before, at_ms)
            except StreamcountError as error:
                moment, rows, told = nothing(at_ms, str(error)), [], []
            # Meanwhile another may have been chosen.
            if self._time.at_ms != at_ms:
                return
            self._moment = moment
            self._show_past(moment, rows)
            self._show_past_windows(told)
        await self._draw(at_ms)

    def _show_past(self, moment: Moment, rows: list[list[object]]) -> None:
        self._view.turn_to(moment)
        self._state.classes(remove="bad")
        self._state.set_text(f"past: {parts.clock(moment.at_ms * MS)}")
        self._total.set_text("–" if moment.total is None else str(moment.total))
        parts.set_html(self._classes, parts.classes_html(moment.counts, self._styles))
        parts.set_html(self._chips, "")
        at = moment.counted_at_ms
        taken = "" if at is None else f"the last frame before was taken at {parts.clock(at * MS)}"
        self._foot.set_text(taken)
        empty = "Nothing that is known happened in the ten minutes before."
        parts.set_html(self._events, parts.table_html("Events", PAST_EVENTS, rows, empty))
        self._cell.show([])

    def _show_past_windows(self, told: Sequence[Mapping[str, Any]]) -> None:
        parts.set_html(self._windows, parts.table_html("Windows", WINDOWS, past_rows(told), NONE_OVER))
        parts.set_html(self._headlines, past_headlines_html(told))

    def _windows_before(self, at_ms: int) -> list[Mapping[str, Any]]:
        """Figures of the last window of each name that was over by then, and for good."""
        rows: list[Mapping[str, Any]] = []
        for name, window in self._dashboard.settings.windows.items():
            # Of each, one is over in any two lengths of it; in those of the longest, the short ones are too many.
            span = Span(at_ms * MS - 2 * round(window.length_s * 1e9) - EVENTS_BEFORE_MS * MS, at_ms * MS)
            answer = self._dashboard.history.figures(self._camera_id, span, window=name).answer
            rows += [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        return last_over(rows, at_ms * MS)

    def _events_before(self, at_ms: int) -> list[list[object]]:
        span = Span((at_ms - EVENTS_BEFORE_MS) * MS, (at_ms + 1) * MS)
        answer = self._dashboard.history.events(self._camera_id, span, latest=SHOWN_EVENTS).answer
        of = [answer.columns.index(name) for name in EVENT_COLUMNS]
        return [
            [
                parts.clock(at),
                number(frame),
                kind,
                "" if track is None else number(track),
                certainty,
                name or "",
            ]
            for at, frame, kind, track, certainty, name in (
                [row[i] for i in of] for row in reversed(answer.rows)
            )
        ]


def _main_window(dashboard: Dashboard) -> str:
    """The shortest window: it shows most of how a figure moves."""
    windows = dashboard.settings.windows
    return min(windows, key=lambda name: windows[name].length_s, default="")


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


def camera_page(dashboard: Dashboard, camera_id: str) -> None:
    """Builds the page for one browser."""
    with parts.framed(dashboard, camera_id, f"/camera/{camera_id}"):
        CameraPage(dashboard, camera_id)
        ask_early([camera_id])
