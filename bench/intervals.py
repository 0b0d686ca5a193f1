"""Whether intervals cover what they promise, and how near a doubling time is to the truth, on simulated specimens."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from time import process_time

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from streamcount.statistics import CountRule, Estimate, Growth, Series, doubling_time
from streamcount.windows.figures import Key, Rule, Sums, figures_of
from streamcount.windows.sums import in_ninths
from streamcount.windows.told import patches

RUNS, MASKS = 4000, 1000
RULES: tuple[CountRule, ...] = ("exact", "mid-p")
MEANS = (2, 5, 10, 30, 100, 300)
FRAMES, HOURS, POPULATIONS = 200, 48.0, 1000
STARTED = (30, 100, 300)
DOUBLING_H = 16.0
# Coefficients of variation of the cell cycle: the usual one, and others.
SPREAD, SPREADS = 0.25, (0.15, 0.4, 1.0)
RECALL, INVENTED = 0.95, 0.02
Generator = np.random.Generator
Array = NDArray[np.float64]


def figure_told(sums: Sums, name: str, rule: CountRule = "exact") -> Estimate:
    """A figure of these sums as windows tell it."""
    found = next(one for one in figures_of(sums, Rule(counts=rule)) if one.name == name)
    assert found.low is not None
    assert found.high is not None
    return Estimate(found.value, found.low, found.high)


def window(mean: float, rng: Generator, rule: CountRule) -> Estimate:
    """Cells that cross a field in a window of 50 frames; each stays 20 frames on average."""
    frames, stay, before = 50, 20.0, 400
    begins = rng.uniform(-before, frames, rng.poisson(mean / stay * (before + frames)))
    ends = begins + rng.exponential(stay, len(begins))
    # Frame k shows the cells that are there at time k.
    first, last = (np.clip(np.ceil(each), 0, frames) for each in (begins, ends))
    weights = (last - first)[last > first] / frames
    sums = {Key("cells"): float(weights.sum()), Key("cells_variance"): float(np.square(weights).sum())}
    return figure_told(sums, "cells", rule)


def chamber(mean: float, rng: Generator, rule: CountRule) -> Estimate:
    """Cells per mL, from one square of 1 mm2 and 0.1 mm."""
    cells = float(rng.poisson(mean))
    sums = {Key("cells"): cells, Key("cells_variance"): cells, Key("volume_ml"): 1e-4}
    return figure_told(sums, "cells_per_ml", rule)


def births(mean: float, rng: Generator, rule: CountRule) -> Estimate:
    """Births in a window, of so many divisions on average."""
    return figure_told({Key("births"): 2.0 * rng.poisson(mean)}, "births", rule)


FIGURES: dict[str, tuple[Callable[[float, Generator, CountRule], Estimate], float]] = {
    "cells": (window, 1.0),
    "cells_per_ml": (chamber, 1e4),
    "births": (births, 2.0),
}


def coverage(figure: str, mean: float, rule: CountRule, seed: int) -> float:
    """Share of the runs whose interval holds the truth."""
    simulate, unit = FIGURES[figure]
    rng = np.random.default_rng(seed)
    found = [simulate(mean, rng, rule) for _ in range(RUNS)]
    return float(np.mean([each.low <= mean * unit <= each.high for each in found]))


def viable(cells: float, share: float, seed: int) -> float:
    """The like of Wilson's interval, of a Poisson number of cells."""
    rng = np.random.default_rng(seed)
    wholes = np.maximum(rng.poisson(cells, RUNS), 1)
    found = []
    for whole in wholes.astype(np.float64).tolist():
        dead = whole - float(rng.binomial(int(whole), share))
        sums = {Key("cells"): whole, Key("cells_variance"): whole, Key("dead_cells"): dead}
        found.append(figure_told(sums, "viability"))
    return float(np.mean([each.low <= share <= each.high for each in found]))


def covered(cells: float, colony: float, seed: int) -> tuple[float, float]:
    """The like of confluence, and the mean share covered: discs of 30 px that lie by chance, or in colonies.

    cells: mean number of discs in the field. colony: of discs in a colony, 1 for discs each for itself.
    """
    rng = np.random.default_rng(seed)
    side, radius, rim = 400, 15, 60
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    shares, bounds = [], []
    for _ in range(MASKS):
        wide = side + 2 * rim
        middles = rng.uniform(0, wide, (rng.poisson(cells / colony * (wide / side) ** 2), 2))
        if colony > 1:
            middles = middles.repeat(rng.poisson(colony, len(middles)), axis=0)
            middles = middles + rng.normal(0, 2.5 * radius, middles.shape)
        # What lies at the rim of the canvas does not reach the field in its middle.
        middles = np.rint(middles[((middles > radius) & (middles < wide - radius - 1)).all(axis=1)])
        mask, parts = np.zeros((wide, wide), np.uint8), list[int]()
        for y, x in middles.astype(int).tolist():
            mask[y - radius : y + radius + 1, x - radius : x + radius + 1] |= disc
            rows, columns = (
                slice(max(0, rim - at + radius), max(0, rim + side - at + radius)) for at in (y, x)
            )
            parts.append(int(disc[rows, columns].sum()))
        field, areas = mask[rim : rim + side, rim : rim + side], np.array(parts, np.float64)
        blocks = in_ninths((middles - rim).astype(np.float32), areas, (side, side))
        number = patches(np.array([areas.sum(), areas @ areas]), blocks, side * side, 1)
        shares.append(float(field.mean()))
        sums = {Key("fields"): 1.0, Key("foreground"): shares[-1], Key("patches"): number}
        bounds.append(figure_told(sums, "confluence"))
    truth = float(np.mean(shares))
    return float(np.mean([each.low <= truth <= each.high for each in bounds])), truth


def dividing(cells: int, share: float, seed: int) -> float:
    """The like of the mitotic index: every cell stays, and is in mitosis for 5 of 50 frames now and then."""
    rng = np.random.default_rng(seed)
    frames, spell, held = 50, 5.0, 0
    for _ in range(RUNS):
        number = max(int(rng.poisson(cells)), 1)
        begins = rng.uniform(-spell, frames, rng.poisson(number * share / spell * (frames + spell)))
        seen = np.minimum(begins + spell, frames) - np.maximum(begins, 0)
        of_cell = np.minimum(np.bincount(rng.integers(0, number, len(seen)), seen, number) / frames, 1.0)
        sums = {Key("cells"): float(number), Key("cells_variance"): float(number)}
        sums[Key("mitotic_cells")] = sums[Key("mitotic_covariance")] = float(of_cell.sum())
        sums[Key("mitotic_variance")] = float(of_cell @ of_cell)
        told = figure_told(sums, "mitotic_index")
        held += told.low <= share <= told.high
    return held / RUNS


def sized(cells: int, spread: float, seed: int) -> float:
    """The like of the mean area: a Poisson number of cells whose areas scatter as the logarithmic normal does."""
    rng = np.random.default_rng(seed)
    truth = float(np.exp(spread**2 / 2))
    held = []
    for number in rng.poisson(cells, RUNS).tolist():
        areas, key = rng.lognormal(0, spread, number), float(number)
        sums = {Key("cells"): key, Key("cells_variance"): key, Key("cells_sized"): key}
        sums[Key("cell_area_um2")], sums[Key("cell_area_squares_um4")] = (
            float(areas.sum()),
            float(areas @ areas),
        )
        if number >= 2:
            told = figure_told(sums, "area_um2")
            held.append(told.low <= truth <= told.high)
    return float(np.mean(held))


def cycles(number: int, spread: float, rng: Generator) -> Array:
    """Durations of the cell cycle, hours: gamma, so that a population's doubling time is `DOUBLING_H`."""
    shape = spread**-2
    # Euler and Lotka: 2 E[exp(-r T)] = 1, of a gamma distribution in closed form.
    scale = (2 ** (1 / shape) - 1) * DOUBLING_H / np.log(2)
    return rng.gamma(shape, scale, number)


def left_over(number: int, spread: float, rng: Generator) -> Array:
    """Hours to their division of cells of the ages that a growing population has."""
    lives = cycles(50 * number, spread, rng)
    ages = rng.exponential(DOUBLING_H / np.log(2), len(lives))
    return (lives - ages)[ages < lives][:number]


def divisions(number: int, hours: float, spread: float, rng: Generator) -> Array:
    """Times of all divisions of a population, hours, ascending."""
    waiting = left_over(number, spread, rng).tolist()
    heapq.heapify(waiting)
    done = []
    while waiting[0] < hours:
        at = heapq.heappop(waiting)
        done.append(at)
        for life in cycles(2, spread, rng):
            heapq.heappush(waiting, at + float(life))
    return np.array(done)


def counts_of(number: int, kind: str, rng: Generator, spread: float = SPREAD) -> Series:
    """Counts of 200 frames: divisions begin after a lag, and stop or fade, by kind; the detector errs.

    spread: coefficient of variation of the cell cycle.
    """
    times_h = np.linspace(0, HOURS, FRAMES)
    lag_h, end_h = (8.0, 40.0) if "lag" in kind else (0.0, HOURS)
    clock_h = np.clip(times_h, lag_h, end_h) - lag_h
    if "fade" in kind:
        # The clock of all cells slows down as the logistic curve of power 4 does, towards four times as many.
        steps_h, risen = np.diff(times_h, prepend=0.0) * (times_h > lag_h), 0.0
        for at, step_h in enumerate(steps_h):
            risen += step_h * max(0.0, 1 - (2 ** (risen / DOUBLING_H) / 4) ** 4)
            clock_h[at] = risen
    cells = number + np.searchsorted(divisions(number, clock_h[-1] + 1, spread, rng), clock_h)
    seen = rng.binomial(cells, RECALL) + rng.poisson(INVENTED * cells)
    return Series(0, times_h, seen.astype(np.float64), np.ones(FRAMES))


def grown(number: int, kind: str, spread: float, runs: int) -> Iterator[tuple[Growth | None, float]]:
    """(what is told, ms of the processor that it took) of each population."""
    rng = np.random.default_rng(number)
    for _ in range(runs):
        series = counts_of(number, kind, rng, spread)
        begun = process_time()
        growth = doubling_time(series)
        yield growth, (process_time() - begun) * 1e3


def _counts(console: Console) -> None:
    table = Table(
        "figure", "rule", *map(str, MEANS), title=f"coverage of 95 % intervals, {RUNS} runs, by true mean"
    )
    for figure in FIGURES:
        for rule in RULES:
            told = (f"{100 * coverage(figure, mean, rule, mean):.1f}" for mean in MEANS)
            table.add_row(figure, rule, *told)
    console.print(table)
    shares = (0.5, 0.8, 0.9, 0.98)
    table = Table(
        "cells", *map(str, shares), title=f"coverage of viability (Wilson), {RUNS} runs, by true share"
    )
    for cells in (20, 50, 100, 300):
        table.add_row(str(cells), *(f"{100 * viable(cells, share, cells):.1f}" for share in shares))
    console.print(table)


def _shares(console: Console) -> None:
    table = Table("discs", "in a colony", "covered %", "coverage %", title=f"confluence, {MASKS} fields each")
    for cells, colony in ((20, 1), (60, 1), (150, 1), (60, 5), (150, 5), (150, 20)):
        held, truth = covered(cells, colony, cells)
        table.add_row(str(cells), str(colony), f"{100 * truth:.0f}", f"{100 * held:.1f}")
    console.print(table)
    table = Table(
        "cells", "coverage %", title=f"mitotic index of 0.05, spells within the window, {RUNS} runs"
    )
    for cells in (20, 100, 300):
        table.add_row(str(cells), f"{100 * dividing(cells, 0.05, cells):.1f}")
    console.print(table)
    spreads = (0.15, 0.3, 0.6)
    table = Table(
        "cells", *map(str, spreads), title=f"mean area, by the scatter of areas' logarithms, {RUNS} runs"
    )
    for cells in (5, 20, 100, 300):
        table.add_row(str(cells), *(f"{100 * sized(cells, spread, cells):.1f}" for spread in spreads))
    console.print(table)


def judged(number: int, kind: str, spread: float, runs: int) -> tuple[int, Array, Array]:
    """How many doubling times were told; (5,) median and 90 % error, share within 5 %, coverages of times and rates;
    (runs,) ms."""
    found = list(grown(number, kind, spread, runs))
    told = [one.doubling_time_h for one, _ in found if one and one.doubling_time_h]
    off = np.array([abs(each.value / DOUBLING_H - 1) for each in told])
    held = np.mean([each.low <= DOUBLING_H <= each.high for each in told])
    rate = np.log(2) / DOUBLING_H
    rates = np.mean([one.rate_per_h.low <= rate <= one.rate_per_h.high for one, _ in found if one])
    figures = np.array([np.median(off), np.quantile(off, 0.9), np.mean(off < 0.05), held, rates])
    return len(told), figures, np.array([ms for _, ms in found])


def _growth(console: Console) -> None:
    heads = (
        *("cells at first", "kind", "cycles vary", "told", "median error %", "90 % error"),
        *("within 5 %", "coverage %", "of rates", "ms"),
    )
    table = Table(
        *heads, title=f"doubling time, {FRAMES} frames in {HOURS:.0f} h, {POPULATIONS} populations each"
    )
    kinds = ("growth", "lag and plateau", "lag and fade")
    cases = [(number, kind, SPREAD) for number in STARTED for kind in kinds]
    cases += [(100, kind, spread) for spread in SPREADS for kind in kinds[:2]]
    for number, kind, spread in cases:
        told, figures, ms = judged(number, kind, spread, POPULATIONS)
        shares = (f"{100 * each:.1f}" for each in figures)
        table.add_row(str(number), kind, f"{spread:.2f}", str(told), *shares, f"{np.median(ms):.1f}")
    console.print(table)


def run(console: Console) -> None:
    """Measures and prints."""
    _counts(console)
    _shares(console)
    _growth(console)
