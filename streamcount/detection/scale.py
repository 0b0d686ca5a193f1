"""How large the cells of a frame are, where nobody tells: looked at in several sizes until they look right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamcount.detection.postprocess import STRIDE_PX, Cells, Maps, typical_diameter
from streamcount.types import Float32Array

# The longer side in the coarsest look at a frame of unknown scale; then twice as much, and so on.
FIRST_SIDE_PX = 128
FINEST = 4  # times the frame's own resolution
LARGEST_LOOK_PX = 6_000_000
RELIABLE_SCALE = (0.6, 1.7)  # found diameter over the net's within which a look is believed
RELIABLE_CELLS = 4
RELIABLE_SHARE = 0.5  # of the cells, of the reference class
# Of what looks like cell, so much must lie in found cells: specks between large cells are not what is counted.
RELIABLE_COVER = 0.5
# At the scale that is usual for the model, one cell of nearly the right size will do.
USUAL_SCALE = (0.7, 1.4)


@dataclass(frozen=True)
class Look:
    """What one pass found: cells in pixels of the net's input, the maps, and input pixels per frame pixel."""

    cells: Cells
    maps: Maps
    scale_yx: tuple[float, float]
    shape_px: tuple[int, int]

    @property
    def scale(self) -> float:
        """Input pixels per frame pixel, both axes in one."""
        return float(np.sqrt(self.scale_yx[0] * self.scale_yx[1]))


@dataclass(frozen=True)
class ScaleRules:
    """What a model knows of its cells' size.

    diameter_px: the reference class's at the net's scale; usual_px: in the frames that it was trained on, 0 where
    unknown; reference_class: its index; relative_diameters (C,): of the classes over the reference's; thresholds
    (C,): from which a cell is sure.
    """

    diameter_px: float
    usual_px: float
    reference_class: int
    relative_diameters: Float32Array
    thresholds: Float32Array

    def sure(self, cells: Cells) -> Cells:
        """The cells by the model's own thresholds, so that the scale found depends on no override."""
        return cells.take(cells.scores >= self.thresholds[cells.class_ids])

    def diameter(self, look: Look) -> float | None:
        """The reference cell's diameter in px of the frame, or None where no whole cell is found."""
        found = typical_diameter(
            self.sure(look.cells), self.reference_class, self.relative_diameters, look.shape_px
        )
        return None if found is None else found / look.scale


def first_look(
    look: Callable[[float], Look], longest_px: int, rules: ScaleRules
) -> tuple[Look, float | None]:
    """Look at the usual scale, then from coarse to fine, until enough cells of about the net's size are found.

    Most of them must be of the reference class: seen too coarsely, a red cell looks like a platelet, of which
    there are never so many. `look` takes input pixels per frame pixel. Returns the look that is believed and the
    diameter that it tells; where none is, the look at the usual scale, else the likeliest, and None.
    """
    usual = None
    if rules.usual_px:
        usual = look(rules.diameter_px / rules.usual_px)
        if _believed(usual, rules, USUAL_SCALE, 1):
            return usual, rules.diameter(usual)
    best: tuple[float, Look] | None = None
    side = float(FIRST_SIDE_PX)
    while best is None or (side <= FINEST * longest_px and side * side <= LARGEST_LOOK_PX):
        seen = look(side / longest_px)
        if _believed(seen, rules, RELIABLE_SCALE, RELIABLE_CELLS):
            return seen, rules.diameter(seen)
        off, share = _judged(seen, rules)
        merit = 2 * share - abs(float(np.log(off)))
        if best is None or merit > best[0]:
            best = merit, seen
        side *= 2
    return (usual if usual is not None else best[1]), None


def _judged(look: Look, rules: ScaleRules) -> tuple[float, float]:
    """The found diameter over the net's, and the share of the reference class among the sure cells."""
    sure = rules.sure(look.cells)
    share = float(np.mean(sure.class_ids == rules.reference_class)) if len(sure) else 0.0
    return (rules.diameter(look) or 1e-3) * look.scale / rules.diameter_px, share


def _believed(look: Look, rules: ScaleRules, limits: tuple[float, float], cells: int) -> bool:
    off, share = _judged(look, rules)
    sure = rules.sure(look.cells)
    right = limits[0] <= off <= limits[1] and share >= RELIABLE_SHARE
    return right and len(sure) >= cells and _cover(sure, look) >= RELIABLE_COVER


def _cover(cells: Cells, look: Look) -> float:
    """The area of cells, as ellipses in their boxes, over that of what looks like cell; 1 where nothing does."""
    foreground = look.maps.foreground
    rows, columns = (-(-side // STRIDE_PX) for side in look.shape_px)
    cell = np.count_nonzero(foreground.raw[:rows, :columns] >= foreground.raw_level(0.5)) * STRIDE_PX**2
    found = float((cells.boxes_px[:, 2:] - cells.boxes_px[:, :2]).prod(axis=1).sum()) * np.pi / 4
    return found / cell if cell else 1.0
