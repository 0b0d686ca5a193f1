"""Correcting one frame of a camera: another class, no cell, a cell that was missed."""

from __future__ import annotations

from typing import cast
from urllib.parse import quote

from nicegui import run, ui

from streamcount.errors import CorrectionError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.corrections import OFF, HeldFrame, counted
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.sketch import NOTHING, Kind, Point, Shape, Sketch, Tool
from streamcount.types.colors import class_color
from streamcount.types.corrections import (
    LEAST_SIDE_PX,
    LONGEST_REMARK,
    Box,
    Correction,
    Draw,
    LabelledCell,
    Relabel,
    Saving,
    Strike,
)

PICTURE_WIDTH_PX = 1920
SHOWN_SAVINGS = 30
LONGEST_CLASS = 100
HELP = (
    "Click a cell, or give the picture the focus and use the arrow keys; 1 to 9 give it a class, Delete strikes it, "
    "u undoes. To draw, drag from corner to corner, or press Enter at each corner, the arrow keys moving the cross."
)


class CorrectPage:
    """The page in one browser: the frame that it holds, and what is said of it and not saved yet."""

    def __init__(self, dashboard: Dashboard, camera_id: str) -> None:
        self._dashboard = dashboard
        self._camera_id = camera_id
        self._held: HeldFrame | None = None
        self._said: list[Correction] = []
        self._new: list[str] = []
        self._chosen = NOTHING
        self._styles: dict[str, tuple[str, int]] = {}
        with ui.element("div").classes("two"):
            with ui.element("div").classes("column-of"):
                self._build_picture()
            with ui.element("div").classes("column-of"):
                self._build_tools()
                self._saved = parts.panel("Saved")

    def _build_picture(self) -> None:
        with ui.element("section").classes("tile").props('aria-label="Frame"'):
            with ui.element("div").classes("tile-head"):
                self._head = ui.label()
                ui.element("span").classes("grow")
                self._newest = (
                    ui.button("Take the newest frame", on_click=self.take).props(parts.PLAIN).classes("plain")
                )
            self._sketch = Sketch(f"A frame of {self._camera_id} to be corrected")
            self._sketch.on_drawn(self._draw)
            self._sketch.on_chosen(self._choose)
            self._sketch.on_pressed(self._press)
            self._legend = ui.html(sanitize=False).classes("figures classes")
            ui.label(HELP).classes("soft tile-foot")

    def _build_tools(self) -> None:
        with ui.element("section").classes("panel").props('aria-label="Corrections"'):
            ui.html("<h2>Corrections</h2>", sanitize=False)
            tools = {"choose": "choose a cell", "box": "draw a missed cell"}
            self._tool = ui.radio(tools, value="choose", on_change=self._take_tool).props("inline")
            with ui.element("fieldset").classes("choices"):
                ui.html("<legend>Class</legend>", sanitize=False)
                self._class = ui.radio([], on_change=self._show).props("inline")
                with ui.element("div").classes("switches"):
                    self._other = ui.input("another class").props(f"dense outlined maxlength={LONGEST_CLASS}")
                    ui.button("Add it", on_click=self._add_class).props(parts.PLAIN).classes("plain")
            with ui.element("div").classes("switches"):
                self._relabel = (
                    ui.button("It is", on_click=self._say_relabel).props(parts.PLAIN).classes("plain")
                )
                self._strike = (
                    ui.button("Strike it: no cell", on_click=self._say_strike)
                    .props(parts.PLAIN)
                    .classes("plain")
                )
                self._undo = ui.button("Undo", on_click=self._take_back).props(parts.PLAIN).classes("plain")
            self._list = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            self._checked = ui.checkbox("Every other cell of this frame is right").props("dense")
            ui.label(
                "Only frames of which this is said become training data: in others, cells that were missed would "
                "teach that there are none."
            ).classes("soft")
            self._remark = ui.input("Remark").props(f"dense outlined stack-label maxlength={LONGEST_REMARK}")
            self._save = ui.button("Save", on_click=self.save).props("no-caps").classes("main")
            self._told = ui.label().props("role=status")

    async def take(self, frame: tuple[str, int] | None = None) -> None:
        """Holds a frame, the newest whose cells are known unless one is named, and shows it."""
        corrections, model = self._dashboard.corrections, self._dashboard.model
        try:
            held = await run.io_bound(corrections.hold, model, self._camera_id, frame)
        except CorrectionError as error:
            self._tell(str(error))
            return
        if held is None:
            # The server is ending.
            return
        self._held, picture, facts = held, held.picture, held.facts
        self._said.clear()
        self._new.clear()
        self._chosen = NOTHING
        self._offer_classes(held)
        address = (
            f"/api/v1/cameras/{quote(self._camera_id)}/picture?run={quote(picture.run_id)}"
            f"&sequence={picture.sequence}&width={PICTURE_WIDTH_PX}"
        )
        self._sketch.show(address, facts.width_px, facts.height_px)
        self._head.set_text(
            f"run {picture.run_id}, frame {picture.sequence}, {parts.clock(picture.acquired_at_ns)}, "
            f"found by {facts.model.name}"
        )
        self._checked.set_value(held.checked)
        self._show()
        self._show_saved()
        self._tell("")

    def _offer_classes(self, held: HeldFrame) -> None:
        model = held.facts.model.class_names
        names = (*model, *held.new_classes, *self._new)
        self._styles = parts.class_styles(self._dashboard.settings, self._camera_id, model)
        for i, name in enumerate(names[len(model) :], len(model)):
            self._styles[name] = (class_color(i), i)
        chosen = self._class.value if self._class.value in names else names[0]
        self._class.set_options({name: f"{i} {name}" for i, name in enumerate(names, 1)}, value=chosen)

    def _add_class(self) -> None:
        name = str(self._other.value or "").strip()
        if self._held is None or not name:
            return
        known = next((one for one in self._styles if one.lower() == name.lower()), None)
        if known is None:
            self._new.append(name)
            self._offer_classes(self._held)
        self._class.set_value(known or name)
        self._other.set_value("")
        self._tell("Kept with what is saved; frames that were saved before were not looked at for it.")
        self._show()

    def _take_tool(self) -> None:
        self._sketch.take(cast(Tool, self._tool.value))

    def _choose(self, number: int) -> None:
        self._chosen = number
        self._show()

    def _press(self, key: str) -> None:
        names = list(self._styles)
        if key == "u":
            self._take_back()
        elif key in ("Delete", "Backspace"):
            self._say_strike()
        elif int(key) <= len(names):
            self._class.set_value(names[int(key) - 1])
            self._say_relabel()

    def _draw(self, _: Kind, points: list[Point]) -> None:
        (y0, x0), (y1, x1) = points
        if min(y1 - y0, x1 - x0) < LEAST_SIDE_PX:
            self._tell("That box is too small; drag from one corner of the cell to the other.")
            return
        self._say(Draw((y0, x0, y1, x1), self._class.value))

    def _say_relabel(self) -> None:
        cell = self._chosen_cell()
        if cell is not None and cell.class_name != self._class.value:
            self._say(Relabel(cell.cell, self._class.value))

    def _say_strike(self) -> None:
        cell = self._chosen_cell()
        if cell is not None:
            self._chosen = NOTHING
            self._say(Strike(cell.cell))

    def _say(self, correction: Correction) -> None:
        self._said.append(correction)
        self._tell("")
        self._show()

    def _take_back(self) -> None:
        if self._said:
            self._said.pop()
            self._chosen = NOTHING
            self._show()

    def _cells(self) -> tuple[LabelledCell, ...]:
        return () if self._held is None else self._held.cells(self._said, self._new)

    def _chosen_cell(self) -> LabelledCell | None:
        return next((cell for cell in self._cells() if cell.cell == self._chosen), None)

    def _show(self) -> None:
        if self._held is None:
            return
        cells, chosen = self._cells(), self._chosen_cell()
        shapes = [self._shape(cell) for cell in cells]
        self._sketch.set_shapes(shapes, self._chosen)
        counts = {name: sum(cell.class_name == name for cell in cells) for name in self._styles}
        parts.set_html(self._legend, parts.classes_html(counts, self._styles))
        self._relabel.set_text(f"It is: {self._class.value}")
        self._relabel.set_enabled(chosen is not None and chosen.class_name != self._class.value)
        self._strike.set_enabled(chosen is not None)
        self._undo.set_enabled(bool(self._said))
        self._newest.set_enabled(not self._said)
        rows = [[i, _words(one)] for i, one in enumerate(self._said, 1)]
        parts.set_html(
            self._list,
            parts.table_html("Not saved yet", ("", "not saved yet"), rows, "Nothing is corrected yet."),
        )

    def _shape(self, cell: LabelledCell) -> Shape:
        color, dash = self._styles[cell.class_name]
        y0, x0, y1, x1 = cell.box_px
        origin = "" if cell.found else ", drawn"
        return Shape(
            cell.cell,
            "box",
            ((y0, x0), (y1, x1)),
            color,
            dash,
            f"cell {cell.cell}: {cell.class_name}{origin}",
        )

    async def save(self) -> None:
        """Keeps what is said; then the page goes on from there."""
        if self._held is None:
            return
        checked = bool(self._checked.value)
        if not self._said and not self._new and checked == self._held.checked:
            self._tell("There is nothing to save: correct a cell, or say that all are right.")
            return
        remark = str(self._remark.value or "").strip()
        try:
            saving = await run.io_bound(
                self._dashboard.corrections.save,
                self._held,
                tuple(self._said),
                checked,
                remark,
                tuple(self._new),
            )
        except CorrectionError as error:
            self._tell(f"Not saved: {error}.")
            return
        if saving is None:
            return
        picture = self._held.picture
        self._remark.set_value("")
        await self.take((picture.run_id, picture.sequence))
        self._tell(f"Saved: {summary_of(saving)}.")

    def _show_saved(self) -> None:
        try:
            savings = self._dashboard.corrections.newest(SHOWN_SAVINGS)
        except CorrectionError as error:
            self._tell(str(error))
            return
        rows = [
            [
                parts.clock(one.saved_at_ns),
                one.frame.camera_id,
                parts.number(one.frame.sequence),
                summary_of(one),
                one.remark,
            ]
            for one in savings
        ]
        columns = ("saved", "camera", "frame", "what", "remark")
        parts.set_html(self._saved, parts.table_html("Saved", columns, rows, "Nothing was saved yet."))

    def _tell(self, words: str) -> None:
        self._told.set_text(words)


def summary_of(saving: Saving) -> str:
    """What a saving says, in words."""
    names = {"relabel": "relabelled", "strike": "struck", "draw": "drawn"}
    counts = [f"{count} {names[kind]}" for kind, count in counted(saving).items() if count]
    rest = "all else right" if saving.checked else "the rest not looked at"
    return ", ".join([*counts, rest])


def _words(correction: Correction) -> str:
    match correction:
        case Relabel(cell=cell, class_name=name):
            return f"cell {cell} is: {name}"
        case Strike(cell=cell):
            return f"cell {cell} is none"
        case Draw(box_px=box, class_name=name):
            return f"{name} drawn at {_place(box)}"


def _place(box: Box) -> str:
    y0, x0, y1, x1 = box
    return f"x {(x0 + x1) / 2:.0f}, y {(y0 + y1) / 2:.0f}"


async def correct_page(dashboard: Dashboard, camera_id: str, frame: tuple[str, int] | None) -> None:
    """Builds the page for one browser. frame: (run, sequence); None for the newest."""
    with parts.framed(dashboard, f"Correct {camera_id}", f"/camera/{camera_id}/correct"):
        ui.link(f"Back to {camera_id}", f"/camera/{camera_id}").classes("go")
        if not dashboard.corrections.enabled:
            ui.label(f"{OFF[0].upper()}{OFF[1:]}.")
            return
        page = CorrectPage(dashboard, camera_id)
        await page.take(frame)
