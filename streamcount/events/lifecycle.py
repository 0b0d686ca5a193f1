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


@dataclass(frozen=True)
class Transition:
    """One possible change of status in a frame. when: in words. events: kinds that it may send."""

    before: TrackStatus
    after: TrackStatus
    meaning: Meaning
    when: str
    events: tuple[str, ...] = ()


_T, _C, _L, _E = TrackStatus.TENTATIVE, TrackStatus.CONFIRMED, TrackStatus.LOST, TrackStatus.ENDED

LIFECYCLE: tuple[Transition, ...] = (
    Transition(_T, _T, Meaning.NONE, "first seen, or seen again but too seldom to trust"),
    Transition(_T, _C, Meaning.APPEARS, "seen often enough to trust", ("CellAppeared", "CellAbnormal")),
    Transition(_T, _E, Meaning.NONE, "not seen again before it could be trusted"),
    Transition(_C, _C, Meaning.PRESENT, "seen again", ("ClassChanged", "CellAbnormal")),
    Transition(_C, _L, Meaning.NONE, "not seen"),
    Transition(_C, _E, Meaning.GOES, "not seen, and no miss is allowed", ("CellLeft", "CellLost")),
    Transition(_L, _C, Meaning.PRESENT, "found again", ("ClassChanged", "CellAbnormal")),
    Transition(_L, _L, Meaning.NONE, "still not seen"),
    Transition(_L, _E, Meaning.GOES, "not seen for too long", ("CellLeft", "CellLost")),
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
