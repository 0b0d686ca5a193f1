"""One cell's form: its outline, its nucleus and its texture, on a small grid in units of its own radius.

A radius of 1 is that of a disc of the cell's area, so the drawn area is the world's area. x points along the
cell's long axis, along which it divides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.sources.simulated.config import DeathMode
from streamcount.sources.simulated.models import FloatArray, Kind, Odd, death_strength

Plane: TypeAlias = NDArray[np.float32]

ANGLES = np.linspace(0, 2 * np.pi, 256, endpoint=False)
WAVES = np.arange(2, 10)
NOT_ODD = Odd()


@dataclass(frozen=True)
class Morph:
    """What a cell is doing, as far as it shows.

    rounding: 0 spread .. 1 round. split: 0 one body .. 1 two daughters about to part. dying: 0..1, in a mode.
    time_s: of the outline's slow changes.
    """

    rounding: float = 0.0
    split: float = 0.0
    dying: float = 0.0
    mode: DeathMode = "shrink"
    time_s: float = 0.0

    @property
    def strength(self) -> float:
        """Contrast relative to a living cell's."""
        return death_strength(self.mode, self.dying) if self.dying > 0 else 1.0


@dataclass(frozen=True)
class Look:
    """What one cell looks like for all its life, drawn from its own seed: the same in each modality."""

    kind: Kind
    waves: FloatArray
    phases: FloatArray
    rates: FloatArray
    stretch: float
    bend: float
    thorns: FloatArray
    lobes: tuple[tuple[float, float, float, float, float], ...]
    stain: float
    pallor: float
    texture: tuple[int, int]
    fragments: FloatArray


def make_look(kind: Kind, seed: int, odd: Odd = NOT_ODD) -> Look:
    """A cell's appearance from its seed, and in what it is unlike its kind."""
    rng = np.random.Generator(np.random.PCG64(seed))
    waves = kind.roughness * np.abs(rng.standard_normal(len(WAVES))) * (2.0 / WAVES) ** 1.15
    stretch = float(np.exp(kind.elongation + kind.elongation_sd * rng.standard_normal()))
    stretch *= float(np.sqrt(odd.axis_ratio))
    thorns = np.zeros((kind.spikes, 3))
    if kind.spikes:
        thorns[:, 0] = np.arange(kind.spikes) * 2 * np.pi / kind.spikes + rng.normal(0, 0.1, kind.spikes)
        thorns[:, 1] = rng.uniform(0.12, 0.26, kind.spikes)
        thorns[:, 2] = rng.uniform(0.09, 0.13, kind.spikes)
    fragments = np.stack(
        [
            np.linspace(0, 2 * np.pi, 6, endpoint=False) + rng.normal(0, 0.25, 6),
            rng.uniform(0.65, 1.0, 6),
            rng.uniform(0.26, 0.46, 6),
        ],
        axis=1,
    )
    return Look(
        kind=kind,
        waves=waves,
        phases=rng.uniform(0, 2 * np.pi, len(WAVES)),
        rates=rng.normal(0, 1 / 2500.0, len(WAVES)) if kind.changes else np.zeros(len(WAVES)),
        stretch=stretch,
        bend=kind.bend * float(rng.uniform(0.7, 1.2)),
        thorns=thorns,
        lobes=_lobes(kind, rng, odd.axis_ratio),
        stain=odd.stain * float(np.clip(1 + 0.12 * rng.standard_normal(), 0.7, 1.3)),
        pallor=float(np.clip(rng.normal(0.7, 0.22), 0.15, 1.0)) if not (kind.bend or kind.spikes) else 0.0,
        texture=(int(rng.integers(0, 128)), int(rng.integers(0, 128))),
        fragments=fragments,
    )


def _lobes(
    kind: Kind, rng: np.random.Generator, axis_ratio: float
) -> tuple[tuple[float, float, float, float, float], ...]:
    """Ellipses (x, y, half-axis, half-axis, angle) that make the nucleus, of the kind's share of area.

    axis_ratio: of an odd cell to others of its kind; a nucleus of one piece is as long as its cell.
    """
    if kind.lobes[1] == 0:
        return ()
    count = int(rng.integers(kind.lobes[0], kind.lobes[1] + 1))
    radius = float(np.sqrt(kind.nucleus / count)) * (1.0 if count == 1 else 1.08)
    start, ring = float(rng.uniform(0, 2 * np.pi)), 0.0 if count == 1 else radius * (0.75 + 0.1 * count)
    lobes = []
    for index in range(count):
        angle = start + 2 * np.pi * index / max(count, 1) + float(rng.normal(0, 0.15))
        aspect = float(np.exp(rng.normal(0.13 if count == 1 else 0.1, 0.06)))
        aspect *= float(np.sqrt(axis_ratio)) if count == 1 else 1.0
        shift = 0.08 * rng.standard_normal(2) if count == 1 else np.zeros(2)
        lobes.append(
            (
                ring * float(np.cos(angle)) + float(shift[0]), ring * float(np.sin(angle)) + float(shift[1]),
                radius * aspect, radius / aspect,
                angle + np.pi / 2 if count > 1 else float(rng.normal(0, 0.3)),
            )
        )  # fmt: skip
    return tuple(lobes)


@lru_cache(maxsize=1)
def texture_bank() -> Plane:
    """(256, 256) float32 of smooth random grain, mean 0 and deviation 1, from a fixed seed."""
    rng = np.random.Generator(np.random.PCG64(20231))
    fine = rng.standard_normal((256, 256)).astype(np.float32)
    smooth = cv2.GaussianBlur(fine, (0, 0), 2.2)
    smooth = smooth / smooth.std() + 0.5 * cv2.GaussianBlur(fine, (0, 0), 1.0) / 0.28
    return np.asarray((smooth - smooth.mean()) / smooth.std(), np.float32)


def outline(look: Look, morph: Morph) -> FloatArray:
    """(256,) radius at each of ANGLES, with an area of pi. Rounding smooths it; splitting waists it."""
    calm = 1 - 0.9 * morph.rounding
    phase = look.phases + look.rates * morph.time_s
    radius = 1 + (look.waves * calm) @ np.cos(WAVES[:, None] * ANGLES + phase[:, None])
    for angle, height, width in look.thorns:
        away = (ANGLES - angle + np.pi) % (2 * np.pi) - np.pi
        radius = radius + calm * height * np.exp(-0.5 * (away / width) ** 2)
    if morph.split > 0:
        # Cassini's oval: one curve from a circle to two touching drops.
        squeeze = 0.93 * morph.split
        cosine, sine = np.cos(2 * ANGLES), np.sin(2 * ANGLES)
        radius = radius * np.sqrt(squeeze**2 * cosine + np.sqrt(1 - squeeze**4 * sine**2))
    if morph.dying > 0 and morph.mode == "shrink":
        radius = radius * (1 + 0.05 * morph.dying * np.cos(7 * ANGLES + look.phases[0]))
    area = 0.5 * np.sum(radius**2) * (2 * np.pi / len(ANGLES))
    return np.asarray(radius * np.sqrt(np.pi / area))


@dataclass(frozen=True)
class Form:
    """A cell on its grid. depth: how far inside the outline, radii (negative outside). rho: 0 centre, 1 edge.

    core: how far inside the nucleus. x, y: the grid. per_radius: pixels of the grid to a radius.
    """

    depth: Plane
    rho: Plane
    core: Plane | None
    x: Plane
    y: Plane
    per_radius: float
    texture: Plane


def make_form(look: Look, morph: Morph, per_radius: float, halo: float) -> Form:
    """Outline and nucleus on a square grid that has room for a halo (in radii) around the cell."""
    calm = 1 - 0.85 * morph.rounding
    stretch = look.stretch**calm
    radius = outline(look, morph)
    bursting = morph.dying if morph.mode == "bleb" else 0.0
    reach = float(radius.max()) * max(stretch, 1 / stretch) + abs(look.bend) * stretch**2 * 0.5 + halo
    reach = max(reach, 1.62 + halo) if bursting else reach
    side = int(np.ceil(reach * per_radius)) * 2 + 1
    axis = (np.arange(side, dtype=np.float32) - side // 2) / np.float32(per_radius)
    x, y = np.broadcast_to(axis[None, :], (side, side)), np.broadcast_to(axis[:, None], (side, side))
    bent = y - np.float32(look.bend * calm) * (x * x - np.float32(stretch**2 / 4)) if look.bend else y
    along, across = x / np.float32(stretch), bent * np.float32(stretch)
    distance, angle = cv2.cartToPolar(np.ascontiguousarray(along), np.ascontiguousarray(across))
    edge = radius.astype(np.float32)[(angle * np.float32(256 / (2 * np.pi))).astype(np.intp) & 255]
    depth = edge - distance
    if look.bend:
        depth = depth / np.float32(stretch)
    rho = distance / edge
    core = _ellipses(_nucleus(look, morph), x, y)
    if bursting:
        depth = _burst(look, depth, x, y, bursting)
        rho = np.clip(1 - depth / np.float32(1 - 0.6 * bursting), 0, 2)
        if core is not None:
            size = np.float32(np.sqrt(look.kind.nucleus))
            core = size * _burst(look, core / size, np.divide(x, size), np.divide(y, size), bursting)
    start = look.texture
    grain = _grain(start, side)
    return Form(depth, rho, core, x, y, per_radius, grain)


def _grain(start: tuple[int, int], side: int) -> Plane:
    bank = texture_bank()
    if side <= 128:
        return bank[start[0] : start[0] + side, start[1] : start[1] + side]
    part = bank[start[0] : start[0] + 128, start[1] : start[1] + 128]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _burst(look: Look, depth: Plane, x: Plane, y: Plane, progress: float) -> Plane:
    """Blebs bulge from a shrinking body, then part from it: a union with discs that move out."""
    depth = depth - np.float32(0.6 * progress)
    for angle, far, size in look.fragments:
        way = far * (0.55 + 0.65 * progress)
        spot = size * min(1.0, 0.5 + progress)
        disc = np.float32(spot) - np.hypot(
            x - np.float32(way * np.cos(angle)), y - np.float32(way * np.sin(angle))
        )
        depth = np.maximum(depth, disc)
    return depth


def _nucleus(look: Look, morph: Morph) -> list[tuple[float, float, float, float, float]]:
    """The nucleus' ellipses: gathered into a plate when the cell rounds, two plates apart when it splits."""
    if not look.lobes:
        return []
    if morph.rounding <= 0 or morph.dying > 0:
        return list(look.lobes)
    plate = float(np.sqrt(look.kind.nucleus))
    thick, long = plate * 0.62, plate * 1.05
    gather = morph.rounding
    if morph.split > 0:
        apart = 0.8 * morph.split + 0.1
        thin = thick * (0.72 + 0.1 * morph.split)
        return [(apart, 0.0, thin, long * 0.85, 0.0), (-apart, 0.0, thin, long * 0.85, 0.0)]
    lone = len(look.lobes) == 1
    return [
        (
            x * (1 - gather), y * (1 - gather),
            a * (1 - gather) + thick * gather, b * (1 - gather) + long * gather,
            angle * (1 - gather) if lone else angle,
        )
        for x, y, a, b, angle in look.lobes
    ]  # fmt: skip


def _ellipses(ellipses: list[tuple[float, float, float, float, float]], x: Plane, y: Plane) -> Plane | None:
    """How far inside the union of ellipses each point is, radii; negative outside; None for no ellipse."""
    inside: Plane | None = None
    for cx, cy, a, b, angle in ellipses:
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = x - np.float32(cx), y - np.float32(cy)
        along, across = (dx * cosine + dy * sine) / np.float32(a), (dy * cosine - dx * sine) / np.float32(b)
        depth = (1 - np.sqrt(along * along + across * across)) * np.float32(min(a, b))
        inside = depth if inside is None else np.maximum(inside, depth)
    return inside


def biconcave(rho: Plane) -> Plane:
    """Thickness of a red cell over its radius, at most 1: Evans and Fung, Microvasc. Res. 4, 335 (1972)."""
    square = np.clip(rho * rho, 0, 1)
    thickness = np.sqrt(1 - square) * (0.81 + square * (7.83 - 4.39 * square)) / 2.58
    return np.asarray(thickness, np.float32)
