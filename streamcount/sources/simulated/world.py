"""The world under the microscope: the lives and motion of cells, in µm and seconds, blind to any picture.

The world is the view and a margin around it. A cell that leaves the margin is forgotten, another one enters
at the opposite side, so density stays real, and nothing pops up or vanishes in sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamcount.sources.simulated.config import ODDITIES, SimulatedConfig
from streamcount.sources.simulated.models import (
    DEATH_MODES,
    KINDS,
    MOTIONS,
    ODD,
    FloatArray,
    Movers,
    cycle_s,
    daughter_share,
    death_area,
    death_duration_s,
    death_probability,
    grown_area,
)

CellArray: TypeAlias = NDArray[Any]


class Phase(IntEnum):
    """What a cell is doing: living and growing, rounding up to divide, spreading after division, dying."""

    LIVING = 0
    ROUNDING = 1
    SPREADING = 2
    DYING = 3


# One row a cell. number: never used twice. look: seed of its appearance. area_um2: now; living_um2: without
# dying. progress: 0..1 through the phase. cycle_s: age at which it rounds up. home_um: for confined motion.
# odd: 1 + its place in ODDITIES for a cell unlike its class, 0 for the others.
CELL = np.dtype(
    [
        ("number", np.int64), ("kind", np.int16), ("look", np.int64), ("generation", np.int32),
        ("place_um", np.float64, 2), ("home_um", np.float64, 2), ("velocity", np.float64, 2),
        ("angle", np.float64), ("area_um2", np.float64), ("living_um2", np.float64),
        ("birth_um2", np.float64),
        ("age_s", np.float64), ("cycle_s", np.float64),
        ("odd", np.int8),
        ("phase", np.int8), ("phase_age_s", np.float64), ("phase_s", np.float64), ("death_mode", np.int8),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Happening:
    """What happened to cell `number` in the last step; `others` are the daughters of a division."""

    what: str
    number: int
    others: tuple[int, ...] = ()


class World:
    """Cells in a region of the specimen around a moving view. All chance comes from the given generator."""

    def __init__(self, config: SimulatedConfig, rng: np.random.Generator) -> None:
        self._config = config
        self._rng = rng
        self._kinds = [KINDS[name] for name in config.class_names]
        weights = np.array(list(config.mix.values()), float)
        self._weights = weights / weights.sum()
        self.view_um: FloatArray = np.array([config.height_px, config.width_px]) * config.pixel_um
        self.margin_um = 1.25 * max(kind.diameter_um for kind in self._kinds)
        self.origin_um: FloatArray = np.zeros(2)
        self._drift: FloatArray = np.zeros(2)
        self.now_s = 0.0
        self._next = 1
        whole = np.prod(self.view_um + 2 * self.margin_um) / np.prod(self.view_um)
        self._target = round(config.cells * float(whole))
        self.cells = self._new_cells(self._target)
        self.cells["place_um"] = self._rng.uniform(
            -self.margin_um, self.view_um + self.margin_um, (self._target, 2)
        )
        for _ in range(60):
            self._make_room()
        self.cells["home_um"] = self.cells["place_um"]
        self.happenings: list[Happening] = []

    def step(self) -> None:
        """One frame's time passes. `happenings` then tells what divided, began to die, and died."""
        dt_s = self._config.seconds_per_frame
        self.now_s += dt_s
        self.happenings = []
        self._drift_stage(dt_s)
        self._move(dt_s)
        self._make_room()
        self._grow(dt_s)
        self._divide()
        self._die(dt_s)
        self._cross_border()

    def progress(self) -> FloatArray:
        """(N,) how far each cell is through its phase, 0..1."""
        done = self.cells["phase_age_s"] / np.maximum(self.cells["phase_s"], 1e-9)
        return np.asarray(np.clip(done, 0.0, 1.0))

    def _new_cells(self, count: int) -> CellArray:
        """Cells at a random time of their lives, without a place."""
        rng, config = self._rng, self._config
        cells = np.zeros(count, CELL)
        cells["number"] = np.arange(self._next, self._next + count)
        self._next += count
        cells["kind"] = rng.choice(len(self._kinds), count, p=self._weights)
        cells["look"] = rng.integers(0, 2**62, count)
        cells["angle"] = rng.uniform(0, 2 * np.pi, count)
        kinds = [self._kinds[kind] for kind in cells["kind"]]
        sizes = 1 + np.array([kind.diameter_sd for kind in kinds]) * np.clip(
            rng.standard_normal(count), -2.5, 2.5
        )
        mature = np.pi / 4 * (np.array([kind.diameter_um for kind in kinds]) * sizes) ** 2
        if config.odd_share:
            # Only here, or the same seed would no longer give the bytes that it gave before there were odd ones.
            odd = rng.random(count) < config.odd_share
            cells["odd"] = np.where(odd, rng.integers(1, len(ODDITIES) + 1, count), 0)
            mature *= np.array([1.0, *(ODD[name].area for name in ODDITIES)])[cells["odd"]]
        divides = np.array([kind.divides for kind in kinds], bool)
        growing = divides & (config.divisions_per_hour > 0)
        cells["cycle_s"] = np.where(growing, cycle_s(config.divisions_per_hour, count, rng), np.inf)
        # Age in a growing population: twice as many just born as about to divide (Powell, 1956).
        share = np.log2(2 / (2 - rng.uniform(0, 1, count)))
        cells["age_s"] = np.where(growing, share, 0) * np.where(growing, cells["cycle_s"], 1)
        # Born at 0.72 of the mature area and dividing at 1.44, the kind's diameter is the mean one.
        cells["birth_um2"] = np.where(growing, 0.72 * mature, mature)
        cells["living_um2"] = grown_area(cells["birth_um2"], cells["age_s"], cells["cycle_s"])
        cells["area_um2"] = cells["living_um2"]
        cells["velocity"] = rng.standard_normal((count, 2)) * self._speeds(cells)[:, None] / np.sqrt(2)
        return cells

    def _speeds(self, cells: CellArray) -> FloatArray:
        mobility = np.array([kind.mobility for kind in self._kinds])[cells["kind"]]
        still = np.array([1.0, 0.25, 0.5, 0.25])[cells["phase"]]
        return np.asarray(self._config.speed_um_per_min / 60 * mobility * still)

    def _drift_stage(self, dt_s: float) -> None:
        # A stage creeps: its velocity wanders slowly (ten minutes), it does not jump.
        keep = np.exp(-dt_s / 600.0)
        rms = self._config.stage_drift_um_per_min / 60
        self._drift = self._drift * keep + rms * np.sqrt((1 - keep**2) / 2) * self._rng.standard_normal(2)
        self.origin_um = self.origin_um + self._drift * dt_s

    def _move(self, dt_s: float) -> None:
        cells, config = self.cells, self._config
        movers = Movers(cells["place_um"], cells["home_um"], cells["velocity"], self._speeds(cells))
        kicks = self._rng.standard_normal((len(cells), 2))
        before = cells["velocity"].copy()
        cells["velocity"] = MOTIONS[config.motion](kicks, movers, dt_s, config.persistence_s, self.now_s)
        cells["place_um"] += 0.5 * (before + cells["velocity"]) * dt_s
        turn = 0.008 * np.sqrt(dt_s) * (config.speed_um_per_min > 0)
        cells["angle"] += turn * self._rng.standard_normal(len(cells)) * (cells["phase"] != Phase.ROUNDING)

    def _make_room(self) -> None:
        """Cells that overlap too much push each other apart by half the excess, the smaller one more."""
        cells = self.cells
        if len(cells) < 2:
            return
        radii = np.sqrt(cells["area_um2"] / np.pi)
        places = cells["place_um"]
        pairs = cKDTree(places).query_pairs(2 * float(radii.max()), output_type="ndarray")
        if not len(pairs):
            return
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        first, second = pairs.T
        apart = places[second] - places[first]
        distance = np.maximum(np.hypot(apart[:, 0], apart[:, 1]), 1e-6)
        excess = (radii[first] + radii[second]) * (1 - self._config.overlap) - distance
        close = excess > 0
        first, second = first[close], second[close]
        push = 0.5 * (excess[close] / distance[close])[:, None] * apart[close]
        weight = cells["area_um2"][second] / (cells["area_um2"][first] + cells["area_um2"][second])
        np.add.at(places, first, -push * weight[:, None])
        np.add.at(places, second, push * (1 - weight)[:, None])

    def _grow(self, dt_s: float) -> None:
        cells = self.cells
        cells["age_s"] += dt_s
        cells["phase_age_s"] += dt_s
        cells["living_um2"] = grown_area(cells["birth_um2"], cells["age_s"], cells["cycle_s"])
        spread = (cells["phase"] == Phase.SPREADING) & (cells["phase_age_s"] >= cells["phase_s"])
        cells["phase"][spread] = Phase.LIVING
        dying = cells["phase"] == Phase.DYING
        cells["area_um2"] = cells["living_um2"]
        progress = self.progress()
        for row in np.flatnonzero(dying):
            mode = DEATH_MODES[cells["death_mode"][row]]
            cells["area_um2"][row] = cells["living_um2"][row] * death_area(mode, float(progress[row]))
        # Contact inhibition: where the dish is full, nobody starts to divide.
        crowded = len(cells) > 1.6 * max(self._target, 1)
        due = (cells["phase"] == Phase.LIVING) & (cells["age_s"] >= cells["cycle_s"])
        if not crowded:
            self._enter_phase(due, Phase.ROUNDING, self._config.rounding_s)

    def _enter_phase(self, rows: NDArray[np.bool_], phase: Phase, duration_s: float) -> None:
        self.cells["phase"][rows] = phase
        self.cells["phase_age_s"][rows] = 0.0
        self.cells["phase_s"][rows] = duration_s

    def _divide(self) -> None:
        """Mothers whose rounding is over are replaced by two daughters of half the area, side by side."""
        cells, rng, config = self.cells, self._rng, self._config
        ready = (cells["phase"] == Phase.ROUNDING) & (cells["phase_age_s"] >= cells["phase_s"])
        born: list[CellArray] = []
        for mother in cells[ready]:
            share = daughter_share(config.daughter_area_sd, rng)
            axis = np.array([np.sin(mother["angle"]), np.cos(mother["angle"])])
            pair = np.repeat(mother[None], 2)
            pair["number"] = (self._next, self._next + 1)
            self._next += 2
            pair["generation"] += 1
            pair["birth_um2"] = mother["area_um2"] * np.array([share, 1 - share])
            pair["living_um2"] = pair["area_um2"] = pair["birth_um2"]
            reach = 0.8 * np.sqrt(mother["area_um2"] / np.pi)
            sides = np.array([[1.0], [-1.0]]) * axis
            # The larger daughter stays nearer to the mother's middle, as the masses' balance demands.
            arms = 2 * reach * (1 - pair["birth_um2"] / mother["area_um2"])
            pair["place_um"] = mother["place_um"] + sides * arms[:, None]
            pair["home_um"] = pair["place_um"]
            pair["velocity"] = sides * 0.5 * config.speed_um_per_min / 60
            pair["age_s"] = 0.0
            pair["cycle_s"] = cycle_s(config.divisions_per_hour, 2, rng)
            pair["look"] = rng.integers(0, 2**62, 2)
            pair["phase"], pair["phase_age_s"] = Phase.SPREADING, 0.0
            pair["phase_s"] = 0.7 * config.rounding_s
            born.append(pair)
            self.happenings.append(
                Happening("divided", int(mother["number"]), tuple(int(n) for n in pair["number"]))
            )
        if born:
            self.cells = np.concatenate([cells[~ready], *born])

    def _die(self, dt_s: float) -> None:
        cells, rng, config = self.cells, self._rng, self._config
        gone = (cells["phase"] == Phase.DYING) & (cells["phase_age_s"] >= cells["phase_s"])
        self.happenings += [Happening("died", int(number)) for number in cells["number"][gone]]
        struck = rng.random(len(cells)) < death_probability(config.deaths_per_hour, dt_s)
        struck &= cells["phase"] == Phase.LIVING
        weights = np.array([config.death_mix.get(mode, 0.0) for mode in DEATH_MODES])
        for row in np.flatnonzero(struck):
            mode = int(rng.choice(len(DEATH_MODES), p=weights / weights.sum()))
            cells["phase"][row], cells["phase_age_s"][row] = Phase.DYING, 0.0
            cells["phase_s"][row] = death_duration_s(DEATH_MODES[mode], config.dying_s, rng)
            cells["death_mode"][row] = mode
            # It no longer grows, so its size is frozen at today's.
            cells["birth_um2"][row], cells["cycle_s"][row] = cells["living_um2"][row], np.inf
            self.happenings.append(Happening("dying", int(cells["number"][row])))
        self.cells = cells[~gone]

    def _cross_border(self) -> None:
        """Cells beyond the margin go; as many as are missing come in, opposite to where some went."""
        rng = self._rng
        low, high = self.origin_um - self.margin_um, self.origin_um + self.view_um + self.margin_um
        places = self.cells["place_um"]
        outside = ((places < low) | (places >= high)).any(axis=1)
        left = places[outside]
        self.cells = self.cells[~outside]
        missing = self._target - len(self.cells)
        # What deaths took comes back through the border too, a little at a time.
        wanted = min(max(missing, 0), len(left) + int(rng.random() < 0.05 * max(missing - len(left), 0)))
        if not wanted:
            return
        fresh = self._new_cells(wanted)
        size = high - low
        for row in range(wanted):
            if row < len(left):
                axis = int(np.argmax(np.abs((left[row] - low) / size - 0.5)))
                end = 0 if left[row][axis] >= high[axis] else 1
            else:
                axis, end = int(rng.random() < size[0] / size.sum()), int(rng.integers(2))
            place = low + rng.random(2) * size
            place[axis] = low[axis] + 0.01 if end == 0 else high[axis] - 0.01
            fresh["place_um"][row] = place
            inward = 1.0 if end == 0 else -1.0
            fresh["velocity"][row][axis] = inward * abs(fresh["velocity"][row][axis])
        fresh["home_um"] = 0.5 * (
            fresh["place_um"] + np.clip(fresh["place_um"], low + size * 0.2, high - size * 0.2)
        )
        self.cells = np.concatenate([self.cells, fresh])
