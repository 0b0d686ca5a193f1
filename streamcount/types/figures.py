"""The figures of a window: their names, units and meanings."""

from __future__ import annotations

from typing import Final, NamedTuple


class FigureMeaning(NamedTuple):
    """unit: as in `Figure.unit`, "" for a pure number. meaning: one line for a reader."""

    unit: str
    meaning: str


FIGURES: Final[dict[str, FigureMeaning]] = {
    "cells": FigureMeaning("", "mean number of cells in a frame"),
    "cells_now": FigureMeaning("", "cells in the last frame"),
    "cells_seen": FigureMeaning("", "different cells"),
    "births": FigureMeaning("", "cells that appeared by division"),
    "deaths": FigureMeaning("", "cells that died"),
    "divisions": FigureMeaning("", "cells that divided"),
    "entries": FigureMeaning("", "cells that came into the field or zone"),
    "exits": FigureMeaning("", "cells that left the field or zone"),
    "lost": FigureMeaning("", "cells that were not found again"),
    "abnormal": FigureMeaning("", "cells found to be abnormal"),
    "cells_per_mm2": FigureMeaning("1/mm2", "cells on an area"),
    "cells_per_ml": FigureMeaning("1/mL", "cells in a volume"),
    "confluence": FigureMeaning("", "share of the area that is cell, 0 to 1"),
    "viability": FigureMeaning("", "share of the cells that live, 0 to 1"),
    "mitotic_index": FigureMeaning("", "share of the cells in mitosis, 0 to 1"),
    "abnormal_fraction": FigureMeaning("", "share of the cells that are abnormal, 0 to 1"),
    "area_um2": FigureMeaning("um2", "area of a cell"),
    "diameter_um": FigureMeaning("um", "diameter of the circle of a cell's area"),
    "doubling_time_h": FigureMeaning("h", "time in which the cells double"),
    "growth_rate_per_h": FigureMeaning("1/h", "growth rate of the number of cells"),
    "dwell_s": FigureMeaning("s", "time that a cell stays in a zone"),
    "crossings_forward": FigureMeaning("", "cells that crossed a line forward"),
    "crossings_backward": FigureMeaning("", "cells that crossed a line backward"),
}

# What a window tells of itself, beside its figures; known in incomplete windows too.
WINDOW_FIGURES: Final[dict[str, FigureMeaning]] = {
    "flagged_fraction": FigureMeaning("", "share of the counted frames whose picture was bad, 0 to 1"),
    "frames_missing": FigureMeaning("", "frames that were lost"),
    "late_events": FigureMeaning("", "events told too late to be counted in their window"),
}
