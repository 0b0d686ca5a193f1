"""Turning labelled images into batches of pixels and target maps, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.training.augment import draw_scale, jitter_colour
from streamcount.training.dataset import Dataset, LabelledImage
from streamcount.training.net import STRIDE_PX

PADDING_LEVEL = 128  # the grey beside an image; the detector pads with the same
CACHE_SCALE = 1.5  # images are kept at this multiple of the net's scale, so that enlarging keeps detail
SLIVER_PX, SLIVER_SHARE = 5.0, 0.2  # a cell cut to less by a crop is neither asked for nor punished
UNSURE = 0.95  # a centre target that is no positive, and costs almost nothing as a negative


@dataclass(frozen=True)
class Sample:
    """An image kept at CACHE_SCALE times the net's scale, and its boxes in its own pixels."""

    image: NDArray[np.uint8]
    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]


def load_sample(item: LabelledImage, diameter_px: float) -> Sample:
    """Read an image and bring its reference cell to CACHE_SCALE * ``diameter_px``."""
    image = item.read()
    scale = CACHE_SCALE * diameter_px / item.diameter_px
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    ratio = np.array([size[1] / image.shape[0], size[0] / image.shape[1]] * 2, np.float32)
    return Sample(np.asarray(resized, np.uint8), item.boxes_px * ratio, item.class_ids)


def vary_sample(
    sample: Sample, canvas_px: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Scale, turn, flip, place on a square canvas and recolour.

    Returns the (S, S, 3) uint8 canvas, (N, 4) boxes before clipping and (N, 4) boxes clipped to the part
    of the image on the canvas.
    """
    stretch = np.exp(rng.normal(0, 0.03, 2))
    scale = draw_scale(rng) / CACHE_SCALE * stretch
    height, width = sample.image.shape[:2]
    size = max(16, round(width * scale[1])), max(16, round(height * scale[0]))
    shrinks = scale.max() < 1
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(sample.image, size, interpolation=method), np.uint8)
    boxes = sample.boxes_px * np.array([size[1] / height, size[0] / width] * 2, np.float32)
    if rng.random() < 0.2:
        image, boxes = rotate_freely(image, boxes, rng.uniform(-25, 25))
    image, boxes = turn(image, boxes, int(rng.integers(8)))
    image = jitter_colour(np.ascontiguousarray(image), rng)
    canvas = np.full((canvas_px, canvas_px, 3), PADDING_LEVEL, np.uint8)
    shape, offset, low, high = image.shape[:2], np.zeros(2, int), np.zeros(2, int), np.zeros(2, int)
    for axis in range(2):
        spare = canvas_px - shape[axis]
        # Half of the images that fit start at the canvas corner, as frames do in the detector.
        corner = spare > 0 and rng.random() < 0.5
        offset[axis] = 0 if corner else rng.integers(min(spare, 0), max(spare, 0) + 1)
        low[axis], high[axis] = max(0, offset[axis]), min(canvas_px, offset[axis] + shape[axis])
    part = image[low[0] - offset[0] : high[0] - offset[0], low[1] - offset[1] : high[1] - offset[1]]
    canvas[low[0] : high[0], low[1] : high[1]] = part
    moved = boxes + np.tile(offset, 2).astype(np.float32)
    clipped = np.hstack([np.clip(moved[:, :2], low, high), np.clip(moved[:, 2:], low, high)])
    return canvas, moved.astype(np.float32), clipped.astype(np.float32)


def turn(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], way: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Apply one of the eight flips and quarter turns (``way`` 0..7) to an image and its boxes."""
    if way & 1:
        boxes = boxes[:, [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, image.shape[1], 0, image.shape[1]]
        image = image[:, ::-1]
    if way & 2:
        boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [image.shape[0], 0, image.shape[0], 0]
        image = image[::-1]
    if way & 4:
        image, boxes = image.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    return image, boxes.astype(np.float32)


def rotate_freely(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], degrees: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rotate about the centre; a box becomes the bounding box of its rotated inscribed ellipse."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    grey = (PADDING_LEVEL,) * 3
    out = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=grey)
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    xy = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, ::-1] @ matrix[:, :2].T + matrix[:, 2]
    turned = np.sqrt(half**2 @ (np.array([[matrix[0, 0], matrix[0, 1]], [matrix[0, 1], matrix[0, 0]]]) ** 2))
    centres = xy[:, ::-1]
    return np.asarray(out, np.uint8), np.hstack([centres - turned, centres + turned]).astype(np.float32)


def draw_targets(
    boxes: NDArray[np.float32],
    clipped: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    shape: tuple[int, int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Draw the target maps at a quarter of the resolution.

    ``shape`` is (h, w, C) of the centre map. Returns the centre map; (h, w, 5): log size (in px), offset
    and the weight of both; and (h, w) the foreground, the union of the ellipses in the boxes.
    """
    height, width, _ = shape
    centre = np.zeros(shape, np.float32)
    regress = np.zeros((height, width, 5), np.float32)
    foreground = np.zeros((height, width), np.uint8)
    sides = clipped[:, 2:] - clipped[:, :2]
    full = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3)
    visible = (np.maximum(sides, 0) / full).prod(axis=1)
    cut = (visible < 0.98) & ((sides.min(axis=1, initial=1e9) < SLIVER_PX) | (visible < SLIVER_SHARE))
    for box, class_id, side, ignored in zip(clipped, class_ids, sides, cut, strict=True):
        if side.min() < 1:
            continue
        middle = (box[:2] + box[2:]) / 2 / STRIDE_PX
        cell = np.minimum(middle.astype(int), [height - 1, width - 1])
        sigma = np.maximum(0.1 * side / STRIDE_PX, 0.55)
        reach = np.ceil(3 * sigma).astype(int)
        y0, x0 = np.maximum(cell - reach, 0)
        y1, x1 = np.minimum(cell + reach + 1, [height, width])
        dy, dx = np.arange(y0, y1)[:, None] - cell[0], np.arange(x0, x1)[None] - cell[1]
        bell = np.exp(-(dy**2) / (2 * sigma[0] ** 2) - dx**2 / (2 * sigma[1] ** 2))
        if ignored:
            bell = UNSURE * (bell > 0.05)
        window = centre[y0:y1, x0:x1, class_id]
        np.maximum(window, bell, out=window)
        semi = tuple(int(v) for v in np.maximum(side[::-1] / 2 / STRIDE_PX * 256, 1))
        at = tuple(int(v) for v in (middle[::-1] - 0.5) * 256)
        cv2.ellipse(foreground, at, semi, 0, 0, 360, 1, -1, shift=8)
        if ignored:
            continue
        area = regress[y0:y1, x0:x1]
        better = (bell > area[..., 4]) & (bell > 0.2)
        area[..., 4][better] = bell[better]
        area[..., :2][better] = np.log(side)
        area[..., 2][better] = np.broadcast_to(middle[0] - cell[0] - dy, bell.shape)[better]
        area[..., 3][better] = np.broadcast_to(middle[1] - cell[1] - dx, bell.shape)[better]
    return centre, regress, foreground.astype(np.float32)


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batches of an epoch; sample i of epoch e depends on (seed, e, i) alone, not on threads."""

    samples: tuple[Sample, ...]
    classes: int
    diameter_px: float
    canvas_px: int
    batch: int
    seed: int
    threads: int = 2

    def steps(self) -> int:
        """Batches per epoch."""
        return max(1, len(self.samples) // self.batch)

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield (image, centre, regress, foreground) batches, prepared ahead on threads."""
        rng = np.random.default_rng([self.seed, number])
        order = np.resize(rng.permutation(len(self.samples)), self.steps() * self.batch)
        with ThreadPoolExecutor(self.threads) as pool:
            ahead = 3 * self.batch
            pending = [pool.submit(self._make, number, i, int(k)) for i, k in enumerate(order[:ahead])]
            for start in range(0, len(order), self.batch):
                made = [future.result() for future in pending[: self.batch]]
                pending = pending[self.batch :]
                following = start + ahead
                pending += [
                    pool.submit(self._make, number, following + i, int(k))
                    for i, k in enumerate(order[following : following + self.batch])
                ]
                yield tuple(np.stack(column) for column in zip(*made, strict=True))

    def _make(self, epoch: int, position: int, index: int) -> tuple[NDArray[Any], ...]:
        sample = self.samples[index]
        rng = np.random.default_rng([self.seed, epoch, position])
        canvas, boxes, clipped = vary_sample(sample, self.canvas_px, rng)
        side = self.canvas_px // STRIDE_PX
        centre, regress, foreground = draw_targets(
            boxes, clipped, sample.class_ids, (side, side, self.classes)
        )
        regress[..., :2] -= np.log(self.diameter_px) * (regress[..., 4:] > 0)
        return canvas, centre, regress, foreground[..., None]


def make_batches(dataset: Dataset, diameter_px: float, canvas_px: int, batch: int, seed: int) -> BatchMaker:
    """Load a dataset into memory at the net's scale and return the maker of its batches."""
    with ThreadPoolExecutor(2) as pool:
        samples = tuple(pool.map(lambda item: load_sample(item, diameter_px), dataset.images))
    # Images that show a rare class come twice an epoch; focal loss alone learns such classes late.
    counts = dataset.class_counts()
    rare = np.flatnonzero((counts > 0) & (counts < 0.1 * counts.max()))
    shown = np.array([sum(bool((i.class_ids == c).any()) for i in dataset.images) for c in rare])
    seldom = set(rare[shown < 0.5 * len(samples)].tolist())
    again = tuple(s for s in samples if seldom & set(s.class_ids.tolist()))
    return BatchMaker(samples + again, len(dataset.class_names), diameter_px, canvas_px, batch, seed)
