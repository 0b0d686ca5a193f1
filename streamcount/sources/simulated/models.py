"""The laws that the simulated cells live by: kinds of cells, motion, division, death. Vary them here.

All lengths in µm, times in seconds. Each law is a small function of plain arrays and a random generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcount.sources.simulated.config import CellClass, DeathMode, Motion, Oddity

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """What a class of cells is like.

    diameter_um, diameter_sd: mature diameter and its relative spread.
    elongation, elongation_sd: logarithm of the axis ratio's root, and its spread.
    roughness: amplitude of the outline's waves, relative to the radius. bend: curvature of a sickle.
    spikes: thorns around the outline. lobes: (fewest, most) of the nucleus, (0, 0) for none.
    nucleus: share of the cell's area. divides: takes part in growth and division. abnormal: a biologist
    wants to be told. mobility: speed relative to the configured one. changes: its outline changes with time.
    """

    diameter_um: float
    diameter_sd: float
    elongation: float = 0.0
    elongation_sd: float = 0.04
    roughness: float = 0.02
    bend: float = 0.0
    spikes: int = 0
    lobes: tuple[int, int] = (0, 0)
    nucleus: float = 0.0
    divides: bool = False
    abnormal: bool = False
    mobility: float = 1.0
    changes: bool = False


# Red cells 7.5 µm, white cells 12, platelets 2-3 (any haematology text); a spread culture cell about 18 µm
# with a nucleus of 11, as in a 10x picture of a fibroblast-like line.
KINDS: dict[CellClass, Kind] = {
    "red": Kind(7.5, 0.06),
    "white": Kind(12.0, 0.08, roughness=0.03, lobes=(1, 3), nucleus=0.48, divides=True, mobility=1.3),
    "platelet": Kind(2.6, 0.15, roughness=0.08),
    "sickle": Kind(6.6, 0.06, elongation=0.52, elongation_sd=0.05, bend=0.22, abnormal=True),
    "spiky": Kind(7.2, 0.06, spikes=12, abnormal=True),
    "nucleated": Kind(
        18.0, 0.1, elongation=0.24, elongation_sd=0.14, roughness=0.16, lobes=(1, 1), nucleus=0.36,
        divides=True, changes=True,
    ),
    "giant": Kind(
        27.0, 0.1, elongation=0.12, elongation_sd=0.08, roughness=0.12, lobes=(1, 2), nucleus=0.36,
        abnormal=True, mobility=0.6, changes=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Odd:
    """How a cell that is unlike its class differs: factors of its area, its axis ratio and its stain."""

    area: float = 1.0
    axis_ratio: float = 1.0
    stain: float = 1.0


# What a reader of smears calls macrocytic, microcytic, elliptic and hyperchromatic, and none would overlook.
ODD: dict[Oddity, Odd] = {
    "large": Odd(area=2.5),
    "small": Odd(area=0.35),
    "long": Odd(axis_ratio=2.5),
    "dark": Odd(stain=2.0),
}


@dataclass(frozen=True)
class Movers:
    """What a motion law sees of N cells: places, homes (N, 2) µm; velocities (N, 2), RMS speeds (N,) µm/s."""

    places_um: FloatArray
    homes_um: FloatArray
    velocities: FloatArray
    speeds: FloatArray


MotionLaw: TypeAlias = Callable[[FloatArray, Movers, float, float, float], FloatArray]


def persistent(kicks: FloatArray, movers: Movers, dt_s: float, tau_s: float, now_s: float) -> FloatArray:
    """Persistent random walk: each velocity is an Ornstein-Uhlenbeck process, stepped exactly.

    kicks: (N, 2) standard normal numbers. Returns the new velocities (N, 2), µm/s. Fürth's formula holds for
    the paths: Uhlenbeck and Ornstein, Physical Review 36, 823 (1930).
    """
    return _about(np.zeros_like(kicks), 1.0, kicks, movers, dt_s / tau_s)


def confined(kicks: FloatArray, movers: Movers, dt_s: float, tau_s: float, now_s: float) -> FloatArray:
    """A persistent walk tied to a home by a spring: a cell stays about (speed x persistence) from it."""
    # The pull is never faster than half the way in a step, or a slow time-lapse would make it overshoot.
    pull = (movers.homes_um - movers.places_um) / max(2 * tau_s, 2 * dt_s)
    return _about(pull, 1.0, kicks, movers, dt_s / tau_s)


def drifting(kicks: FloatArray, movers: Movers, dt_s: float, tau_s: float, now_s: float) -> FloatArray:
    """A common flow, mostly to the right, as fast as the cells are, and half a persistent walk about it."""
    return _about(movers.speeds[:, None] * np.array([[0.25, 0.83]]), 0.5, kicks, movers, dt_s / tau_s)


def collective(kicks: FloatArray, movers: Movers, dt_s: float, tau_s: float, now_s: float) -> FloatArray:
    """Neighbours move alike: most of the motion follows smooth eddies of some 80 µm that change with time."""
    phase = now_s / (8 * tau_s)
    y, x = (movers.places_um / 80.0 * 2 * np.pi).T
    eddies = np.stack(
        [np.sin(x + phase) + np.cos(0.7 * y - phase), np.cos(y + 1.3 * phase) + np.sin(0.6 * x)], 1
    )
    return _about(0.6 * movers.speeds[:, None] * eddies, 0.55, kicks, movers, dt_s / tau_s)


def _about(target: FloatArray, share: float, kicks: FloatArray, movers: Movers, steps: float) -> FloatArray:
    """One exact Ornstein-Uhlenbeck step of velocities about a target, with a share of the usual scatter."""
    keep = np.exp(-steps)
    scatter = share * movers.speeds[:, None] * np.sqrt((1 - keep**2) / 2)
    moved: FloatArray = target + (movers.velocities - target) * keep + scatter * kicks
    return moved


MOTIONS: dict[Motion, MotionLaw] = {
    "persistent": persistent,
    "confined": confined,
    "drifting": drifting,
    "collective": collective,
}


def cycle_s(per_hour: float, count: int, rng: np.random.Generator) -> FloatArray:
    """(count,) s from birth to the next rounding: gamma with 20 % spread, as cell cycles scatter."""
    if per_hour <= 0:
        return np.full(count, np.inf)
    return rng.gamma(25.0, 3600.0 / per_hour / 25.0, count)


def grown_area(birth_area: FloatArray, age_s: FloatArray, cycle: FloatArray) -> FloatArray:
    """Exponential growth that doubles the area within one cycle; an infinite cycle does not grow."""
    return birth_area * np.exp2(np.clip(age_s / cycle, 0.0, 1.0))


def daughter_share(area_sd: float, rng: np.random.Generator) -> float:
    """Share of the mother's area that the first daughter gets: one half, scattered."""
    return float(np.clip(0.5 + area_sd * rng.standard_normal(), 0.3, 0.7))


def death_probability(per_hour: float, dt_s: float) -> float:
    """Chance to start dying within dt_s under a constant hazard."""
    return float(-np.expm1(-per_hour * dt_s / 3600.0))


DEATH_MODES: tuple[DeathMode, ...] = ("shrink", "bleb", "lysis")


def death_duration_s(mode: DeathMode, typical_s: float, rng: np.random.Generator) -> float:
    """How long a death takes: lysis is sudden, a tenth of the usual time; others scatter by 20 %."""
    factor = float(np.clip(1 + 0.2 * rng.standard_normal(), 0.5, 1.5))
    return typical_s * factor * (0.1 if mode == "lysis" else 1.0)


def death_area(mode: DeathMode, progress: float) -> float:
    """Area relative to the living cell's, at a progress from 0 to 1."""
    if mode == "shrink":
        return 1.0 - 0.62 * progress
    if mode == "bleb":
        return 1.0 - 0.3 * progress
    return 1.0 + 0.15 * progress


def death_strength(mode: DeathMode, progress: float) -> float:
    """Contrast relative to the living cell's. A cell is seen until it is gone: it never fades below 0.3."""
    if mode == "lysis":
        return 1.0 - 0.6 * progress
    darkening = 1.0 + 0.7 * min(progress / 0.6, 1.0)
    fading = max(progress - 0.6, 0.0) / 0.4
    return darkening * (1.0 - 0.75 * fading)
