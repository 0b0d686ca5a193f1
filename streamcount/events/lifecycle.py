"""The life of a track as a table: which changes of status there are, and what each means to a biologist."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import StreamcountError
from streamcount.types import TrackStatus


class Meaning(IntEnum):
    """What a change of status says about the cell."""

    NONE = 0
    APPEARS = 1
    PRESENT = 2
    GOES = 3
    DIVIDES = 4


@dataclass(frozen=True)
class Transition:
    """One possible change of status in a frame. when: in words. events: kinds that it may send."""

    before: TrackStatus
    after: TrackStatus
    meaning: Meaning
    when: str
    events: tuple[str, ...] = ()


_T, _C, _L, _E, _D = (
    TrackStatus.TENTATIVE,
    TrackStatus.CONFIRMED,
    TrackStatus.LOST,
    TrackStatus.ENDED,
    TrackStatus.DIVIDING,
)
_GOES = ("CellDied", "CellLeft", "CellLost")
_SEEN = ("ClassChanged", "CellAbnormal", "CellDied")

LIFECYCLE: tuple[Transition, ...] = (
    Transition(_T, _T, Meaning.NONE, "seen too seldom to trust"),
    Transition(_T, _C, Meaning.APPEARS, "seen often enough to trust", ("CellAppeared", "CellAbnormal")),
    Transition(_T, _E, Meaning.NONE, "not seen again before it could be trusted"),
    Transition(_C, _C, Meaning.PRESENT, "seen again", _SEEN),
    Transition(_C, _L, Meaning.NONE, "not seen"),
    Transition(_C, _D, Meaning.NONE, "two daughters seem to be there", ("CellDivided provisional",)),
    Transition(_C, _E, Meaning.GOES, "not seen, and no miss is allowed", _GOES),
    Transition(_L, _C, Meaning.PRESENT, "found again", _SEEN),
    Transition(_L, _L, Meaning.NONE, "still not seen"),
    Transition(_L, _D, Meaning.NONE, "two daughters seem to be there", ("CellDivided provisional",)),
    Transition(_L, _E, Meaning.GOES, "not seen for too long", _GOES),
    Transition(_D, _D, Meaning.NONE, "daughters not yet certain"),
    Transition(
        _D, _C, Meaning.PRESENT, "one daughter was none, the other is the cell", ("CellDivided retracted",)
    ),
    Transition(_D, _L, Meaning.NONE, "no daughter is left in sight", ("CellDivided retracted",)),
    Transition(_D, _E, Meaning.DIVIDES, "both daughters can be trusted", ("CellDivided confirmed",)),
)

_FORBIDDEN = 255
_MEANINGS = np.full((len(TrackStatus), len(TrackStatus)), _FORBIDDEN, np.uint8)
for _row in LIFECYCLE:
    _MEANINGS[_row.before, _row.after] = _row.meaning
_MEANINGS.setflags(write=False)


def meanings(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N,) uint8 of Meaning for changes of status (N,).

    Raises StreamcountError for a change that the table does not have: a tracker that breaks its contract.
    """
    found: NDArray[np.uint8] = _MEANINGS[before, after]
    if np.any(found == _FORBIDDEN):
        row = int(np.argmax(found == _FORBIDDEN))
        raise StreamcountError(
            f"the tracker took a track from {TrackStatus(before[row]).name} to "
            f"{TrackStatus(after[row]).name}, which the lifecycle does not have; report this as its fault"
        )
    return found


def lifecycle_page() -> str:
    """The table as a page of Markdown: a Mermaid diagram, and each change in words."""
    names = {status: status.name.capitalize() for status in TrackStatus}
    arrows = [f"    [*] --> {names[_T]}: a detection that no track took", f"    {names[_E]} --> [*]"]
    lines = []
    for row in LIFECYCLE:
        before, after = names[row.before], names[row.after]
        sent = ", ".join(f"`{name}`" for name in row.events)
        lines.append(f"| {before.lower()} | {after.lower()} | {row.when} | {sent} |")
        if row.before != row.after:
            arrows.append(f"    {before} --> {after}: {row.when}")
    return "\n".join(
        [
            "# The life of a track",
            "",
            "Made from the table in `streamcount/events/lifecycle.py` by `make docs`. How changes are decided, and",
            "what the events mean: [tracking.md](tracking.md).",
            "",
            "```mermaid",
            "stateDiagram-v2",
            *arrows,
            "```",
            "",
            "| before | after | when | events it may send |",
            "|---|---|---|---|",
            *lines,
            "",
        ]
    )
