"""The wall: a tile per camera; one that is stale says so and disturbs no other."""

from __future__ import annotations

from html import escape

from nicegui import ui

from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.view import CameraView
from streamcount.service.dashboard.views import CameraSummary, clocks, summary


class Tile:
    """One camera's tile. It is made once and then only told what changed."""

    def __init__(self, dashboard: Dashboard, first: CameraSummary) -> None:
        self._dashboard = dashboard
        self._names: tuple[str, ...] = ()
        self._styles: dict[str, tuple[str, int]] = {}
        camera_id = first.camera_id
        with ui.element("section").classes("tile") as self._tile:
            self._tile.props(f'aria-label="{camera_id}"')
            with ui.element("div").classes("tile-head"):
                ui.link(camera_id, f"/camera/{camera_id}")
                ui.element("span").classes("grow")
                self._state = ui.label().classes("state")
            self._view = CameraView(camera_id, {})
            with ui.element("div").classes("figures"):
                self._total = ui.label().classes("total")
                self._classes = ui.html(sanitize=False).classes("classes")
                self._spark = ui.html(sanitize=False).classes("spark-box")
            with ui.element("div").classes("tile-foot"):
                self._chips = ui.html(sanitize=False)
                self._foot = ui.label()
                self._account = ui.label()
        self.update(first)

    def update(self, now: CameraSummary) -> None:
        """Shows the camera as it is now."""
        names = tuple(now.counts)
        if names != self._names:
            self._names = names
            self._styles = parts.class_styles(self._dashboard.settings, now.camera_id, names)
            self._view._props["styles"] = {name: list(style) for name, style in self._styles.items()}
            self._view.update()
        bad = now.state in ("stale", "not-counted")
        for element in (self._tile, self._state):
            element.classes(add="bad" if bad else "", remove="" if bad else "bad")
        self._state.set_text(parts.state_words(now))
        self._total.set_text(str(now.total))
        parts.set_html(self._classes, parts.classes_html(now.counts, self._styles))
        parts.set_html(self._spark, parts.sparkline_svg(now.sparkline))
        parts.set_html(self._chips, chips_html(now))
        latency = "" if now.latency_ms is None else f" · counted after {now.latency_ms:.0f} ms"
        self._foot.set_text(f"{now.rate_hz:.1f} frames/s{latency}")
        self._account.set_text(parts.account_words(now))
        wrong = now.difference_lasts
        self._account.classes(add="bad-figure" if wrong else "", remove="" if wrong else "bad-figure")


def chips_html(now: CameraSummary) -> str:
    """Badges: what is wrong with the picture, and the alerts that are on."""
    quality = [f'<span class="chip">{escape(flag)}</span> ' for flag in now.quality]
    alerts = [f'<span class="chip {now.severity}">alert: {escape(rule)}</span> ' for rule in now.alerts]
    return "".join(quality + alerts)


def wall(dashboard: Dashboard) -> None:
    """Builds the page for one browser."""
    tiles: dict[str, Tile] = {}
    with parts.framed(dashboard, "Wall", "/"):
        none = ui.label("No camera has been heard of yet.").classes("soft")
        grid = ui.element("div").classes("wall")

        def look() -> None:
            with dashboard.model.reading() as cameras:
                found = [summary(camera, *clocks()) for camera in cameras.values()]
            none.set_visibility(not found)
            for now in found:
                if now.camera_id in tiles:
                    tiles[now.camera_id].update(now)
                else:
                    with grid:
                        tiles[now.camera_id] = Tile(dashboard, now)

        look()
        ui.timer(parts.REFRESH_S, look)
