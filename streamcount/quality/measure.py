"""Measures of one picture, made to cost a small part of what finding its cells costs.

Sharpness is the variance of the Laplacian over the variance of the picture (LAPV, normalised; Pertuz, Puig and
Garcia, Pattern Recognition 46, 2013). The power slope is that of log power over log spatial frequency (Bray, Fraser,
Hasaka and Carpenter, J. Biomol. Screen. 17, 2012), from octaves of the picture in place of a Fourier transform.
Cells add to all scales alike, and both are differences of two scales, so that more cells change them little.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import FrameError
from streamcount.types import Image, PictureMeasures
from streamcount.types.halves import halved
from streamcount.types.whites import full_white

TILES = 4
SMALLEST_SIDE_PX = 16
OCTAVES = 4
# Only every so many-th row is asked for white and black pixels: whole rows are read fast.
STRIDE = 16
# Rows in which the noise is estimated: a band of so many in each so many, and about so many bands in a large picture.
NOISE_BAND, NOISE_EVERY, NOISE_BANDS = 4, 48, 10
# Median of |x| of a normal x, and the length of the mask whose response to white noise is measured (Immerkaer 1996).
MEDIAN_ABSOLUTE, MASK_LENGTH = 0.6745, 6.0
NOISE_MASK = np.array([1, -2, 1], np.float32)  # down and across
BLUR_MASK = np.array([0.25, 0.5, 0.25], np.float32)
# Variance that white noise of variance 1 has in the Laplacian of each octave; test_measure.py measures it anew.
NOISE_GAINS = (0.102, 0.0700, 0.0220, 0.00580)
# What noise alone reaches through the error of its estimate, as a share of it, is no structure.
LEAST_SHARE = 0.1
# A variance of grey levels (of 255) below which a picture is flat.
LEAST_VARIANCE = 1e-3
DARK_LEVEL = 0.05

Plane = NDArray[Any]


def measurable(image: Image) -> bool:
    """Whether a frame's image is large enough to be measured."""
    return bool(min(image.shape[:2]) >= SMALLEST_SIDE_PX)


def measure(image: Image, half: Image | None = None) -> PictureMeasures:
    """The measures of a picture (H, W) or (H, W, 3), uint8 or uint16, of at least 16 pixels a side.

    half: `halved(image)`, where it was made already. How many bits a camera's 16-bit numbers hold is guessed by the
    brightest pixel, see `PictureMeasures.full_white`; `on_scale` makes two frames comparable. Raises FrameError where
    the picture has another shape or type.
    """
    _check(image)
    brightest = _brightest(image[::STRIDE])
    white = full_white(image)
    octaves = _octaves(halved(image) if half is None else half)
    noise = _noise_variance(image)
    powers = [_power(plane, gain * noise) for plane, gain in zip(octaves, NOISE_GAINS, strict=True)]
    spread = _spread(octaves[1])
    coarse = octaves[-1] * np.float32(1 / white)
    level = float(coarse.mean())
    tiles = cv2.resize(coarse, (TILES, TILES), interpolation=cv2.INTER_AREA)
    floor = LEAST_VARIANCE * (white / 255) ** 2
    return PictureMeasures(
        sharpness=math.log(max(powers[0], floor) / max(spread**2, floor)),
        power_slope=_slope([max(power, floor) for power in powers]),
        saturated_fraction=_share(brightest, white),
        dark_fraction=_share(brightest, 0),
        unevenness=_unevenness(coarse),
        contrast=spread / white / max(level, DARK_LEVEL),
        level=level,
        profile=tuple(float(value) for value in tiles.ravel()),
        full_white=white,
    )


def on_scale(measures: PictureMeasures, white: int) -> PictureMeasures:
    """The measures as they are where this grey level is full white."""
    if white == measures.full_white or not measures.full_white:
        return measures
    factor = measures.full_white / white
    return msgspec.structs.replace(
        measures,
        contrast=float(scaled_contrast(measures.contrast, measures.level, factor)),
        level=measures.level * factor,
        profile=tuple(value * factor for value in measures.profile),
        full_white=white,
    )


def scaled_contrast(contrast: Any, level: Any, factor: float) -> Any:
    """Contrasts of pictures of these levels, both on a scale of which `factor` makes another."""
    return contrast * factor * np.maximum(level, DARK_LEVEL) / np.maximum(level * factor, DARK_LEVEL)


def _check(image: Image) -> None:
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not shaped or image.dtype not in (np.uint8, np.uint16) or not measurable(image):
        raise FrameError(
            "bad-image",
            f"a picture of shape {image.shape} and type {image.dtype} cannot be measured: give (H, W) or "
            f"(H, W, 3) of uint8 or uint16, at least {SMALLEST_SIDE_PX} pixels a side",
        )


def _grey(image: Plane) -> Plane:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _octaves(half: Plane) -> list[Plane]:
    """The picture at 1/2, 1/4, ... of its size, float32; full size shows more of the noise than of the cells."""
    planes = [cv2.sepFilter2D(_grey(half), cv2.CV_32F, BLUR_MASK, BLUR_MASK)]
    while len(planes) < OCTAVES:
        planes.append(cv2.pyrDown(planes[-1]))
    return planes


def _noise_variance(image: Plane) -> float:
    """Variance of the camera's noise, squared grey levels, from bands of rows all over the picture."""
    tops = np.arange(0, len(image) - NOISE_BAND, max(NOISE_EVERY, len(image) // NOISE_BANDS))
    rows = image[(tops[:, None] + np.arange(NOISE_BAND)).ravel()]
    depth = cv2.CV_16S if image.dtype == np.uint8 else cv2.CV_32F
    filtered = cv2.sepFilter2D(_grey(rows), depth, NOISE_MASK, NOISE_MASK)
    # The first and last row of each band saw another band.
    inner = filtered.reshape(len(tops), NOISE_BAND, -1)[:, 1:-1, 1:-1]
    return (_middle(np.abs(inner).ravel()) / MEDIAN_ABSOLUTE / MASK_LENGTH) ** 2


def _middle(heights: Plane) -> float:
    """The value of rank N // 2 of N heights, none below 0."""
    half = heights.size // 2
    if heights.dtype == np.int16:
        # Whole numbers of a small range are counted in a quarter of the time that it takes to sort them.
        return float(np.searchsorted(np.bincount(heights).cumsum(), half, "right"))
    return float(np.partition(heights, half)[half])


def _spread(plane: Plane) -> float:
    """Standard deviation of a picture, in a quarter of the time that OpenCV's own takes for one of float32."""
    mean = float(cv2.mean(plane)[0])
    return math.sqrt(max(_mean_square(plane) - mean**2, 0.0))


def _mean_square(plane: Plane) -> float:
    return float(cv2.norm(plane, cv2.NORM_L2SQR)) / plane.size


def _power(plane: Plane, noise: float) -> float:
    """Variance of the Laplacian without what noise adds to it."""
    # The mean of a Laplacian is 0, so its variance is its mean square.
    whole = _mean_square(cv2.Laplacian(plane, cv2.CV_32F))
    return max(whole - noise, LEAST_SHARE * noise)


def _slope(powers: list[float]) -> float:
    """Least squares slope of log2 power over octaves of frequency; the finest octave comes first."""
    frequencies = -np.arange(len(powers), dtype=np.float64)
    centred = frequencies - frequencies.mean()
    return float(centred @ np.log2(powers) / (centred @ centred))


def _brightest(rows: Plane) -> Plane:
    """(H, W), the brightest channel of each pixel."""
    if rows.ndim == 2:
        return rows
    red, green, blue = cv2.split(rows)
    return cv2.max(cv2.max(red, green), blue)


def _share(levels: Plane, value: int) -> float:
    return float(np.count_nonzero(levels == value)) / levels.size


def _unevenness(coarse: Plane) -> float:
    """Range over mean of the plane fitted to the background of the tiles.

    Cells are either darker or brighter than their background, so it is either the upper or the lower part of a tile's
    levels. Light that is uneven shows in both, cells that lie on one side in one: the smaller range is told.
    """
    side = TILES * TILES
    small = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_AREA)
    tiles = small.reshape(TILES, TILES, TILES, TILES).transpose(0, 2, 1, 3).reshape(TILES, TILES, -1)
    ranked = np.sort(tiles, axis=2)
    return min(_relative_range(ranked[:, :, rank]) for rank in (side // 8, side - 1 - side // 8))


def _relative_range(levels: Plane) -> float:
    """Range of the plane fitted to (TILES, TILES) levels, over their mean."""
    across = np.arange(TILES) - (TILES - 1) / 2
    scale = TILES * float(across @ across)
    tilt_y, tilt_x = (float(across @ levels.sum(axis=axis)) / scale for axis in (1, 0))
    return (abs(tilt_y) + abs(tilt_x)) * TILES / max(float(levels.mean()), DARK_LEVEL)
