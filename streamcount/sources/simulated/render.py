"""The picture of all cells in view: each one's sprite turned, scaled and added at its sub-pixel place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.sources.simulated.config import ODDITIES, SimulatedConfig
from streamcount.sources.simulated.models import DEATH_MODES, KINDS, ODD, FloatArray, Odd
from streamcount.sources.simulated.shapes import NOT_ODD, Look, Morph, Plane, make_look
from streamcount.sources.simulated.stains import Sprite, make_sprite
from streamcount.sources.simulated.world import CellArray, Phase, World

# A sprite is never sampled coarser or finer than this, in pixels a radius, whatever the magnification.
SPRITE_RADIUS_PX = (5.0, 48.0)
RESHAPE_EVERY = 24


@dataclass(frozen=True)
class Footprint:
    """Where one cell covers the view. mask: (h, w) bool at (y0, x0). share: of the cell that is in view."""

    row: int
    y0: int
    x0: int
    mask: NDArray[np.bool_]
    area_px: int
    share: float


@dataclass
class _Cached:
    look: Look
    key: tuple[object, ...]
    sprite: Sprite


class Painter:
    """Draws a world's cells; keeps their sprites from frame to frame."""

    def __init__(self, config: SimulatedConfig) -> None:
        self._config = config
        self._kinds = [KINDS[name] for name in config.class_names]
        self._cache: dict[int, _Cached] = {}
        self._frame = 0

    def draw(self, world: World, footprints: bool) -> tuple[tuple[Plane, Plane], list[Footprint]]:
        """Two (H, W) float32 planes of contrast, and, where wanted, what each cell covers."""
        config = self._config
        shape = (config.height_px, config.width_px)
        canvas = (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
        covered: list[Footprint] = []
        cells = world.cells
        numbers = set(cells["number"].tolist())
        self._cache = {number: kept for number, kept in self._cache.items() if number in numbers}
        progress, angles = world.progress().tolist(), cells["angle"].tolist()
        places_px = (cells["place_um"] - world.origin_um) / config.pixel_um
        radii_px = np.sqrt(cells["area_um2"] / np.pi) / config.pixel_um
        reach = 2.4 * radii_px[:, None]
        near = ((places_px > -reach) & (places_px < reach + shape)).all(axis=1)
        rows = np.flatnonzero(near)
        drawn = zip(rows.tolist(), places_px[rows].tolist(), radii_px[rows].tolist(), strict=True)
        for row, (y, x), radius_px in drawn:
            sprite = self._sprite(cells[row], progress[row], radius_px)
            spot = _place(sprite, y, x, radius_px, angles[row], shape)
            if spot is None:
                continue
            spot.add(sprite.first, canvas[0])
            if sprite.second is not None:
                spot.add(sprite.second, canvas[1])
            if footprints:
                mask = spot.warp(sprite.mask) > 0.5
                area = int(np.count_nonzero(mask))
                whole = max(sprite.mask_area * radius_px**2, 1.0)
                covered.append(Footprint(row, spot.top, spot.left, mask, area, min(area / whole, 1.0)))
        self._frame += 1
        return canvas, covered

    def _sprite(self, cell: CellArray, progress: float, radius_px: float) -> Sprite:
        number, phase = int(cell["number"]), int(cell["phase"])
        kind = self._kinds[int(cell["kind"])]
        cached = self._cache.get(number)
        # Shapes change slowly: a few cells are drawn anew in each frame, in turn.
        turn = (self._frame + number) // RESHAPE_EVERY if kind.changes else 0
        resting = phase == Phase.LIVING
        key: tuple[object, ...] = (
            phase,
            turn if resting else progress,
            round(math.log2(max(radius_px, 1)) * 4),
        )
        if cached is not None and cached.key == key:
            return cached.sprite
        look = (
            cached.look if cached is not None else make_look(kind, int(cell["look"]), _odd(int(cell["odd"])))
        )
        morph = _morph(
            phase, progress, int(cell["death_mode"]), turn * RESHAPE_EVERY * self._config.seconds_per_frame
        )
        per_radius = min(max(radius_px, SPRITE_RADIUS_PX[0]), SPRITE_RADIUS_PX[1])
        radius_um = radius_px * self._config.pixel_um
        sprite = make_sprite(
            look, morph, self._config.modality, per_radius, self._config.defocus_um / radius_um
        )
        self._cache[number] = _Cached(look, key, sprite)
        return sprite


def _odd(number: int) -> Odd:
    return ODD[ODDITIES[number - 1]] if number else NOT_ODD


def _morph(phase: int, progress: float, death_mode: int, time_s: float) -> Morph:
    """What a phase looks like: half of the rounding to become a ball, a quarter as one, a quarter to part."""
    if phase == Phase.ROUNDING:
        ease = min(progress / 0.5, 1.0)
        split = max(progress - 0.75, 0.0) / 0.25
        return Morph(rounding=ease * ease * (3 - 2 * ease), split=min(split, 1.0), time_s=time_s)
    if phase == Phase.SPREADING:
        return Morph(rounding=max(1.0 - progress, 1e-3), time_s=time_s)
    if phase == Phase.DYING:
        return Morph(dying=max(progress, 1e-3), mode=DEATH_MODES[death_mode], time_s=time_s)
    return Morph(time_s=time_s)


@dataclass(frozen=True)
class _Spot:
    """Where a sprite goes: the box in view, and the way from its pixels to those of the sprite."""

    top: int
    left: int
    size: tuple[int, int]
    matrix: FloatArray

    def warp(self, plane: Plane) -> Plane:
        """The plane turned and scaled, clipped to the view."""
        pixels = cv2.warpAffine(plane, self.matrix, self.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return np.asarray(pixels, np.float32)

    def add(self, plane: Plane, canvas: Plane) -> None:
        """Adds the plane onto the canvas."""
        part = canvas[self.top : self.top + self.size[1], self.left : self.left + self.size[0]]
        cv2.add(part, self.warp(plane), part)


def _place(
    sprite: Sprite, y: float, x: float, radius_px: float, angle: float, shape: tuple[int, int]
) -> _Spot | None:
    """Where the sprite goes with its centre at (y, x), px, turned by radians; None if out of view."""
    half = sprite.first.shape[0] // 2
    scale = sprite.per_radius / radius_px
    reach = half / scale + 1
    top, left = max(math.floor(y - reach), 0), max(math.floor(x - reach), 0)
    bottom, right = min(math.ceil(y + reach) + 1, shape[0]), min(math.ceil(x + reach) + 1, shape[1])
    if bottom <= top or right <= left:
        return None
    # From a pixel's centre in the box to a place in the sprite: shift, turn back, scale, shift to its middle.
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    dx, dy = left + 0.5 - x, top + 0.5 - y
    shift_x, shift_y = half + cosine * dx + sine * dy, half - sine * dx + cosine * dy
    matrix: FloatArray = np.array([[cosine, sine, shift_x], [-sine, cosine, shift_y]])
    return _Spot(top, left, (right - left, bottom - top), matrix)
