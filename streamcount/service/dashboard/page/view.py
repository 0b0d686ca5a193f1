"""The canvas: the one part of the page that is written for the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from streamcount.events.places import PlacesMap
from streamcount.service.dashboard.moments import Moment

HERE = Path(__file__).parent
# About a tile's on a large screen; what comes next is asked for as wide as the tile is.
EARLY_PX = 480
# What is on the first screen, or more.
MOST_EARLY = 24


def ask_early(cameras: Sequence[str]) -> None:
    """Has the browser ask for the newest pictures of the first cameras before it has read what will show them."""
    script = (HERE / "early.js").read_text()
    # Within a script no "<" may end it.
    names = msgspec.json.encode(list(cameras)[:MOST_EARLY]).decode().replace("<", "\\u003c")
    ui.add_head_html(f"<script>{script.replace('CAMERAS', names).replace('WIDTH', str(EARLY_PX))}</script>")


class CameraView(Element, component="view.js"):
    """A camera's newest picture with its cells, fetched by the browser at most `hz` times a second while in view.

    styles: for each class its colour and the number of its dash pattern.
    """

    def __init__(self, camera_id: str, styles: dict[str, tuple[str, int]], hz: float = 5.0) -> None:
        super().__init__()
        self._props["camera"] = camera_id
        self._props["styles"] = {name: list(style) for name, style in styles.items()}
        self._props["hz"] = hz
        self._props["hidden"] = []
        self._props["ids"] = self._props["tails"] = self._props["selectable"] = False
        self._props["outlines"] = self._props["zones"] = True
        self._props["places"] = self._props["past"] = None

    def show(self, what: str, on: bool) -> None:
        """Switches "outlines", "ids", "tails" or "zones"."""
        self._props[what] = on
        self.update()

    def draw_places(self, places: PlacesMap) -> None:
        """Draws the camera's zones and counting lines over the picture."""
        self._props["places"] = {
            kind: [{"name": one.name, "points_px": one.points_px.tolist()} for one in every]
            for kind, every in (("zones", places.zones), ("lines", places.lines))
        }
        self.update()

    def turn_to(self, moment: Moment | None) -> None:
        """Shows a moment of the past in place of the present; None for the present."""
        self._props["past"] = None if moment is None else msgspec.to_builtins(moment)
        self.update()

    def hide_classes(self, names: list[str]) -> None:
        """Draws no cells of these classes."""
        self._props["hidden"] = names
        self.update()

    def on_cell(self, handler: Callable[[dict[str, Any]], None]) -> None:
        """Lets cells be chosen by click or arrow keys; `handler` is told of the chosen one, and as it changes."""

        def told(event: GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                handler(event.args)

        self._props["selectable"] = True
        self.on("cell", told)
