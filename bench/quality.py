"""How well the picture's flags tell defocus and other faults put into real images, and what measuring costs."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.drift import print_drift
from bench.stages import frames_of
from bench.stages import measure as timed
from streamcount.config import parse_settings
from streamcount.quality import (
    QualityConfig,
    QualityState,
    complaints,
    empty_quality,
    focus_score,
    judge,
    measure,
)
from streamcount.quality.measure import MASK_LENGTH, MEDIAN_ABSOLUTE, NOISE_MASK
from streamcount.quality.state import remembered
from streamcount.sources.base import Run
from streamcount.sources.images import read_image
from streamcount.sources.simulated import SimulatedConfig
from streamcount.types import FrameMetadata, Image, PictureMeasures

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PLOT = Path(__file__).resolve().parents[1] / "docs" / "images" / "quality-focus.png"
IMAGES = 40
HISTORY, TESTS = 20, 2
# Standard deviation of the noise added to all pictures: the image's own, which the blur takes, and no less than this.
LEAST_NOISE = 1.0
# Radius of the disc of confusion over the cell's diameter. The Gaussian has the disc's variance: sigma is half of it.
STRENGTHS = (0.05, 0.1, 0.15, 0.2, 0.3)
BLURS = [(kind, strength) for kind in ("disc", "gaussian") for strength in STRENGTHS]
CONFIG = QualityConfig()
# Bubbles are looked for only where asked.
TRIED = QualityConfig(bubble_limit=4.0)
Generator = np.random.Generator


@dataclass(frozen=True)
class Source:
    """Real images of one kind, and how large their cells are."""

    pattern: str
    diameter_px: Callable[[Path], float | None]
    crop_share: float = 0.6


def _boxes_txl(path: Path) -> float | None:
    lines = (path.parents[1] / "labels" / f"{path.stem}.txt").read_text().split("\n")
    sides = [float(line.split()[3]) for line in lines if line.startswith("1 ")]
    return statistics.median(sides) * cv2.imread(str(path)).shape[1] if sides else None


def _boxes_voc(path: Path) -> float | None:
    label = next(path.parents[1].rglob(f"{path.stem}.xml"), None)
    text = label.read_text() if label else ""
    edges = [[int(float(x)) for x in re.findall(rf"<{name}>([\d.]+)<", text)] for name in ("xmin", "xmax")]
    return float(np.median(np.subtract(edges[1], edges[0]))) if edges[0] else None


def _areas(label: Path) -> float | None:
    sizes = np.bincount(cv2.imread(str(label), cv2.IMREAD_UNCHANGED).ravel())[1:]
    return float(2 * np.sqrt(np.median(sizes[sizes > 0]) / np.pi)) if (sizes > 0).any() else None


SOURCES = {
    # No size is labelled there; the median of what blood-smear finds is 43 px.
    "chula_rbc12": Source("chula_rbc12/images/*.jpg", lambda path: 43.0),
    "txl_pbc": Source("txl_pbc/val/images/*", _boxes_txl),
    "ldc_live_dead": Source("ldc_live_dead/images/*.png", _boxes_voc),
    "dsb2018_fluo": Source("dsb2018_fluo/images/*.png", lambda p: _areas(p.parents[1] / "labels" / p.name)),
    # Small images hold few cells; larger parts of them are nearer to a camera's field.
    "ldc_live_dead, 0.8": Source("ldc_live_dead/images/*.png", _boxes_voc, 0.8),
    "dsb2018_fluo, 0.8": Source(
        "dsb2018_fluo/images/*.png", lambda p: _areas(p.parents[1] / "labels" / p.name), 0.8
    ),
    "usiigaci": Source(
        "usiigaci/*_raw8.png", lambda p: _areas(p.with_name(p.name.replace("raw8", "instances")))
    ),
}


def auc(clean: Sequence[float], bad: Sequence[float]) -> float:
    """Chance that a bad frame has the higher score, ties as halves (Mann and Whitney)."""
    a, b = np.sort(np.asarray(clean)), np.asarray(bad)
    below = np.searchsorted(a, b, "left") + np.searchsorted(a, b, "right")
    return float(below.mean() / 2 / len(a))


def blurred(image: Image, radius_px: float, kind: str) -> Image:
    """The image out of focus by a disc of that radius, or a Gaussian of the same variance."""
    if kind == "gaussian":
        return cv2.GaussianBlur(image, (0, 0), radius_px / 2)
    half = int(np.ceil(radius_px)) + 1
    # A disc with soft edges, so that half pixels count.
    away = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    kernel = np.clip(radius_px + 0.5 - away, 0, 1).astype(np.float32)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def noise_of(image: Image) -> float:
    """Standard deviation of the image's own noise, grey levels (Immerkaer 1996)."""
    plane = image if image.ndim == 2 else image[..., 1]
    heights = np.abs(cv2.sepFilter2D(plane, cv2.CV_32F, NOISE_MASK, NOISE_MASK))
    return max(LEAST_NOISE, float(np.median(heights)) / MEDIAN_ABSOLUTE / MASK_LENGTH)


def noisy(image: Image, noise: float, rng: Generator) -> Image:
    """With the camera's noise, which no lens blurs."""
    return np.clip(image + rng.normal(0, noise, image.shape), 0, 255).round().astype(np.uint8)


def crops(image: Image, share: float, rng: Generator) -> Iterator[Image]:
    """Endless fields of view of one camera: parts of one image, turned over at random."""
    height, width = (int(share * side) for side in image.shape[:2])
    while True:
        y, x = (
            rng.integers(0, full - part + 1)
            for full, part in zip(image.shape[:2], (height, width), strict=True)
        )
        part = image[y : y + height, x : x + width]
        yield np.ascontiguousarray(part[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])])


def history_of(pictures: Sequence[Image]) -> QualityState:
    """What a camera remembers after these good frames."""
    state = empty_quality()
    for picture in pictures:
        state = remembered(state, measure(picture), CONFIG.history_frames, 1, CONFIG.first_frames)
    return state


@dataclass(frozen=True)
class Camera:
    """One image as a camera: what it remembers, other undisturbed frames before their noise, and the noise."""

    state: QualityState
    pictures: list[Image]
    diameter_px: float
    noise: float


def cameras(source: Source, rng: Generator) -> Iterator[Camera]:
    """One for each of some images."""
    paths = sorted(DATA.glob(source.pattern))
    for path in [paths[i] for i in rng.permutation(len(paths))[:IMAGES]]:
        image, diameter = read_image(path), source.diameter_px(path)
        image = np.ascontiguousarray(image[..., :3]) if image.ndim == 3 else image
        if diameter is None or image.dtype != np.uint8 or image.std() < 1:
            continue
        fields, noise = crops(image, source.crop_share, rng), noise_of(image)
        state = history_of([noisy(next(fields), noise, rng) for _ in range(HISTORY)])
        yield Camera(state, [next(fields) for _ in range(TESTS)], diameter, noise)


def saturated(image: Image, rng: Generator) -> Image:
    """Exposed until a fifth of the pixels are white."""
    top = max(float(np.quantile(image, 0.8)), 1.0)
    return np.clip(image * (260 / top), 0, 255).astype(np.uint8)


def darker(image: Image, rng: Generator) -> Image:
    """A lamp at a quarter of its light."""
    return (image * 0.25).astype(np.uint8)


def uneven(image: Image, rng: Generator) -> Image:
    """Light that falls from one side to a fifth at the other."""
    ramp = np.linspace(0.2, 1, image.shape[1], dtype=np.float32)
    return (image * (ramp[:, None] if image.ndim == 3 else ramp)).astype(np.uint8)


def faded(image: Image, rng: Generator) -> Image:
    """A fifth of the contrast."""
    return (image.mean() + 0.2 * (image - image.mean())).astype(np.uint8)


def bubble(image: Image, rng: Generator) -> Image:
    """A blurred disc as wide as half the shorter side, with a dark rim of a fifth of its radius."""
    height, width = image.shape[:2]
    radius = 0.25 * min(height, width)
    centre = rng.uniform(radius, [height - radius, width - radius])
    away = np.hypot(*(np.mgrid[:height, :width] - centre[:, None, None])) / radius
    inside, rim = away < 0.8, (away >= 0.8) & (away < 1)
    smooth = cv2.GaussianBlur(image, (0, 0), radius / 4)
    out = np.where(inside[..., None] if image.ndim == 3 else inside, smooth, image)
    return np.where(rim[..., None] if image.ndim == 3 else rim, 0.3 * out, out).astype(image.dtype)


FAULTS = {
    "saturated": saturated,
    "dark": darker,
    "uneven": uneven,
    "low-contrast": faded,
    "bubble": bubble,
}
Scores = dict[tuple[str, float], list[float]]


@dataclass
class Tally:
    """Scores and flags of one source: of undisturbed frames, of blurred ones, and of other faults put in."""

    clean: list[float]
    blamed: list[dict[str, str]]
    bad: Scores
    found: dict[str, list[bool]]


def tally(source: Source, rng: Generator) -> Tally:
    """Puts every fault into the frames of every camera of a source."""
    out = Tally([], [], defaultdict(list), defaultdict(list))
    for camera in cameras(source, rng):
        for picture in camera.pictures:
            _one(out, camera, picture, rng)
    return out


def _one(out: Tally, camera: Camera, picture: Image, rng: Generator) -> None:
    state = camera.state

    def seen(image: Image) -> PictureMeasures:
        return measure(noisy(image, camera.noise, rng))

    plain = seen(picture)
    out.clean.append(focus_score(state, plain) or 0.0)
    out.blamed.append(complaints(state, plain, TRIED, cells=1))
    for kind, strength in BLURS:
        blur = seen(blurred(picture, strength * camera.diameter_px, kind))
        out.bad[kind, strength].append(focus_score(state, blur) or 0.0)
    for name, spoil in FAULTS.items():
        out.found[name].append(name in complaints(state, seen(spoil(picture, rng)), TRIED, cells=1))


def _real(console: Console) -> None:
    rng = np.random.default_rng(7)
    tallies = {name: tally(source, rng) for name, source in SOURCES.items() if any(DATA.glob(source.pattern))}
    if not tallies:
        console.print(f"no real images in {DATA}: nothing is told of them")
        return
    once = [one for name, one in tallies.items() if SOURCES[name].crop_share == 0.6]
    pooled = Tally(
        [score for one in once for score in one.clean],
        [],
        {key: [score for one in once for score in one.bad[key]] for key in BLURS},
        {},
    )
    heads = [f"{kind} {strength}" for kind, strength in BLURS]
    table = Table("source", "frames", *heads, title="AUC of the focus score, by radius over cell diameter")
    hits = Table("source", "false", *heads, title="share of single frames out of focus at the default limit")
    for name, one in [*tallies.items(), ("pooled", pooled)]:
        table.add_row(name, str(len(one.clean)), *(f"{auc(one.clean, one.bad[key]):.3f}" for key in BLURS))
        columns = (one.clean, *(one.bad[key] for key in BLURS))
        hits.add_row(name, *(f"{np.mean(np.asarray(some) > CONFIG.focus_limit):.2f}" for some in columns))
    console.print(table, hits)
    others = Table(
        "source", "fault", "found", "false", title="single frames: other faults put in, and false flags"
    )
    for name, one in tallies.items():
        for fault, seen in one.found.items():
            false = np.mean([fault in blame for blame in one.blamed])
            others.add_row(name, fault, f"{np.mean(seen):.2f}", f"{false:.3f}")
    console.print(others)
    _plot({name: one for name, one in tallies.items() if one in once})


def _plot(tallies: dict[str, Tally]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), dpi=90, layout="constrained")
    axes = figure.subplots()
    for name, one in tallies.items():
        columns = [one.clean, *(one.bad["disc", strength] for strength in STRENGTHS)]
        low, middle, high = np.quantile(np.array(columns), (0.1, 0.5, 0.9), axis=1)
        (line,) = axes.plot([0, *STRENGTHS], middle, marker="o", label=name)
        axes.fill_between([0, *STRENGTHS], low, high, alpha=0.12, color=line.get_color(), linewidth=0)
    axes.axhline(CONFIG.focus_limit, color="black", linestyle="--", linewidth=1, label="default limit")
    axes.set(xlabel="radius of the blur / cell diameter", ylabel="focus score (median, 10-90 %)")
    axes.set_yscale("symlog", linthresh=5)
    axes.legend(fontsize=8)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT)


def _film_flags(images: Sequence[Image]) -> tuple[int, int, float, float]:
    """(frames with a flag told, frames with a complaint, shares of bubbles found and false in the second half)."""
    state, told, blamed, bubbles, false = empty_quality(), 0, 0, [], []
    rng = np.random.default_rng(5)
    for index, image in enumerate(images):
        measures = measure(image)
        if 2 * index >= len(images) and state.best_focus:
            bubbles.append("bubble" in complaints(state, measure(bubble(image, rng)), TRIED, cells=1))
            false.append("bubble" in complaints(state, measures, TRIED, cells=1))
        blamed += bool(complaints(state, measures, CONFIG, cells=1))
        where = FrameMetadata(camera_id="bench", run_id="r", sequence=index, acquired_at_ns=index)
        state, flags, _ = judge(state, where, measures, CONFIG, cells=1)
        told += bool(flags)
    return told, blamed, float(np.mean(bubbles)), float(np.mean(false))


def films() -> Iterator[tuple[str, list[Image]]]:
    """Undisturbed films: simulated ones of every modality, and real ones."""
    for modality in ("bright-field", "phase-contrast", "fluorescence"):
        config = SimulatedConfig(seed=4, modality=modality, frames=200, cells=60)
        yield (
            f"simulated {modality}",
            [frame.image for frame in config.build().frames(Run("bench", "r", lambda: 0))],
        )
    path = DATA / "small_movies" / "ndev_scratch" / "scratch-assay-labeled-10T-2Ch.tiff"
    if path.exists():
        import tifffile

        stack: NDArray[np.uint16] = tifffile.imread(path)
        for channel in range(2):
            yield f"scratch assay, channel {channel}", list(stack[channel])


def run(console: Console) -> None:
    """Measures and prints."""
    cv2.setNumThreads(1)
    frames = frames_of(640, 480, 45)
    pipeline = parse_settings('[detector]\nkind = "watershed"', environment={}).pipeline("bench")
    detect = timed("detect", [lambda f=f: pipeline.detect(f) for f in frames])
    cost = timed("measure", [lambda f=f: measure(f.image) for f in frames])
    console.print(
        f"measure, 640x480 colour: {cost.median_ms:.2f} ms, {cost.median_ms / detect.median_ms:.3f} of watershed "
        f"detection ({detect.median_ms:.2f} ms)"
    )
    _real(console)
    table = Table(
        "film",
        "frames",
        "flagged",
        "blamed",
        "bubbles found",
        "bubbles false",
        title="films, undisturbed and with bubbles",
    )
    for name, images in films():
        told, blamed, bubbles, false = _film_flags(images)
        table.add_row(name, str(len(images)), str(told), str(blamed), f"{bubbles:.2f}", f"{false:.2f}")
    console.print(table)
    print_drift(console)
