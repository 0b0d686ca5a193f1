"""Turning labelled images into batches of pixels and target maps, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.prepare import prepare
from streamcount.training.augment import draw_scale, jitter_colour, jitter_grey, overlap_cells
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.recipe import Recipe
from streamcount.training.targets import Targets, box_targets, instance_targets

PADDING_LEVEL = 128  # the grey beside an image; the detector pads with the same
CACHE_SCALE = 1.25  # images are kept at this multiple of the net's scale, so that enlarging keeps detail
LEAST_STEPS = 25  # an epoch of a small set shows each image many times
EMPTY_SHARE = 0.02  # of the canvases show light and noise, and no cell
EVENED_STRENGTH = 0.4  # of changes of the light, where images are evened out before
OVERLAP_SHARE = 0.25  # of the colour canvases get cells laid over each other


@dataclass(frozen=True)
class Sample:
    """An image kept at CACHE_SCALE times the net's scale, its boxes in its own pixels, and its label image with the
    cells' areas (N,) in it."""

    image: NDArray[np.uint8]
    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    labels: NDArray[np.uint16] | None = None
    areas_px: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Canvas:
    """A varied piece of a sample: pixels (S, S, channels), boxes before clipping and clipped, classes, and the label
    image with the whole cells' areas where there are masks."""

    image: NDArray[np.uint8]
    boxes_px: NDArray[np.float32]
    clipped_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    labels: NDArray[np.uint16] | None = None
    areas_px: NDArray[np.float32] | None = None


def load_sample(item: LabelledImage, recipe: Recipe) -> Sample:
    """Read an image and bring its reference cell to CACHE_SCALE times the net's diameter."""
    image = prepare(item.read(), recipe.channels, recipe.normalise)
    scale = CACHE_SCALE * recipe.diameter_px / item.diameter_px
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    ratio = np.array([size[1] / image.shape[0], size[0] / image.shape[1]] * 2, np.float32)
    labels = areas = None
    if recipe.instances and item.masks is not None:
        masks = item.masks().astype(np.uint16)
        labels = np.asarray(cv2.resize(masks, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint16)
        areas = np.bincount(labels.ravel(), minlength=len(item.class_ids) + 1)[1:]
    pixels = np.asarray(resized, np.uint8).reshape(size[1], size[0], recipe.channels)
    return Sample(pixels, item.boxes_px * ratio, item.class_ids, labels, areas)


def vary_sample(
    sample: Sample, canvas_px: int, rng: np.random.Generator, *, overlaps: bool = False, strength: float = 1.0
) -> Canvas:
    """Scale, turn, flip, place on a square canvas and recolour; with `overlaps` sometimes lay cells over others.

    strength: of the changes of a grey image's light and focus.
    """
    image, boxes, class_ids = sample.image, sample.boxes_px, sample.class_ids
    if overlaps and len(boxes) > 1 and rng.random() < OVERLAP_SHARE:
        common = np.bincount(class_ids).argmax()
        image, boxes, copied = overlap_cells(image, boxes, np.flatnonzero(class_ids == common), rng)
        class_ids = np.concatenate([class_ids, class_ids[copied]])
    linear = _draw_turn(rng) * (draw_scale(rng) / CACHE_SCALE)
    size = np.array(image.shape[:2], np.float64)
    spread = np.abs(linear) @ size
    offset, low, high = np.zeros(2), np.zeros(2), np.zeros(2)
    for axis in range(2):
        spare = canvas_px - spread[axis]
        # Half of the images that fit start at the canvas corner, as frames do in the detector.
        corner = spare > 0 and rng.random() < 0.5
        offset[axis] = 0 if corner else rng.uniform(min(spare, 0), max(spare, 0))
        low[axis], high[axis] = max(0, offset[axis]), min(canvas_px, offset[axis] + spread[axis])
    # From canvas to image: the image's middle lies in the middle of what it is spread over.
    shift = offset + spread / 2 - linear @ (size / 2)
    placed = _warp(image, linear, shift, canvas_px, cv2.INTER_LINEAR, PADDING_LEVEL)
    grey = placed.shape[2] == 1
    placed = jitter_grey(placed, rng, strength) if grey else jitter_colour(placed, rng)
    moved = _moved(boxes, linear, shift)
    clipped = np.hstack([np.clip(moved[:, :2], low, high), np.clip(moved[:, 2:], low, high)])
    labels = areas = None
    if sample.labels is not None and sample.areas_px is not None:
        labels = _warp(sample.labels, linear, shift, canvas_px, cv2.INTER_NEAREST, 0)
        areas = (sample.areas_px * abs(np.linalg.det(linear))).astype(np.float32)
    return Canvas(placed, moved, clipped.astype(np.float32), class_ids, labels, areas)


def _draw_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """A 2 x 2 matrix (y, x): one of the eight flips and quarter turns, a slight stretch, sometimes a free turn."""
    matrix: NDArray[np.float64] = np.diag(np.exp(rng.normal(0, 0.03, 2)))
    way = int(rng.integers(8))
    if way & 1:
        matrix = matrix @ np.diag([1.0, -1.0])
    if way & 2:
        matrix = matrix @ np.diag([-1.0, 1.0])
    if way & 4:
        matrix = matrix @ np.array([[0.0, 1.0], [1.0, 0.0]])
    if rng.random() < 0.25:
        angle = np.deg2rad(rng.uniform(-25, 25))
        matrix = matrix @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return matrix


def _warp(
    image: NDArray[Any],
    linear: NDArray[np.float64],
    shift: NDArray[np.float64],
    canvas_px: int,
    method: int,
    beside: int,
) -> NDArray[Any]:
    """The image by canvas = linear @ image + shift, in (y, x) of pixel edges."""
    scale = np.sqrt(abs(np.linalg.det(linear)))
    if method == cv2.INTER_LINEAR and scale < 0.75:
        # Four neighbours are too few to shrink by: blur away first what the canvas cannot show.
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / scale).reshape(image.shape)
    # OpenCV takes (x, y) of pixel centres, which lie half a pixel from the edges.
    moved = shift + linear @ np.array([0.5, 0.5]) - 0.5
    swapped = linear[::-1, ::-1]
    matrix = np.hstack([swapped, moved[::-1, None]])
    shape = (canvas_px, canvas_px, *image.shape[2:])
    colour = (beside,) * (image.shape[2] if image.ndim == 3 else 1)
    warped = cv2.warpAffine(image, matrix, (canvas_px, canvas_px), flags=method, borderValue=colour)
    return np.asarray(warped, image.dtype).reshape(shape)


def _moved(
    boxes: NDArray[np.float32], linear: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The boxes about the moved ellipses that the boxes hold."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ linear.T + shift
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (linear**2).T)
    return np.hstack([centres - half, centres + half]).astype(np.float32)


def empty_canvas(canvas_px: int, channels: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(S, S, channels) uneven light and noise: what a camera sees where there is no cell."""
    coarse = rng.uniform(0, 40, (3, 3, channels)) + rng.uniform(0, 215, channels)
    light = cv2.resize(coarse.astype(np.float32), (canvas_px, canvas_px), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, rng.uniform(1, 30), (canvas_px, canvas_px, channels))
    if rng.random() < 0.5:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 1.5)), np.float64)
    shape = (canvas_px, canvas_px, channels)
    return np.clip(light.reshape(shape) + noise.reshape(shape), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batches of an epoch; sample i of epoch e depends on (seed, e, i) alone, not on threads."""

    samples: tuple[Sample, ...]
    shown: tuple[int, ...]
    classes: int
    recipe: Recipe
    threads: int = 2

    def steps(self) -> int:
        """Batches per epoch."""
        return max(LEAST_STEPS, len(self.shown) // self.recipe.batch)

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield (image, centre, regress, foreground) batches, prepared ahead on threads."""
        batch = self.recipe.batch
        rng = np.random.default_rng([self.recipe.seed, number])
        total = self.steps() * batch
        rounds = -(-total // len(self.shown))
        shown = np.array(self.shown)
        order = np.concatenate([rng.permutation(shown) for _ in range(rounds)])[:total]
        with ThreadPoolExecutor(self.threads) as pool:
            ahead = 3 * batch
            pending = [pool.submit(self._make, number, i, int(k)) for i, k in enumerate(order[:ahead])]
            for start in range(0, len(order), batch):
                made = [future.result() for future in pending[:batch]]
                pending = pending[batch:]
                following = start + ahead
                pending += [
                    pool.submit(self._make, number, following + i, int(k))
                    for i, k in enumerate(order[following : following + batch])
                ]
                yield tuple(np.stack(column) for column in zip(*made, strict=True))

    def _make(self, epoch: int, position: int, index: int) -> tuple[NDArray[Any], ...]:
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, epoch, position])
        if rng.random() < EMPTY_SHARE:
            nothing = np.empty((0, 4), np.float32)
            ids = np.empty(0, np.int64)
            canvas = Canvas(empty_canvas(recipe.canvas_px, recipe.channels, rng), nothing, nothing, ids)
        else:
            overlaps = recipe.channels == 3 and not recipe.instances
            strength = 1.0 if recipe.normalise == "none" else EVENED_STRENGTH
            canvas = vary_sample(
                self.samples[index], recipe.canvas_px, rng, overlaps=overlaps, strength=strength
            )
        targets = self._targets(canvas)
        return canvas.image, targets.centre, targets.regress, targets.foreground

    def _targets(self, canvas: Canvas) -> Targets:
        recipe = self.recipe
        if canvas.labels is not None and canvas.areas_px is not None:
            return instance_targets(
                canvas.labels, canvas.areas_px, canvas.class_ids, self.classes, recipe.diameter_px
            )
        return box_targets(canvas.boxes_px, canvas.clipped_px, canvas.class_ids, self.classes,
                           recipe.canvas_px, recipe.diameter_px)  # fmt: skip


def make_batches(dataset: Dataset, recipe: Recipe) -> BatchMaker:
    """Load a dataset into memory at the net's scale and return the maker of its batches."""
    with ThreadPoolExecutor(2) as pool:
        samples = tuple(pool.map(lambda item: load_sample(item, recipe), dataset.images))
    # A canvas shows only a part of a large image: such an image comes more often.
    canvas = (CACHE_SCALE * recipe.canvas_px) ** 2
    shown = [
        i for i, s in enumerate(samples) for _ in range(max(1, round(s.image.shape[0] * s.image.shape[1] / canvas)))
    ]  # fmt: skip
    # Images that show a rare class come twice an epoch; focal loss alone learns such classes late.
    counts = dataset.class_counts()
    rare = np.flatnonzero((counts > 0) & (counts < 0.1 * counts.max()))
    holding = np.array([sum(bool((i.class_ids == c).any()) for i in dataset.images) for c in rare])
    seldom = set(rare[holding < 0.5 * len(samples)].tolist())
    again = [i for i, s in enumerate(samples) if seldom & set(s.class_ids.tolist())]
    return BatchMaker(samples, (*shown, *again), len(dataset.class_names), recipe)
