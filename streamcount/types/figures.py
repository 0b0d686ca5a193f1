"""The figures of a window: their names, units and meanings."""

from __future__ import annotations

from typing import Final, NamedTuple

# What a model may say of a class: its cells are dead, in division, or what a biologist wants to be told of.
ROLES: Final = ("dead", "mitotic", "abnormal")
# By name, the role of the figures that tell how the number of such cells varies.
ROLE_SPREADS: Final = {f"{role}_{kind}": role for role in ROLES for kind in ("variance", "covariance")}


class FigureMeaning(NamedTuple):
    """unit: as in `Figure.unit`, "" for a pure number. meaning: one line for a reader."""

    unit: str
    meaning: str


FIGURES: Final[dict[str, FigureMeaning]] = {
    "cells": FigureMeaning("", "mean number of cells in a frame"),
    "cells_now": FigureMeaning("", "cells in the last frame"),
    "cells_seen": FigureMeaning("", "different cells that were followed"),
    "cells_variance": FigureMeaning("", "variance of cells, were all different cells independent"),
    "cells_counted": FigureMeaning("", "cells in a frame that count in densities of the whole field"),
    "cells_sized": FigureMeaning("", "cells in a frame whose pixel size is known"),
    "dead_cells": FigureMeaning("", "mean number of dead cells in a frame"),
    "mitotic_cells": FigureMeaning("", "mean number of cells in mitosis in a frame"),
    "abnormal_cells": FigureMeaning("", "mean number of cells of abnormal classes in a frame"),
    **{
        f"{role}_{kind}": FigureMeaning(
            "", f"{kind} of {role}_cells{others}, were all different cells independent"
        )
        for role in ROLES
        for kind, others in (("variance", ""), ("covariance", " and cells"))
    },
    "appeared": FigureMeaning("", "cells that were first recognised within the field, and are no daughters"),
    "births": FigureMeaning("", "daughters of the divisions"),
    "deaths": FigureMeaning("", "cells that died"),
    "divisions": FigureMeaning("", "cells that divided"),
    "entries": FigureMeaning("", "cells that came into the field, or into the zone"),
    "exits": FigureMeaning(
        "", "cells that left the field; of a zone, those that are in it no more, for any reason"
    ),
    "lost": FigureMeaning("", "cells that were not found again"),
    "abnormal": FigureMeaning("", "findings of abnormal cells; a cell may be found for several reasons"),
    "cells_per_mm2": FigureMeaning("1/mm²", "cells on an area"),
    "cells_per_ml": FigureMeaning("1/mL", "cells in a volume"),
    "field_mm2": FigureMeaning("mm²", "area of the field or zone"),
    "volume_ml": FigureMeaning("mL", "volume of undiluted sample on that area"),
    "fields": FigureMeaning("", "cameras that measure confluence"),
    "foreground": FigureMeaning("", "their confluences summed"),
    "patches": FigureMeaning("", "independent patches of the field, which the interval of confluence is of"),
    "confluence": FigureMeaning("", "share of the area that is cell, 0 to 1"),
    "viability": FigureMeaning("", "share of the cells that live, 0 to 1"),
    "mitotic_index": FigureMeaning("", "share of the cells in mitosis, 0 to 1"),
    "abnormal_fraction": FigureMeaning("", "share of the cells that are of abnormal classes, 0 to 1"),
    "area_um2": FigureMeaning("µm²", "mean area of a cell"),
    "diameter_um": FigureMeaning("µm", "diameter of the circle of a cell's area"),
    "doubling_time_h": FigureMeaning("h", "time in which the cells double"),
    "growth_rate_per_h": FigureMeaning("1/h", "growth rate of the number of cells"),
    "cell_area_um2": FigureMeaning("µm²", "areas of the cells in a frame summed"),
    "cell_area_squares_um4": FigureMeaning("µm⁴", "squares of these areas summed"),
    "dwell_total_s": FigureMeaning("s", "how long the cells that left a zone had been in it, summed"),
    "dwell_s": FigureMeaning("s", "time that a cell stays in a zone"),
    "crossings_forward": FigureMeaning("", "cells that crossed a line forward"),
    "crossings_backward": FigureMeaning("", "cells that crossed a line backward"),
}

# Of the whole field only, of zones or lines only, and of no single class.
FIELD_ONLY: Final = frozenset(
    {
        "area_um2", "cell_area_squares_um4", "cell_area_um2", "cells_counted", "cells_sized", "confluence",
        "diameter_um", "doubling_time_h", "fields", "foreground", "growth_rate_per_h", "patches",
    }
)  # fmt: skip
PLACES_ONLY: Final = frozenset({"crossings_backward", "crossings_forward", "dwell_s", "dwell_total_s"})
CLASSLESS: Final = PLACES_ONLY | {
    "abnormal_cells", "abnormal_fraction", "confluence", "dead_cells", "doubling_time_h", "field_mm2", "fields",
    "foreground", "growth_rate_per_h", "mitotic_cells", "mitotic_index", "patches", "viability", "volume_ml",
    *ROLE_SPREADS,
}  # fmt: skip

# Of no group of cameras.
CAMERAS_ONLY: Final = frozenset({"doubling_time_h", "growth_rate_per_h"})

# Made of the others, or of a whole run; the others are sums, or means per frame, that may be added over cameras.
DERIVED: Final = frozenset(
    {
        "abnormal_fraction", "area_um2", "cells_per_ml", "cells_per_mm2", "confluence", "diameter_um",
        "doubling_time_h", "dwell_s", "growth_rate_per_h", "mitotic_index", "viability",
    }
)  # fmt: skip

# What a window tells of itself, beside its figures; known in incomplete windows too.
WINDOW_FIGURES: Final[dict[str, FigureMeaning]] = {
    "flagged_fraction": FigureMeaning("", "share of the counted frames whose picture was bad, 0 to 1"),
    "frames_missing": FigureMeaning("", "frames that were lost"),
    "late_frames": FigureMeaning("", "frames of a time that was told already; they are counted in no window"),
    "late_events": FigureMeaning("", "events told too late to be counted in their window"),
}
