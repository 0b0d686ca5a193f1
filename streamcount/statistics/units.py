"""Sizes of cells, and which cells count within a square; windows/figures.py makes the figures of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcount.statistics.intervals import Float64Array

# A box that ends so near to the image's own edge touches it: a detector's outline of a cell that is cut off there
# may end a fraction of a pixel before it.
IMAGE_EDGE_PX = 1.0
# Of a cell's longer side.
GUARD_SHARE = 0.25


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
    square of a grid, whatever its size. A corner on the bottom or right edge itself is in the next square. Raises
    ValueError.
    """
    y0, x0, y1, x1 = square_px
    if not (y1 > y0 and x1 > x0):
        raise ValueError(f"a square is (y0, x0, y1, x1) with y1 > y0 and x1 > x0, not {square_px}")
    corners = np.asarray(boxes_px, np.float64).reshape(-1, 4)[:, 2:]
    return np.asarray(((corners >= (y0, x0)) & (corners < (y1, x1))).all(axis=1), np.bool_)


def counted_in_image(boxes_px: ArrayLike, shape_px: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) which boxes (N, 4) count in an image of (height, width): `counted_in` it without its last pixel."""
    height, width = shape_px
    return counted_in(boxes_px, (0.0, 0.0, height - IMAGE_EDGE_PX, width - IMAGE_EDGE_PX))


def stand_for(boxes_px: ArrayLike, shape_px: tuple[int, int]) -> Float64Array:
    """(N,) how many cells of an image of (height, width) each box (N, 4) stands for, 0 for those that its edges cut.

    Of a cell that is cut a detector finds a part, or nothing: no rule that counts some of those at the edges is right
    for what is found. So only whole cells count, each for as many as its size makes it rare to be whole: the area of
    the image over that of the places where it would be whole (Miles, in Harding and Kendall, Stochastic Geometry,
    1974; Lantuéjoul, J. Microsc. 161, 1991). The mean is that of the rule of haemocytometers where all cells are seen
    to their end. Near the edge outlines are pulled to it, so whole is what ends a quarter of its longer side before
    it, and a pixel at least. A side beyond half of the image's counts as half.
    """
    boxes = np.asarray(boxes_px, np.float64).reshape(-1, 4)
    shape, sides = np.asarray(shape_px, np.float64), boxes[:, 2:] - boxes[:, :2]
    apart = np.maximum(GUARD_SHARE * sides.max(axis=1, keepdims=True, initial=0.0), IMAGE_EDGE_PX)
    whole = ((boxes[:, :2] >= apart) & (boxes[:, 2:] < shape - apart)).all(axis=1)
    room = np.maximum(shape - 2 * apart - sides, shape / 2)
    return np.asarray(whole * np.prod(shape / room, axis=1), np.float64)
