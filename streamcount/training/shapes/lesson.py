"""The classifier of crops: the dense net's backbone with one answer for the whole crop, and its training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.training.augment import jitter_colour, jitter_grey
from streamcount.training.batches import CACHE_SCALE
from streamcount.training.loop import Lesson, Progress, learn
from streamcount.training.net import block, own_backbone
from streamcount.training.recipe import Recipe
from streamcount.training.shapes.crops import Crops, View

SMOOTHING = 0.05  # of the labels, a part of which is wrong
EPOCH_CROPS = 6400  # an epoch shows at most so many
JITTER_SCALE, JITTER_SHIFT = 0.06, 0.04  # standard deviations, of the size and of the side


def build_classifier(classes: int, recipe: Recipe) -> Any:
    """The Keras model: (B, S, S, channels) values 0..255 -> {"class": (B, C) logits}."""
    import keras

    layers = keras.layers
    image = layers.Input((recipe.canvas_px, recipe.canvas_px, recipe.channels), name="image")
    _, _, x = own_backbone(image, recipe.width)
    x = block(x, "class_at16", 8 * recipe.width)
    pooled = [
        layers.GlobalAveragePooling2D(name="class_mean")(x),
        layers.GlobalMaxPooling2D(name="class_most")(x),
    ]
    x = layers.Dropout(0.3, name="class_dropout")(layers.Concatenate(name="class_pooled")(pooled))
    return keras.Model(image, {"class": layers.Dense(classes, name="class")(x)})


def view_of(recipe: Recipe) -> View:
    """How the recipe's crops are cut for training: larger than the net's input, so that they can be turned."""
    return View(recipe.diameter_px, recipe.canvas_px, recipe.channels, recipe.normalise, CACHE_SCALE)


def fit_classifier(
    crops: Crops, classes: int, recipe: Recipe, work: Path, progress: Progress | None = None
) -> Any:
    """Train the classifier; see `learn` for ``work`` and what is raised."""
    lesson = Lesson(
        build=partial(build_classifier, classes, recipe),
        batches=CropBatches(crops, recipe),
        images=len(crops.class_ids),
        digest=hashlib.sha256(crops.pixels.tobytes() + crops.class_ids.tobytes()).hexdigest(),
        parts=("class",),
        losses=partial(_loss, classes=classes),
    )
    return learn(lesson, recipe, work, progress)


def _loss(answers: Any, class_ids: Any, classes: int) -> Any:
    import tensorflow as tf

    smooth = tf.one_hot(class_ids, classes) * (1 - SMOOTHING) + SMOOTHING / classes
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(smooth, answers["class"]))[None]


@dataclass(frozen=True)
class CropBatches:
    """Batches of varied crops, in which a class comes by the square root of its frequency."""

    crops: Crops
    recipe: Recipe
    threads: int = 2

    def steps(self) -> int:
        """Batches per epoch."""
        return max(1, min(len(self.crops.class_ids), EPOCH_CROPS) // self.recipe.batch)

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield (image, class_ids) batches, prepared ahead on threads."""
        batch, ids = self.recipe.batch, self.crops.class_ids
        rng = np.random.default_rng([self.recipe.seed, number])
        weights = 1 / np.sqrt(np.bincount(ids))[ids]
        drawn = rng.choice(len(ids), self.steps() * batch, p=weights / weights.sum())
        with ThreadPoolExecutor(self.threads) as pool:
            made = pool.map(lambda at: self._make(number, at, int(drawn[at])), range(len(drawn)))
            for start in range(0, len(drawn), batch):
                images = np.stack([next(made) for _ in range(batch)])
                yield images, ids[drawn[start : start + batch]].astype(np.int32)

    def _make(self, epoch: int, position: int, index: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng([self.recipe.seed, epoch, position])
        return vary_crop(self.crops.pixels[index], self.recipe.canvas_px, rng)


def vary_crop(crop: NDArray[np.uint8], side_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn by any angle, flip, resize and move a little, and recolour: (side_px, side_px, channels)."""
    angle, scale = rng.uniform(0, 360), float(np.exp(rng.normal(0, JITTER_SCALE))) / CACHE_SCALE
    middle = (crop.shape[0] - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), angle, scale)
    matrix[:, 2] += (side_px - 1) / 2 - middle + rng.normal(0, JITTER_SHIFT * side_px, 2)
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    turned = cv2.warpAffine(
        crop, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    pixels = np.asarray(turned, np.uint8).reshape(side_px, side_px, crop.shape[2])
    return jitter_grey(pixels, rng) if pixels.shape[2] == 1 else jitter_colour(pixels, rng)


def plain_crops(crops: Crops, side_px: int) -> NDArray[np.uint8]:
    """(N, side_px, side_px, channels) the crops as the detector would cut them, but for rounding."""
    inner = round(crops.pixels.shape[1] / CACHE_SCALE)
    shrunk = [cv2.resize(c, (inner, inner), interpolation=cv2.INTER_AREA) for c in crops.pixels]
    pixels = np.array(shrunk, np.uint8).reshape(len(shrunk), inner, inner, crops.pixels.shape[3])
    edge = (inner - side_px) // 2
    return pixels[:, edge : edge + side_px, edge : edge + side_px]


def shares_of(net: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, C) probabilities by the trained Keras net."""
    logits = [
        np.asarray(net(pixels[i : i + 64].astype(np.float32), training=False)["class"], np.float64)
        for i in range(0, len(pixels), 64)
    ]
    odds = np.exp(np.concatenate(logits) - np.concatenate(logits).max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
