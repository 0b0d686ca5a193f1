"""Milliseconds of each model on one core: its int8 and float32 forms, onnxruntime, a net of StarDist's size, and what
turns maps into cells."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.peers import as_onnx, onnx_session, stardist_sized
from streamcount.detection.bundle import CROP_CLASSIFICATION, DENSE_INSTANCES, known_models, load_bundle
from streamcount.detection.instances import gather
from streamcount.detection.net import ThreadedNet
from streamcount.detection.postprocess import Maps, QuantisedMap, Rules, decode
from streamcount.detection.second import BATCH
from streamcount.training.export import compile_float32, compile_int8
from streamcount.training.reexport import rebuild

RUNS = 31
# Of a frame of 640 x 480 px, blood-smear sees 224 x 288: it brings a red cell of about 90 px to its own scale.
INPUTS = {"blood-smear": ((224, 288), (480, 640))}
USUAL_INPUT = ((512, 512),)
CELLS, MAP_CELLS = 300, 160


def median_ms(work: Callable[[], object]) -> float:
    """Of RUNS runs, after three to warm up."""
    return statistics.median(times_ms(work, RUNS))


def times_ms(work: Callable[[], object], runs: int) -> list[float]:
    """Of each run, after three to warm up."""
    times = []
    for run in range(runs + 3):
        started = time.perf_counter()
        work()
        if run >= 3:
            times.append(1e3 * (time.perf_counter() - started))
    return times


def run(console: Console) -> None:
    """Measures and prints."""
    cv2.setNumThreads(1)
    console.print(_nets())
    console.print(_second_stages())
    console.print(_decoding())


def _nets() -> Table:
    table = Table("net", "input, px", "int8 ms", "float32 ms", "onnxruntime float32 ms", "int8 / float32",
                  "int8 / onnxruntime", title="one pass, one core")  # fmt: skip
    rng = np.random.default_rng(1)
    for name in known_models():
        bundle = load_bundle(name)
        if bundle.task == CROP_CLASSIFICATION:
            continue
        forms = {
            form: ThreadedNet(bundle.read_model(form), bundle.form(form).outputs) for form in bundle.forms
        }
        session = onnx_session(as_onnx(rebuild(name)[0]))
        for height, width in INPUTS.get(name, USUAL_INPUT):
            image = rng.integers(0, 255, (1, height, width, bundle.input.channels), np.uint8)
            planes = image.transpose(0, 3, 1, 2).astype(np.float32)
            times = [median_ms(partial(net.run, image)) for net in (forms["int8"], forms["float32"])]
            times.append(median_ms(partial(session.run, None, {"image": planes})))
            table.add_row(name, f"{height} x {width}", *_row(times))
    peer = stardist_sized()
    typical = [rng.integers(0, 255, (1, 128, 128, 1), np.uint8) for _ in range(4)]
    image = rng.integers(0, 255, (1, 512, 512, 1), np.uint8)
    compiled = [compile_int8(peer, typical), compile_float32(peer, typical[0])]
    times = [median_ms(partial(ThreadedNet(*one).run, image)) for one in compiled]
    table.add_row("StarDist's size", "512 x 512", *_row(times))
    return table


def _row(times: list[float]) -> list[str]:
    cells = [f"{value:.1f}" for value in times] + [""] * (3 - len(times))
    ratios = [f"{times[0] / value:.2f}" for value in times[1:]]
    return [*cells, *ratios, *[""] * (2 - len(ratios))]


def _second_stages() -> Table:
    table = Table("second stage", "int8, ms a cell", "float32, ms a cell", title="crops, one core")
    for name in known_models():
        bundle = load_bundle(name)
        if bundle.task != CROP_CLASSIFICATION:
            continue
        side = bundle.input.crop_px
        crops = np.random.default_rng(1).integers(
            0, 255, (BATCH, side, side, bundle.input.channels), np.uint8
        )
        times = []
        for form in ("int8", "float32"):
            net = ThreadedNet(bundle.read_model(form), bundle.form(form).outputs)
            times.append(median_ms(partial(net.run, crops)) / BATCH)
        table.add_row(name, *(f"{value:.2f}" for value in times))
    return table


def _decoding() -> Table:
    table = Table(
        "maps to cells",
        "cells",
        "ms",
        "least ms",
        "bar, ms",
        title=f"post-processing, one core, {CELLS} cells",
    )
    for name in known_models():
        bundle = load_bundle(name)
        if bundle.task == CROP_CLASSIFICATION:
            continue
        maps, rules, side = drawn_maps(len(bundle.classes), bundle.input.cell_diameter_px)
        found = decode(maps, rules, (side, side))
        work = partial(_cells, maps, rules, side, outlined=bundle.task == DENSE_INSTANCES)
        # Of so short a work the least of many runs is what it takes where other work interrupts the most of them.
        taken = times_ms(work, 10 * RUNS)
        table.add_row(name, str(len(found)), f"{statistics.median(taken):.2f}", f"{min(taken):.2f}", "1.50")
    return table


def _cells(maps: Maps, rules: Rules, side: int, *, outlined: bool) -> object:
    cells = decode(maps, rules, (side, side))
    return gather(cells, maps, (side, side)) if outlined else cells


def drawn_maps(classes: int, diameter_px: float) -> tuple[Maps, Rules, int]:
    """Maps of CELLS discs as an int8 net would give them, what they are decoded by, and the input's side, px."""
    rng = np.random.default_rng(2)
    side = MAP_CELLS
    per_row = int(np.ceil(np.sqrt(CELLS)))
    step = side / per_row
    rows, columns = (np.arange(CELLS) // per_row + 0.5) * step, (np.arange(CELLS) % per_row + 0.5) * step
    y, x = np.mgrid[:side, :side] + 0.5
    owner = np.minimum((y // step).astype(int) * per_row + (x // step).astype(int), CELLS - 1)
    dy, dx = rows[owner] - y, columns[owner] - x
    distance = np.hypot(dy, dx)
    radius = step * 0.38
    centre = np.zeros((side, side, classes), np.float32)
    which = rng.integers(0, classes, CELLS)
    bells = np.exp(-(distance**2) / (2 * (0.2 * radius + 0.55) ** 2)) * 0.9
    for number in range(classes):
        centre[..., number] = np.where(which[owner] == number, bells, 0.01)
    log_size = np.full((side, side, 2), np.log(2 * radius * 4 / diameter_px), np.float32)
    offset = np.stack([dy + 0.5, dx + 0.5], axis=-1)
    foreground = (1 / (1 + np.exp((distance - radius) * 3)))[..., None]
    maps = Maps(*(_quantised(m) for m in (centre, log_size, offset, foreground)))
    return (
        maps,
        Rules(np.full(classes, 0.3, np.float32), np.ones(classes, np.float32), diameter_px, 0.7),
        side * 4,
    )


def _quantised(values: np.ndarray) -> QuantisedMap:
    low, high = float(values.min()), float(values.max())
    scale = max(high - low, 1e-3) / 255
    zero = round(-low / scale)
    return QuantisedMap(np.clip(np.round(values / scale) + zero, 0, 255).astype(np.uint8), scale, zero)
