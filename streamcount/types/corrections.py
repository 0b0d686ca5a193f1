"""Corrections: what a person says of the cells that were found in a frame, kept as said and never changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

from streamcount.errors import CorrectionError
from streamcount.types.frame import IDENTIFIER

LEAST_SIDE_PX = 2.0
MOST_CORRECTIONS = 5000
LONGEST_REMARK = 500

Box: TypeAlias = tuple[float, float, float, float]
CellNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
ClassWord: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Identifier: TypeAlias = Annotated[str, msgspec.Meta(pattern=f"^{IDENTIFIER.pattern}$")]
Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Relabel(msgspec.Struct, frozen=True, tag_field="kind", tag="relabel"):
    """The cell is of another class."""

    cell: CellNumber
    class_name: ClassWord


class Strike(msgspec.Struct, frozen=True, tag_field="kind", tag="strike"):
    """There is no such cell."""

    cell: CellNumber


class Draw(msgspec.Struct, frozen=True, tag_field="kind", tag="draw"):
    """A cell that was missed. box_px: half-open (y0, x0, y1, x1), within the image."""

    box_px: Box
    class_name: ClassWord


Correction: TypeAlias = Relabel | Strike | Draw


class FoundCell(msgspec.Struct, frozen=True):
    """A cell as the model found it. box_px: half-open (y0, x0, y1, x1). probability: of its class."""

    box_px: Box
    class_name: str
    probability: float


class LabelledCell(msgspec.Struct, frozen=True):
    """A cell after corrections.

    cell: its number: found cells count from 0, drawn ones go on from there. found: False of a cell that was drawn.
    """

    cell: int
    box_px: Box
    class_name: str
    found: bool


class CorrectedModel(msgspec.Struct, frozen=True):
    """Which model found the cells: its name, the sha256 of what decides, its classes."""

    name: str
    sha256: str
    class_names: tuple[str, ...]


class FrameFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A frame and what was found in it: all that its corrections speak of.

    frame_sha256: of the encoded image as the camera sent it. found: the cells, cell i being entry i.
    """

    camera_id: Identifier
    run_id: Identifier
    sequence: int
    acquired_at_ns: int
    frame_sha256: Sha256
    content_type: str
    width_px: int
    height_px: int
    pixel_size_um: float | None
    model: CorrectedModel
    found: tuple[FoundCell, ...]


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """Corrections of one frame, saved together.

    number: of this saving among those of the frame, from 1; their corrections are applied one after the other.
    saved_at_ns: wall time. checked: all else in the frame is right, said whoever saved it.
    new_classes: classes beside the model's that the frame was looked at for.
    """

    frame: FrameFacts
    number: int
    saved_at_ns: int
    corrections: tuple[Correction, ...]
    checked: bool
    remark: str = ""
    new_classes: tuple[ClassWord, ...] = ()


def labelled(
    frame: FrameFacts, corrections: Sequence[Correction], new_classes: Sequence[str] = ()
) -> tuple[LabelledCell, ...]:
    """The frame's cells after these corrections, by their numbers. new_classes: beside the model's.

    Raises CorrectionError where one speaks of a cell that is not there, a class that neither the model nor
    `new_classes` know, or a box outside of the image.
    """
    known = (*frame.model.class_names, *new_classes)
    cells = {i: LabelledCell(i, cell.box_px, cell.class_name, True) for i, cell in enumerate(frame.found)}
    following = len(frame.found)
    for correction in corrections:
        match correction:
            case Draw(box_px=box, class_name=name):
                _require_box(frame, box)
                cells[following] = LabelledCell(following, box, _known(frame, known, name), False)
                following += 1
            case Relabel(cell=number, class_name=name):
                changed = _there(cells, number)
                cells[number] = msgspec.structs.replace(changed, class_name=_known(frame, known, name))
            case Strike(cell=number):
                _there(cells, number)
                del cells[number]
    return tuple(cells.values())


def labelled_by(savings: Sequence[Saving]) -> tuple[LabelledCell, ...]:
    """The cells of one frame after all of its savings, in order. Raises CorrectionError."""
    corrections = [one for saving in savings for one in saving.corrections]
    return labelled(savings[0].frame, corrections, new_classes_of(savings))


def new_classes_of(savings: Sequence[Saving]) -> tuple[str, ...]:
    """The classes beside the model's that savings know, the first to be named first."""
    return tuple(dict.fromkeys(name for saving in savings for name in saving.new_classes))


def _there(cells: dict[int, LabelledCell], number: int) -> LabelledCell:
    if number not in cells:
        raise CorrectionError(f"there is no cell {number} in this frame, or it was struck before")
    return cells[number]


def _known(frame: FrameFacts, known: Sequence[str], name: str) -> str:
    if name not in known:
        raise CorrectionError(f"{name!r} is no class of {frame.model.name}; give one of {', '.join(known)}")
    return name


def _require_box(frame: FrameFacts, box: Box) -> None:
    y0, x0, y1, x1 = box
    inside = min(y0, x0) >= 0 and y1 <= frame.height_px and x1 <= frame.width_px
    if not all(map(math.isfinite, box)) or not inside or min(y1 - y0, x1 - x0) < LEAST_SIDE_PX:
        raise CorrectionError(
            f"a box is (y0, x0, y1, x1) within the image of {frame.width_px}x{frame.height_px} px, its sides at "
            f"least {LEAST_SIDE_PX:g} px; this one is {box}"
        )
