"""The dense net's lesson: centres, sizes, offsets and foreground, of boxes or of masks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from streamcount.training.batches import make_batches
from streamcount.training.data.labelled import Dataset
from streamcount.training.loop import Lesson, Progress, learn
from streamcount.training.net import build_net
from streamcount.training.recipe import Recipe

LOSSES = ("centre", "size", "offset", "foreground")
# Of the sum. Where masks are learned, outlines rest on the offsets and the foreground, and no box on the size.
BOX_SHARES = (1.0, 2.0, 0.5, 0.5)
MASK_SHARES = (1.0, 1.0, 1.0, 2.0)


def fit(dataset: Dataset, recipe: Recipe, work: Path, progress: Progress | None = None) -> Any:
    """Train the dense net on a set's images; see `learn` for ``work`` and what is raised."""
    return learn(lesson_of(dataset, recipe), recipe, work, progress)


def lesson_of(dataset: Dataset, recipe: Recipe) -> Lesson:
    """What the dense net learns of a set's images."""
    shares = MASK_SHARES if recipe.instances else BOX_SHARES
    return Lesson(
        build=partial(build_net, len(dataset.class_names), recipe),
        batches=make_batches(dataset, recipe),
        images=len(dataset.images),
        digest=dataset.digest(),
        parts=LOSSES,
        losses=partial(each_loss, weights=class_weights(dataset), shares=shares),
    )


def class_weights(dataset: Dataset) -> list[float]:
    """Weigh rare classes up by the inverse square root of their frequency, at most threefold."""
    counts = np.maximum(dataset.class_counts(), 1)
    return [float(w) for w in np.clip(np.sqrt(counts.max() / counts), 1, 3)]


def each_loss(maps: Any, centre: Any, regress: Any, foreground: Any, *,
              weights: list[float], shares: tuple[float, ...]) -> Any:  # fmt: skip
    """(4,) the penalty-reduced focal loss of centres (arXiv 1904.07850, eq. 1), the L1 losses of log size near
    centres and of offsets where they are told, and the cross-entropy of the foreground, times their shares."""
    import tensorflow as tf

    logits = maps["centre"]
    chance = tf.clip_by_value(tf.sigmoid(logits), 1e-5, 1 - 1e-5)
    positive = tf.cast(centre >= 0.999, tf.float32)
    hit = positive * (1 - chance) ** 2 * tf.math.log(chance)
    miss = (1 - positive) * (1 - centre) ** 4 * chance**2 * tf.math.log(1 - chance)
    focal = -tf.reduce_sum((hit + miss) * tf.constant(weights)) / (tf.reduce_sum(positive) + 1.0)
    near, told = regress[..., 4:5], regress[..., 5:6]
    size = tf.reduce_sum(near * tf.abs(maps["log_size"] - regress[..., :2])) / (tf.reduce_sum(near) + 1.0)
    offset = tf.reduce_sum(told * tf.abs(maps["offset"] - regress[..., 2:4])) / (tf.reduce_sum(told) + 1.0)
    cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=foreground, logits=maps["foreground"])
    return tf.stack([focal, size, offset, tf.reduce_mean(cross)]) * tf.constant(shares)
