"""Which pixels belong to cells, by brightness alone."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.regions import Runs, extents, runs_of

Polarity: TypeAlias = Literal["auto", "dark-on-light", "light-on-dark"]
Mask: TypeAlias = NDArray[np.uint8]
Plane: TypeAlias = NDArray[np.float32]
Image: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

# Diameter of the largest cell in the coarse image in which the background is sought.
COARSE_DIAMETER = 10.0
# Longest side of the image in which the cells' side is sought.
POLARITY_SIDE = 200.0
# How much likelier dark cells are in a bright field.
TRANSMITTED_LIGHT = 3.0
# How far the two sides of Otsu's threshold are apart, in standard deviations of the background's side.
# Cutting mere Gaussian noise in two gives 2.6 and an even slope 3.5; cells give 5 and more.
LEAST_SEPARATION = 4.0
# Blur and glare fall off like an exponential, which cut in two gives 4.6 as well.
LEAST_SEPARATION_BELOW = 5.0
# A lower threshold is better where it adds more than blurred rims, in pixels, to what is above the first.
RIM = 3
LEAST_GAIN = 0.1
# A crowded field has no clean background side. Less separation will do where the sides are this many times
# the pixel noise apart, which neither noise nor a faint slope are.
CROWDED_SEPARATION, CROWDED_CONTRAST = 2.8, 12.0
# Noise above this many standard deviations is not met in an image.
NOISE_SIGMAS = 6.0
# A hole up to this share of the largest cell's area is a pale centre, a larger one is a gap among cells.
LARGEST_HOLE = 0.2
ROUND_HOLE = 0.55
RIM_SQUARE = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)


def cell_mask(
    image: Image, *, diameters_px: tuple[float, float], polarity: Polarity, min_contrast: float
) -> Mask | None:
    """(H, W) uint8, 255 where a cell is; None where nothing stands out from the background.

    image: (H, W) or (H, W, 3), uint8 or uint16. diameters_px: of the smallest and largest cell, in its pixels.
    min_contrast: in its grey levels.
    """
    plane, coarse = _plane_of_most_contrast(image, diameters_px[1])
    dark = _cells_are_dark(plane, diameters_px) if polarity == "auto" else polarity == "dark-on-light"
    signal = _above_background(plane, coarse, dark, diameters_px)
    high, low = _thresholds(signal, min_contrast, plane, below=dark)
    mask = _above(signal, high)
    if low is not None:
        more = _above(signal, low)
        rimmed = cv2.dilate(mask, RIM_SQUARE)
        gained = cv2.countNonZero(cv2.bitwise_and(more, cv2.bitwise_not(rimmed)))
        mask = more if gained > LEAST_GAIN * cv2.countNonZero(mask) else mask
    return _without_specks_and_holes(mask, diameters_px) if mask.any() else None


def _above(signal: Plane, threshold: float) -> Mask:
    return (signal > threshold).astype(np.uint8) * np.uint8(255)


def _plane_of_most_contrast(image: Image, largest_px: float) -> tuple[Plane, Plane]:
    """The colour channel in which most can be seen, and a coarse copy of it."""
    factor = max(1.0, largest_px / COARSE_DIAMETER)
    size = (max(4, round(image.shape[1] / factor)), max(4, round(image.shape[0] / factor)))
    channel: Image = image
    if image.ndim == 3:
        coarse = _shrunk(image, size)
        best = int(np.argmax(coarse.reshape(-1, 3).std(axis=0)))
        channel = cv2.extractChannel(image, best)  # type: ignore[assignment]
    plane = channel.astype(np.float32)
    return plane, _shrunk(plane, size)


def _shrunk(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The image reduced to a (width, height), each pixel the mean of what it covers."""
    # OpenCV halves an image ten times as quickly as it reduces it by anything else.
    while not image.shape[0] % 2 and not image.shape[1] % 2 and image.shape[1] >= 2 * size[0]:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _cells_are_dark(plane: Plane, diameters_px: tuple[float, float]) -> bool:
    """Whether the dark or the light side of Otsu's threshold looks more like cells: compact, of their size.

    Where most of the field is bright, or nothing is really dark, light passes through the specimen and cells
    are likely what darkens it.
    """
    factor = max(1.0, max(plane.shape) / POLARITY_SIDE)
    size = (max(4, round(plane.shape[1] / factor)), max(4, round(plane.shape[0] / factor)))
    small = _shrunk(plane, size)
    darkest, lightest, _, _ = cv2.minMaxLoc(small)
    step = max(lightest - darkest, 1e-6) / 255.0
    grey = cv2.convertScaleAbs(small, alpha=1.0 / step, beta=-darkest / step)
    _, light = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    smallest, largest = diameters_px[0] / factor, diameters_px[1] / factor
    as_dark = _likeness(np.asarray(cv2.bitwise_not(light), np.uint8), smallest, largest)
    as_light = _likeness(np.asarray(light, np.uint8), smallest, largest)
    reached = np.cumsum(_histogram(np.asarray(grey, np.uint8)))
    levels = np.searchsorted(reached, [0.1 * grey.size, 0.5 * grey.size])
    tenth, half = (darkest + step * levels) / max(lightest, 1.0)
    bright_field = half > 0.5 or tenth > 0.3
    return as_dark * (TRANSMITTED_LIGHT if bright_field else 1.0) >= as_light


def _histogram(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(256,) how many pixels have each value."""
    return cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.float64)


def _components(mask: Mask) -> tuple[Runs, NDArray[np.float64], NDArray[np.int64]]:
    """The mask's 4-connected pieces, from 1: the runs of their label image, their areas and their boxes."""
    # Measured from runs in a fraction of the time that OpenCV takes for its statistics.
    number, labels = cv2.connectedComponents(mask, connectivity=4)
    runs = runs_of(np.asarray(labels))
    return runs, *extents(runs, number)


def _likeness(mask: Mask, smallest_px: float, largest_px: float) -> float:
    """Share of a mask that lies in compact pieces of cells' size."""
    _, areas, boxes = _components(mask)
    areas, (heights, widths) = areas[1:], (boxes[1:, 2:] - boxes[1:, :2]).T
    sized = (areas >= np.pi / 4 * smallest_px**2) & (areas <= np.pi / 4 * largest_px**2)
    # What reaches from one edge to the other is the ground that cells lie on.
    apart = (widths < mask.shape[1]) & (heights < mask.shape[0])
    return float(areas[sized & apart & (areas > 0.5 * widths * heights)].sum() / max(areas.sum(), 1.0))


def _above_background(plane: Plane, coarse: Plane, dark: bool, diameters_px: tuple[float, float]) -> Plane:
    """How much each pixel differs from the background towards the cells' side, lightly smoothed.

    The background is the coarse image after a closing (dark cells) or opening (light ones) with a disc that
    no cell fills.
    """
    width = int(2 * COARSE_DIAMETER) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    operation = cv2.MORPH_CLOSE if dark else cv2.MORPH_OPEN
    background = cv2.morphologyEx(coarse, operation, disc, borderType=cv2.BORDER_REPLICATE)
    background = cv2.GaussianBlur(background, (0, 0), COARSE_DIAMETER / 2)
    background = cv2.resize(background, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
    difference = cv2.subtract(background, plane) if dark else cv2.subtract(plane, background)
    smooth = cv2.GaussianBlur(difference, (0, 0), max(0.5, diameters_px[0] / 10))
    return np.asarray(smooth, np.float32)


def _thresholds(
    signal: Plane, min_contrast: float, plane: Plane, *, below: bool
) -> tuple[float, float | None]:
    """The brightness above which a pixel is a cell's, and perhaps a lower one that may be better.

    The first is Otsu's threshold (1979). Stained nuclei stand so far above all else that it runs between them
    and the other cells; with `below`, the second is Otsu's threshold of what is under the first. (Light cells
    on a dark ground have a halo there.) Where there are not two kinds of pixels at all, only what noise does
    not reach is above.
    """
    # Noise below the background counts too: cut off, it would make the background look sharper than it is.
    floor, top, _, _ = cv2.minMaxLoc(signal)
    if top <= min_contrast:
        return top, None
    step = (top - floor) / 255.0
    grey = cv2.convertScaleAbs(signal, alpha=1.0 / step, beta=-floor / step)
    counts = _histogram(np.asarray(grey, np.uint8))
    least = min_contrast / step
    level = _otsu(counts, LEAST_SEPARATION, least)
    if level is None:
        level = _otsu(counts, CROWDED_SEPARATION, max(least, CROWDED_CONTRAST * _pixel_noise(plane) / step))
    if level is not None:
        low = _otsu(counts[: level + 1], LEAST_SEPARATION_BELOW, least) if below else None
        return floor + (level + 0.5) * step, None if low is None else floor + (low + 0.5) * step
    middle = float(np.median(signal))
    spread = 1.4826 * float(np.median(np.abs(signal - middle)))
    return middle + max(NOISE_SIGMAS * spread, min_contrast), None


def _pixel_noise(plane: Plane) -> float:
    """Standard deviation of the noise, from the differences of neighbouring pixels in every fourth row."""
    differences = np.abs(np.diff(plane[::4], axis=1))
    return 1.4826 / float(np.sqrt(2.0)) * float(np.median(differences))


def _otsu(counts: NDArray[np.float64], separation: float, least: float) -> int | None:
    """Otsu's threshold of a histogram: the last level below; None where the two sides are not distinct.

    separation: least distance of the sides' means in standard deviations of the lower side. least: in levels.
    """
    levels = np.arange(len(counts), dtype=np.float64)
    below, sum_below = np.cumsum(counts)[:-1], np.cumsum(counts * levels)[:-1]
    above, sum_above = counts.sum() - below, float(counts @ levels) - sum_below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * np.square(sum_below / below - sum_above / above)
    if not np.any(np.isfinite(between)):
        return None
    cut = int(np.nanargmax(between))
    mean_below, mean_above = sum_below[cut] / below[cut], sum_above[cut] / above[cut]
    spread = np.sqrt(counts[: cut + 1] @ np.square(levels[: cut + 1] - mean_below) / below[cut])
    distinct = mean_above - mean_below >= max(separation * max(float(spread), 0.5), least)
    return cut if distinct else None


def _without_specks_and_holes(mask: Mask, diameters_px: tuple[float, float]) -> Mask:
    """The mask opened a little, and pale centres of cells filled."""
    width = max(1, int(diameters_px[0] / 4)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    # Holes first: the rim of a pale cell is thin, and an opening would break it.
    largest_hole = LARGEST_HOLE * np.pi / 4 * diameters_px[1] ** 2
    runs, areas, boxes = _components(np.asarray(cv2.bitwise_not(mask), np.uint8))
    inside = (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < mask.shape).all(axis=1)
    # A gap among round cells is hollow-sided: three leave half of its box or less, four a third.
    round_enough = areas > ROUND_HOLE * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    hole = inside & (areas <= largest_hole) & (round_enough | (areas <= diameters_px[0]))
    filled = mask
    if hole.any():
        holes = np.where(hole[runs.values], np.uint8(255), np.uint8(0))
        filled = np.asarray(
            cv2.bitwise_or(mask, np.repeat(holes, runs.lengths).reshape(mask.shape)), np.uint8
        )
    return np.asarray(cv2.morphologyEx(filled, cv2.MORPH_OPEN, disc), np.uint8)
