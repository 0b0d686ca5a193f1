"""What windows are shown of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcount.types import AnyEvent, Detections, Tracks

BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Surroundings:
    """Zones and lines of a frame. Z zones.

    zones, lines: their names. drawn: how they are drawn; windows are begun anew when it changes.
    zone_areas_px: (Z,) float64, within the image.
    detections, tracks, events: (N, Z), (M, Z), (E, Z) bool, which rows lie in which zone.
    """

    zones: tuple[str, ...]
    lines: tuple[str, ...]
    drawn: str
    zone_areas_px: NDArray[np.float64]
    detections: BoolArray
    tracks: BoolArray
    events: BoolArray


@dataclass(frozen=True)
class Seen:
    """One counted frame: its M tracks, N detections, E events of this step, and whether the picture is flagged."""

    detections: Detections
    tracks: Tracks
    events: Sequence[AnyEvent] = ()
    flagged: bool = False
    surroundings: Surroundings | None = None
