"""From pixels and counts to what a biologist writes down: per mm2, per mL, µm, fractions.

An estimate goes in with its interval and comes out with it, in the other unit. Pixel size, depth and dilution are
taken as exact; docs/units.md says what they add.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcount.statistics.intervals import LEVEL, Estimate, Float64Array, fraction, wilson_interval

UM2_PER_MM2 = 1e6
# 1 mL is 1 cm3, and 1 cm is 1e4 µm. 1 µL is 1 mm3, 1e9 µm3.
UM3_PER_ML = 1e12


def field_area_um2(shape_px: tuple[int, int], pixel_size_um: float) -> float:
    """Area of a field of (height, width) pixels, in µm2. Raises ValueError."""
    _positive(pixel_size_um=pixel_size_um, height=shape_px[0], width=shape_px[1])
    return shape_px[0] * shape_px[1] * pixel_size_um**2


def cells_per_mm2(cells: Estimate, area_um2: float) -> Estimate:
    """Cells per mm2 of a field or zone. Raises ValueError where there is no area."""
    _positive(area_um2=area_um2)
    return cells.scaled(UM2_PER_MM2 / area_um2)


def cells_per_ml(cells: Estimate, area_um2: float, depth_um: float, dilution: float = 1.0) -> Estimate:
    """Cells per mL of the undiluted sample: cells x dilution / (area x depth).

    depth_um: of the chamber, 100 in an improved Neubauer chamber. dilution: the volume after dilution over the volume
    of the sample in it, so 2 where as much of a stain was added. Raises ValueError.
    """
    _positive(area_um2=area_um2, depth_um=depth_um)
    if not dilution >= 1:
        raise ValueError(f"dilution is the volume after over the volume before, 1 or more, not {dilution}")
    return cells.scaled(dilution * UM3_PER_ML / (area_um2 * depth_um))


def diameter_um(area_um2: ArrayLike) -> Float64Array:
    """Diameter of the circle of the same area, in µm; of the area's shape. Raises ValueError for a negative area."""
    areas = np.asarray(area_um2, np.float64)
    if not (areas >= 0).all():
        raise ValueError("an area is negative or not a number")
    return np.asarray(2 * np.sqrt(areas / np.pi), np.float64)


def counted_in(boxes_px: ArrayLike, square_px: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """(N,) which boxes count within a rectangle, by the rule of haemocytometers.

    boxes_px: (N, 4), half-open (y0, x0, y1, x1). square_px: likewise, such as a square of a Neubauer chamber.

    A cell that touches the top or left edge counts, one that touches the bottom or right does not (Gundersen, J.
    Microsc. 111, 1977). The rule here asks where the lower right corner of the box lies (the associated point of
    Miles, Math. Biosci. 6, 1970): the same for cells smaller than the square, and a cell counts in exactly one
    square of a grid, whatever its size. A corner on the bottom or right edge itself is in the next square, so at
    the image's own edge a cell that is cut off there does not count. Raises ValueError.
    """
    y0, x0, y1, x1 = square_px
    if not (y1 > y0 and x1 > x0):
        raise ValueError(f"a square is (y0, x0, y1, x1) with y1 > y0 and x1 > x0, not {square_px}")
    corners = np.asarray(boxes_px, np.float64).reshape(-1, 4)[:, 2:]
    return np.asarray(((corners >= (y0, x0)) & (corners < (y1, x1))).all(axis=1), np.bool_)


def viability(living: float, dead: float, level: float = LEVEL) -> Estimate | None:
    """Living of all different cells whose class says that they live or are dead, None of no such cells."""
    return fraction(living, living + dead, level)


def confluence(
    covered_fraction: float, areas_um2: ArrayLike, area_um2: float, level: float = LEVEL
) -> Estimate:
    """Fraction of a field that cells cover, with the interval of as many independent patches as cells would fill it.

    covered_fraction: measured, within 0 and 1. areas_um2: (N,) of the cells. area_um2: of the field.

    A pixel is no sample: a cell covers all of its pixels at once. Of grains that lie independently the variance of
    the fraction is p (1 - p) times the integral range over the field's area (Lantuejoul, J. Microsc. 161, 1991); the
    range is at most the area-weighted mean area of the cells, which is taken. Cells that keep apart vary less, and
    the interval is too wide; cells that cluster vary more. Without cells it is (0, 1). Raises ValueError.
    """
    _positive(area_um2=area_um2)
    if not 0 <= covered_fraction <= 1:
        raise ValueError(f"a covered fraction lies within 0 and 1, not {covered_fraction}")
    areas = np.asarray(areas_um2, np.float64)
    squares = float(np.square(areas).sum())
    patches = area_um2 * float(areas.sum()) / squares if squares > 0 else 0.0
    low, high = wilson_interval(covered_fraction * patches, patches, level)
    return Estimate(covered_fraction, float(low), float(high))


def _positive(**named: float) -> None:
    for name, value in named.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be above 0, not {value}")
