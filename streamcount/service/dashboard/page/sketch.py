"""A still picture to draw on: boxes, polygons, lines, by mouse or keyboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from nicegui.element import Element
from nicegui.events import GenericEventArguments

# "length" is a line of two points.
Kind: TypeAlias = Literal["box", "polygon", "line", "length"]
Tool: TypeAlias = Literal["choose"] | Kind
Point: TypeAlias = tuple[float, float]
NOTHING = -1


@dataclass(frozen=True)
class Shape:
    """Something drawn. points: (y, x), of a box two corners. dash: its pattern's number."""

    id: int
    kind: Kind
    points: Sequence[Point]
    color: str
    dash: int = 0
    name: str = ""


class Sketch(Element, component="sketch.js"):
    """A picture with shapes on it, in which boxes can be chosen and new shapes drawn.

    All points are (y, x) in pixels of the picture, whatever size it is shown in.
    """

    def __init__(self, label: str) -> None:
        super().__init__()
        self._props["label"] = label
        self._props["src"], self._props["shapes"] = "", []
        self._props["width_px"], self._props["height_px"] = 4, 3
        self._props["tool"], self._props["chosen"] = "choose", NOTHING

    def show(self, src: str, width_px: int, height_px: int) -> None:
        """Shows the picture at an address, which is of this size."""
        self._props.update(src=src, width_px=width_px, height_px=height_px)
        self.update()

    def set_shapes(self, shapes: Sequence[Shape], chosen: int = NOTHING) -> None:
        """Draws these shapes and no others."""
        self._props.update(shapes=[asdict(shape) for shape in shapes], chosen=chosen)
        self.update()

    def take(self, tool: Tool) -> None:
        """What the pointer and the keys do from now on; a shape that is begun is dropped."""
        self._props["tool"] = tool
        self.update()

    def on_drawn(self, handler: Callable[[Kind, list[Point]], None]) -> None:
        """`handler` is told of each shape that was drawn: with which tool, and its points."""

        def told(event: GenericEventArguments) -> None:
            found: dict[str, Any] = event.args
            handler(found["tool"], [(float(y), float(x)) for y, x in found["points"]])

        self.on("drawn", told)

    def on_chosen(self, handler: Callable[[int], None]) -> None:
        """`handler` is told which shape was chosen; NOTHING for none."""
        self.on("chosen", lambda event: handler(int(event.args["id"])))

    def on_pressed(self, handler: Callable[[str], None]) -> None:
        """`handler` is told of the keys 1 to 9, u, Delete and Backspace while the picture has the focus."""
        self.on("pressed", lambda event: handler(str(event.args["key"])))
