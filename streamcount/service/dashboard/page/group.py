"""A group of cameras: its tile on the wall, and its page with figures over time, windows and alerts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from urllib.parse import quote, urlencode

from nicegui import ui

from streamcount.service.dashboard.api import Dashboard, alert_rows
from streamcount.service.dashboard.camera import CameraLive
from streamcount.service.dashboard.groups import GroupSummary, group_summary, last_windows
from streamcount.service.dashboard.history import Span
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.charts import FigureChart
from streamcount.service.dashboard.page.parts import Link
from streamcount.service.dashboard.page.timebar import RANGES_MS
from streamcount.service.dashboard.page.windows import WINDOWS, headlines_html, window_rows
from streamcount.service.dashboard.past import MS
from streamcount.types import WindowClosed

DRAW_S = 5.0
NOTHING = "No window of this group was told yet; <code>streamcount groups run</code> tells them."
ALERTS = ("since", "rule", "severity", "why")
RANGES = {name: length for name, length in RANGES_MS.items() if length}


class GroupTile:
    """One group's tile on the wall, behind those of the cameras."""

    def __init__(self, dashboard: Dashboard, first: GroupSummary) -> None:
        self._dashboard = dashboard
        with ui.element("section").classes("tile") as self._tile:
            # Not by props(), which parses.
            self._tile._props["aria-label"] = f"group {first.group_id}"
            with ui.element("div").classes("tile-head"):
                ui.link(first.group_id, f"/group/{quote(first.group_id)}")
                self._cameras = ui.label().classes("soft")
            self._words = ui.html(sanitize=False)
        self.update(first)

    def update(self, now: GroupSummary) -> None:
        """Shows the group as it is now."""
        self._cameras.set_text(f"group of {len(now.cameras)} cameras" if now.cameras else "group")
        window = self._dashboard.model.look_group(now.group_id, _shortest)
        parts.set_html(self._words, tile_html(self._dashboard, now, window))


def tile_html(dashboard: Dashboard, now: GroupSummary, window: WindowClosed | None) -> str:
    """Cells of the last window, per class too, what is wrong with it, and the alerts that are on."""
    if window is None:
        return f'<p class="soft tile-text">{NOTHING}</p>'
    cells = {one.class_name: one.value for one in window.figures if one.name == "cells" and not one.zone}
    by_class = {name: f"{value:.4g}" for name, value in cells.items() if name}
    styles = (
        parts.class_styles(dashboard.settings, window.members[0], tuple(by_class)) if window.members else {}
    )
    total = f"{cells[''] if '' in cells else sum(cells.values()):.4g}" if cells else "–"
    chips = [f'<span class="chip">without {escape(name)}</span>' for name in window.members_missing]
    chips += [
        f'<span class="chip">{escape(one)}</span>' for one in window.reasons if one != "members-missing"
    ]
    chips += [f'<span class="chip {now.severity}">alert: {escape(rule)}</span>' for rule in now.alerts]
    return (
        f'<div class="figures"><div class="total">{total}</div>'
        f'<div class="classes">{parts.classes_html(by_class, styles)}</div></div>'
        f'<div class="tile-foot"><div>{" ".join(chips)}</div><div>{window_words(window)}</div></div>'
    )


def window_words(window: WindowClosed) -> str:
    """Which window it is, as HTML."""
    ended = parts.clock(window.window_end_ns)
    there, all_ = len(window.members), len(window.members) + len(window.members_missing)
    return escape(f"cells in {there} of {all_} cameras, mean of window “{window.window}” that ended {ended}")


class GroupPage:
    """The page of one group in one browser."""

    def __init__(self, dashboard: Dashboard, name: str) -> None:
        self._dashboard = dashboard
        self._name = name
        windows = dashboard.settings.windows
        shortest = min(windows, key=lambda one: windows[one].length_s, default="")
        with ui.element("div").classes("two"):
            with ui.element("div").classes("column-of"):
                self._cameras = parts.panel("Cameras")
                self._range = ui.select(list(RANGES), value="1 hour", label="Range", on_change=self._draw)
                self._range.props("dense outlined")
                self._chart = FigureChart(dashboard, name, shortest)
            with ui.element("div").classes("column-of"):
                self._headlines = parts.panel("Figures")
                self._alerts = parts.panel("Alerts")
                self._windows = parts.panel("Windows")
        self.look()
        ui.timer(1.0, self.look)
        ui.timer(DRAW_S, self._draw)

    def look(self) -> None:
        """Shows the group as it is now."""
        windows = self._dashboard.model.look_group(self._name, last_windows) or []
        now = group_summary(self._dashboard.settings, self._dashboard.model, self._name)
        shortest = windows[0] if windows else None
        missing = shortest.members_missing if shortest else ()
        known = dict.fromkeys((*now.cameras, *(shortest.members if shortest else ()), *missing))
        rows: list[list[object]] = [
            [Link(one, f"/camera/{quote(one)}"), _part(one, shortest)] for one in known
        ]
        table = parts.table_html(
            "Cameras", ("camera", "in the last window"), rows, "No camera is known of it."
        )
        parts.set_html(self._cameras, table)
        self._chart.offer([figure.name for window in windows for figure in window.figures])
        parts.set_html(self._headlines, headlines_html(shortest))
        table = parts.table_html("Windows", WINDOWS, window_rows(windows), "No window was told yet.")
        parts.set_html(self._windows, table)
        parts.set_html(self._alerts, self._alerts_html())

    def _alerts_html(self) -> str:
        found = self._dashboard.model.look_group(self._name, lambda group: alert_rows(group, "active")) or []
        rows: list[list[object]] = [
            [
                parts.clock(one["since_ns"] or one["happened_at_ns"]),
                Link(one["rule"], f"/alert?{urlencode({'alert': one['id']})}"),
                one["severity"],
                one["reason"],
            ]
            for one in found
        ]
        return parts.table_html("Alerts", ALERTS, rows, "No alert is active.")

    async def _draw(self) -> None:
        now_ns = time.time_ns()
        cameras = group_summary(self._dashboard.settings, self._dashboard.model, self._name).cameras
        names = self._dashboard.model.look_group(self._name, _class_names) or ()
        styles = parts.class_styles(self._dashboard.settings, cameras[0], names) if cameras else {}
        await self._chart.draw(Span(now_ns - RANGES[self._range.value] * MS, now_ns), styles, None)


def _part(camera: str, window: WindowClosed | None) -> str:
    if window is None:
        return "–"
    return "yes" if camera in window.members else "missing"


def _shortest(group: CameraLive) -> WindowClosed | None:
    return next(iter(last_windows(group)), None)


def _class_names(group: CameraLive) -> Sequence[str]:
    window = _shortest(group)
    found = (one.class_name for one in (window.figures if window else ()) if one.class_name)
    return tuple(dict.fromkeys(found))


def group_page(dashboard: Dashboard, name: str) -> None:
    """Builds the page for one browser."""
    with parts.framed(dashboard, f"Group {name}", f"/group/{name}"):
        GroupPage(dashboard, name)
