"""How strange a cell is to the net: how far what the maps say of it is from what they say of usual cells.

The distance of Mahalanobis, which Lee et al. (arXiv 1807.03888) take inside a net to tell what it was not made for,
here between a few readings of the maps within the cell's box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import MODEL_FILE, Bundle
from streamcount.detection.postprocess import STRIDE_PX, Cells, Maps, QuantisedMap
from streamcount.errors import ModelError
from streamcount.types import Float32Array, Int64Array

READINGS = ("own_odds", "next_odds", "cover", "miss", "prominence")
# So many places a side are looked at within a cell's box, whatever its size.
PLACES = 6
# What lies so near the image's edge, in pixels of the net's input, may be cut, and the maps are unsure there.
EDGE_PX = 8.0
# What is surely no cell counts so little that a mean over nothing else is still one.
LEAST_COVER = np.float32(1e-3)
# Log odds of what is surer are those of half a step of an int8 map.
SUREST = 511 / 512
_AROUND = np.mgrid[-1:2, -1:2].reshape(2, -1, 1)
_WITHIN = ((np.mgrid[:PLACES, :PLACES].reshape(2, -1, 1) + 0.5) / PLACES).astype(np.float32)


@dataclass(frozen=True)
class Usual:
    """What the maps say of usual cells of C classes; NaN for a class of which too few were known.

    middles: (C, F). spreads: (C, F, F), by which a difference to the middle is multiplied to become one of which 1 is
    the length that one usual cell in 1,000 exceeds.
    """

    middles: Float32Array
    spreads: Float32Array

    def novelties(self, readings: Float32Array, class_ids: Int64Array) -> Float32Array:
        """(N,) float32: 1 where a cell is as far from the usual ones of its class as all but one in 1,000 of them.

        readings: (N, F), see `readings_of`. class_ids: (N,). NaN where the class's usual cells are not known.
        """
        away = (readings - self.middles[class_ids])[:, None] @ self.spreads[class_ids]
        return np.asarray(np.sqrt((away[:, 0] ** 2).sum(axis=1)), np.float32)


def usual_of(bundle: Bundle) -> Usual | None:
    """What a bundle tells of usual cells; None where it tells nothing. Raises ModelError where it makes no sense."""
    told = bundle.novelty
    if told is None:
        return None
    path, number = bundle.folder / MODEL_FILE, len(READINGS)
    if told.readings != READINGS:
        raise ModelError(
            f"{path} tells usual cells by {', '.join(told.readings)}, this version by {', '.join(READINGS)}: "
            "have it told anew by `streamcount model calibrate --only novelty`, or remove [novelty]."
        )
    middles = np.full((len(bundle.classes), number), np.nan, np.float32)
    spreads = np.full((len(bundle.classes), number, number), np.nan, np.float32)
    for name, one in told.classes.items():
        middle, inverse = np.array(one.middle, np.float64), _matrix(one.inverse)
        fits = name in bundle.class_names and middle.shape == (number,) and inverse.shape == (number, number)
        if not fits or not one.limit > 0 or not np.isfinite(middle).all() or not np.isfinite(inverse).all():
            raise ModelError(
                f"{path}: [novelty.classes.{name}] is damaged; have it told anew by "
                "`streamcount model calibrate --only novelty`, or remove [novelty]."
            )
        row = bundle.class_names.index(name)
        values, vectors = np.linalg.eigh(inverse)
        middles[row] = middle
        spreads[row] = vectors * np.sqrt(np.maximum(values, 0)) / one.limit
    return Usual(middles, spreads)


def _matrix(rows: tuple[tuple[float, ...], ...]) -> NDArray[np.float64]:
    even = len({len(row) for row in rows}) == 1
    return np.array(rows if even else [], np.float64)


def readings_of(maps: Maps, cells: Cells, shape_px: tuple[int, int]) -> Float32Array:
    """(N, F) float32: what the maps say of each cell, in the order of READINGS; NaN near the edge of the image.

    The largest log odds of its own class and of any other in its middle, 3 x 3 map cells; and, over 6 x 6 places
    within its box, how much is cell, how far the votes of what is cell miss its middle, in map cells, and how far the
    largest log odds stand out from their mean. Its size is left to those who know the camera's other cells.
    shape_px: (height, width) of the image within the net's input.
    """
    number, (height, width, classes) = len(cells), maps.centre.raw.shape
    if not number:
        return np.empty((0, len(READINGS)), np.float32)
    # Places run along the first axis, where sums over them take the least time.
    (y, x), (top, left, bottom, right) = (
        np.ascontiguousarray(a.T) / STRIDE_PX for a in (cells.centres_px, cells.boxes_px)
    )
    row = np.minimum(np.maximum(y.astype(np.intp) + _AROUND[0], 0), height - 1)
    column = np.minimum(np.maximum(x.astype(np.intp) + _AROUND[1], 0), width - 1)
    # Log odds rise with the raw number: the largest of the ones is of the largest of the others.
    raw = maps.centre.raw.reshape(-1, classes).take(row * width + column, axis=0).max(axis=0)
    odds, numbers = _log_odds(maps.centre, raw), np.arange(number)
    own = odds[numbers, cells.class_ids]
    odds[numbers, cells.class_ids] = -np.inf
    row = (top + (bottom - top) * _WITHIN[0]).astype(np.intp)
    column = (left + (right - left) * _WITHIN[1]).astype(np.intp)
    place = row * width + column
    solid = maps.foreground.of_cells(place)[..., 0]
    votes = maps.offset.of_cells(place)
    down = votes[..., 0] + (row.astype(np.float32) - y)
    across = votes[..., 1] + (column.astype(np.float32) - x)
    weights = solid + LEAST_COVER
    misses = (np.sqrt(down**2 + across**2) * weights).sum(axis=0) / weights.sum(axis=0)
    mine = maps.centre.raw.ravel().take(place * classes + cells.class_ids)
    result = np.empty((number, len(READINGS)), np.float32)
    result[:, 0] = own
    result[:, 1] = odds.max(axis=1) if classes > 1 else 0
    result[:, 2] = solid.mean(axis=0)
    result[:, 3] = misses
    result[:, 4] = own - _log_odds(maps.centre, mine).mean(axis=0)
    near = (cells.boxes_px[:, :2] < EDGE_PX) | (cells.boxes_px[:, 2:] > np.array(shape_px) - EDGE_PX)
    result[near.any(axis=1)] = np.nan
    return result


def _log_odds(quantised: QuantisedMap, raw: NDArray[np.uint8] | Float32Array) -> Float32Array:
    """Log odds of probabilities given as raw numbers of a map, in any shape."""
    if raw.dtype != np.uint8:
        return _odds_of((raw - quantised.zero) * quantised.scale)
    # There are no more than 256 of them.
    table = _odds_of((np.arange(256, dtype=np.float32) - quantised.zero) * quantised.scale)
    return table.take(np.asarray(raw, np.uint8))


def _odds_of(chances: NDArray[np.floating]) -> Float32Array:
    chances = np.minimum(np.maximum(chances, 1 - SUREST), SUREST)
    return np.asarray(np.log(chances / (1 - chances)), np.float32)
