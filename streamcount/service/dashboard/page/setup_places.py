"""Drawing on a camera's picture: zones, counting lines, and a known length for the scale."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from nicegui import run, ui

from streamcount.errors import ConfigurationError, FrameError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.setup_options import PlaceForm, class_names
from streamcount.service.dashboard.page.sketch import Kind, Point, Shape, Sketch
from streamcount.service.dashboard.setup import (
    PlaceKind,
    SetupDraft,
    Step,
    camera_removal_step,
    place_step,
    places_px,
    removal_step,
    scale_step,
)
from streamcount.types.colors import class_color
from streamcount.wire import decode_image

PICTURE_WIDTH_PX = 1920
TOOLS = {"polygon": "zone", "line": "counting line", "length": "known length"}
HELP = {
    "polygon": "Click the corners one after the other; end by a double click, or on the first corner.",
    "line": "Click the points one after the other; end by a double click. The arrow shows which way is forward.",
    "length": "Click both ends of something whose length you know, such as a side of the counting grid.",
}
BY_KEYS = (
    "By keyboard: the arrow keys move the cross (with Shift by a pixel), Enter sets a point, Enter again on it ends, "
    "Backspace takes the last one back, Escape all."
)


@dataclass(frozen=True)
class Still:
    """A picture as it is shown while it is drawn on."""

    address: str
    width_px: int
    height_px: int


class PlacesPanel:
    """Draws on a picture of one of the cameras that are set up."""

    def __init__(self, dashboard: Dashboard, draft: SetupDraft, add: Callable[[Step], None]) -> None:
        self._dashboard, self._draft, self._add = dashboard, draft, add
        self._drawn: tuple[Kind, list[Point]] | None = None
        with ui.element("section").classes("panel").props('aria-label="On the picture"'):
            ui.html("<h2>Zones, lines and scale</h2>", sanitize=False)
            self._none = ui.label("No camera is set up in the file yet: begin with one below.").classes(
                "soft"
            )
            with ui.element("div").classes("stack") as self._all:
                self._build()

    def _build(self) -> None:
        with ui.element("div").classes("switches"):
            self._camera = ui.select([], label="camera", on_change=self._take_camera).props(
                "dense outlined stack-label"
            )
            ui.button("Take the newest picture", on_click=self.take).props(parts.PLAIN).classes("plain")
            ui.button("Take out this camera", on_click=self._remove_camera).props(parts.PLAIN).classes(
                "plain"
            )
        self._tool = ui.radio(TOOLS, value="polygon", on_change=self._take_tool).props("inline")
        self._sketch = Sketch("A picture to draw zones, lines or a known length on")
        self._sketch.on_drawn(self._draw)
        self._sketch.take("polygon")
        self._help = ui.label(HELP["polygon"]).classes("soft")
        ui.label(BY_KEYS).classes("soft")
        with ui.element("div").classes("switches"):
            self._name = ui.input("name").props("dense outlined stack-label")
            self._length = ui.input("length (µm)").props("dense outlined stack-label inputmode=decimal")
            self._length.set_visibility(False)
            self._options = PlaceForm()
            self._keep = ui.button("Set it up", on_click=self._take).props(parts.PLAIN).classes("plain")
        self._told = ui.label().props("role=status")
        self._places = ui.element("div").props('role=list aria-label="What is there"').classes("switches")

    def show(self) -> None:
        """Shows the cameras, zones and lines of the draft as it is now."""
        names = list(self._draft.settings.cameras)
        self._none.set_visibility(not names)
        self._all.set_visibility(bool(names))
        if self._camera.options != names:
            known = self._camera.value if self._camera.value in names else next(iter(names), None)
            self._camera.set_options(names, value=known)
        self._options.offer(class_names(self._dashboard, self._draft.settings, self._camera.value))
        self._show_shapes()
        self._show_places()

    async def _take_camera(self) -> None:
        self._drawn = None
        self.show()
        await self.take()

    async def take(self) -> None:
        """Shows the newest picture of the camera that was chosen."""
        camera_id = self._camera.value
        if camera_id is None:
            return
        still = await run.io_bound(still_of, self._dashboard, camera_id)
        if still is None:
            self._told.set_text(
                f"There is no picture of {camera_id} yet: start it, then take its newest picture."
            )
            return
        self._told.set_text("")
        self._sketch.show(still.address, still.width_px, still.height_px)

    def _take_tool(self) -> None:
        tool = cast(Kind, self._tool.value)
        self._drawn = None
        self._sketch.take(tool)
        self._help.set_text(HELP[tool])
        self._name.set_visibility(tool != "length")
        self._length.set_visibility(tool == "length")
        self._options.set_visibility(tool != "length")
        self._show_shapes()

    def _draw(self, tool: Kind, points: list[Point]) -> None:
        self._drawn = (tool, points)
        self._told.set_text(
            "Give its length, then set it up." if tool == "length" else "Name it, then set it up."
        )
        self._show_shapes()

    def _take(self) -> None:
        if self._drawn is None:
            self._told.set_text("Draw it on the picture first.")
            return
        (tool, points), camera_id = self._drawn, self._camera.value
        name = str(self._name.value or "").strip()
        try:
            if tool == "length":
                step = scale_step(camera_id, points, str(self._length.value or ""))
            else:
                kind: PlaceKind = "zones" if tool == "polygon" else "lines"
                said = self._options.value(name)
                step = place_step(self._draft.settings, camera_id, kind, name, points, said)
            self._drawn = None
            self._add(step)
        except ConfigurationError as error:
            self._drawn = (tool, points)
            self._told.set_text(f"Not set up: {error}.")
            return
        self._told.set_text(f"Set up: {step.words}.")
        self._name.set_value("")
        self._options.clear()

    def _remove(self, camera_id: str, kind: PlaceKind, name: str) -> None:
        try:
            self._add(removal_step(camera_id, kind, name))
        except ConfigurationError as error:
            self._told.set_text(f"Not taken out: {error}.")

    def _remove_camera(self) -> None:
        camera_id = self._camera.value
        try:
            self._drawn = None
            self._add(camera_removal_step(self._draft.settings, camera_id))
        except ConfigurationError as error:
            self._told.set_text(f"Not taken out: {error}.")

    def _change(self, camera_id: str, kind: PlaceKind, name: str) -> None:
        """Takes a zone or line as it is into the form, to be set up anew."""
        camera = self._draft.settings.cameras[camera_id]
        place = (camera.zones if kind == "zones" else camera.lines)[name]
        self._tool.set_value("polygon" if kind == "zones" else "line")
        found = places_px(self._draft.settings, camera_id)
        points = next(list(points) for at, one, points in found if (at, one) == (kind, name))
        self._name.set_value(name)
        self._options.load(name, place)
        self._draw(cast(Kind, self._tool.value), points)
        self._told.set_text("Change what is to be changed, or draw it anew; then set it up.")

    def _show_shapes(self) -> None:
        camera_id = self._camera.value
        if camera_id not in self._draft.settings.cameras:
            return
        shapes = [
            Shape(
                i, "polygon" if kind == "zones" else "line", points, class_color(i),
                name=name,
            )
            for i, (kind, name, points) in enumerate(places_px(self._draft.settings, camera_id))
        ]  # fmt: skip
        if self._drawn is not None:
            tool, points = self._drawn
            shapes.append(Shape(len(shapes), tool, points, "#ffffff", 1))
        self._sketch.set_shapes(shapes)

    def _show_places(self) -> None:
        self._places.clear()
        camera_id = self._camera.value
        if camera_id not in self._draft.settings.cameras:
            return
        pixel_size_um = self._draft.settings.cameras[camera_id].pixel_size_um
        scale = "scale not set" if pixel_size_um is None else f"{pixel_size_um:g} µm a pixel"
        with self._places:
            ui.label(scale).props("role=listitem")
            for kind, name, _ in places_px(self._draft.settings, camera_id):
                with ui.element("span").props("role=listitem").classes("key"):
                    ui.label(f"{kind[:-1]} {name}")
                    ui.button("Change", on_click=partial(self._change, camera_id, kind, name)).props(
                        f'{parts.PLAIN} aria-label="Change {kind[:-1]} {name}"'
                    ).classes("plain")
                    ui.button("Take out", on_click=partial(self._remove, camera_id, kind, name)).props(
                        f'{parts.PLAIN} aria-label="Take out {kind[:-1]} {name}"'
                    ).classes("plain")


def still_of(dashboard: Dashboard, camera_id: str) -> Still | None:
    """The picture of a camera that is shown now, held in its address; None where there is none that can be read."""
    picture = dashboard.shown(camera_id)
    if picture is None:
        return None
    try:
        image = decode_image(picture.data, picture.content_type, dashboard.settings.limits.frame_pixels)
        data = dashboard.pictures.jpeg(camera_id, picture, PICTURE_WIDTH_PX)
    except FrameError:
        return None
    return Still(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", image.shape[1], image.shape[0])
