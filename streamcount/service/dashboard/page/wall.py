"""The wall: a tile per camera; one that is stale says so and disturbs no other."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from nicegui import ui

from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.groups import groups_of
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.group import GroupTile
from streamcount.service.dashboard.page.view import CameraView, ask_early
from streamcount.service.dashboard.views import CameraSummary, clocks, summary


class Tile:
    """One camera's tile. It is made once and then only told what changed."""

    def __init__(self, dashboard: Dashboard, first: CameraSummary) -> None:
        self._dashboard = dashboard
        self._names: tuple[str, ...] = ()
        self._styles: dict[str, tuple[str, int]] = {}
        camera_id = first.camera_id
        # Of few elements: each costs the server and the browser time before the page is seen, sixteen times over.
        with ui.element("section").classes("tile") as self._tile:
            # Not by props(), which parses: the name may be what somebody else wrote into Kafka.
            self._tile._props["aria-label"] = camera_id
            with ui.element("div").classes("tile-head"):
                ui.link(camera_id, f"/camera/{quote(camera_id)}")
                self._state = ui.label().classes("state")
            self._view = CameraView(camera_id, {})
            self._words = ui.html(sanitize=False)
        self.update(first)

    def update(self, now: CameraSummary) -> None:
        """Shows the camera as it is now."""
        names = tuple(now.counts)
        if names != self._names:
            self._names = names
            self._styles = parts.class_styles(self._dashboard.settings, now.camera_id, names)
            self._view._props["styles"] = {name: list(style) for name, style in self._styles.items()}
            self._view.update()
        bad = parts.is_bad(now)
        for element in (self._tile, self._state):
            element.classes(add="bad" if bad else "", remove="" if bad else "bad")
        self._state.set_text(parts.state_words(now))
        parts.set_html(self._words, words_html(now, self._styles))


def words_html(now: CameraSummary, styles: dict[str, tuple[str, int]]) -> str:
    """What stands under a tile's picture: counts, the last minutes, badges, rate, latency, frames accounted for."""
    latency = "" if now.latency_ms is None else f" · counted after {now.latency_ms:.0f} ms"
    wrong = ' class="bad-figure"' if now.difference_lasts or now.unaccounted_before else ""
    return (
        f'<div class="figures"><div class="total">{parts.total_words(now)}</div>'
        f'<div class="classes">{parts.classes_html(now.counts, styles)}</div>'
        f'<div class="spark-box">{parts.sparkline_svg(now.sparkline)}</div></div>'
        f'<div class="tile-foot"><div>{parts.chips_html(now)}</div><div>{now.rate_hz:.1f} frames/s{latency}</div>'
        f"<div{wrong}>{escape(parts.account_words(now))}</div></div>"
    )


def wall(dashboard: Dashboard) -> None:
    """Builds the page for one browser."""
    tiles: dict[str, Tile] = {}
    groups: dict[str, GroupTile] = {}
    with parts.framed(dashboard, "Wall", "/"):
        none = ui.label("No camera has been heard of yet.").classes("soft")
        grid = ui.element("div").classes("wall")
        together = ui.element("div").classes("wall")

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
            for group in groups_of(dashboard.settings, dashboard.model):
                if group.group_id in groups:
                    groups[group.group_id].update(group)
                else:
                    with together:
                        groups[group.group_id] = GroupTile(dashboard, group)
            together.set_visibility(bool(groups))

        look()
        ask_early(list(tiles))
        ui.timer(parts.REFRESH_S, look)
