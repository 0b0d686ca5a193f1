"""The training loop: seeded, resumable after any epoch, with averaged weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamcount.errors import TrainingError
from streamcount.training.batches import BatchMaker, make_batches
from streamcount.training.dataset import Dataset
from streamcount.training.net import build_net

# XLA takes a quarter off each step on two cores, but half a minute to start.
FUSED_FROM = 300
Progress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, mean loss of late)."""


@dataclass(frozen=True)
class TrainingOptions:
    """What decides the trained weights, beside the data."""

    epochs: int = 30
    seed: int = 1
    width: int = 16
    diameter_px: float = 44.0
    canvas_px: int = 224
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.998


def fit(dataset: Dataset, options: TrainingOptions, work: Path, progress: Progress | None = None) -> Any:
    """Train the net and return it with averaged weights.

    After every epoch the whole state goes to ``work``; called again with the same options it goes on from
    there. Raises TrainingError when ``work`` holds the state of other options.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(options.seed)
    net = build_net(len(dataset.class_names), options.width)
    averaged = build_net(len(dataset.class_names), options.width)
    averaged.set_weights(net.get_weights())
    maker = make_batches(dataset, options.diameter_px, options.canvas_px, options.batch, options.seed)
    total = options.epochs * maker.steps()
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5,
        max(total - total // 20, 1),
        warmup_target=options.learning_rate,
        warmup_steps=total // 20,
        alpha=0.01,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=options.weight_decay, global_clipnorm=10.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(net.trainable_variables)
    _check_same_run(work, options, len(dataset.images))
    done = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(net=net, averaged=averaged, optimizer=optimizer, done=done)
    manager = tf.train.CheckpointManager(checkpoint, str(work / "state"), max_to_keep=1)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).expect_partial()
    step = _train_step(
        net, averaged, optimizer, options.ema_decay, class_weights(dataset), total >= FUSED_FROM
    )
    started = int(done.numpy())
    for epoch in range(started, options.epochs):
        losses: list[float] = []
        for i, batch in enumerate(maker.epoch(epoch)):
            losses.append(float(step(*(tf.constant(part) for part in batch))))
            if not np.isfinite(losses[-1]):
                raise TrainingError(f"The loss is not finite in epoch {epoch + 1}; lower --learning-rate.")
            if progress is not None:
                progress(epoch * maker.steps() + i + 1, total, float(np.mean(losses[-50:])))
        done.assign(epoch + 1)
        if epoch + 1 == options.epochs:
            _settle_statistics(averaged, maker, options.epochs)
        manager.save()
        with (work / "history.jsonl").open("a", encoding="utf-8") as history:
            history.write(json.dumps({"epoch": epoch + 1, "loss": round(float(np.mean(losses)), 5)}) + "\n")
    return averaged


def class_weights(dataset: Dataset) -> list[float]:
    """Weigh rare classes up by the inverse square root of their frequency, at most threefold."""
    counts = np.maximum(dataset.class_counts(), 1)
    return [float(w) for w in np.clip(np.sqrt(counts.max() / counts), 1, 3)]


def _check_same_run(work: Path, options: TrainingOptions, images: int) -> None:
    described = json.dumps({**asdict(options), "images": images}, sort_keys=True)
    path = work / "options.json"
    if path.is_file() and path.read_text(encoding="utf-8") != described:
        raise TrainingError(
            f"{work} holds a training with other options or data; remove it or give another --work."
        )
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(described, encoding="utf-8")


def _train_step(
    net: Any, averaged: Any, optimizer: Any, ema_decay: float, weights: list[float], fused: bool
) -> Any:
    import tensorflow as tf

    @tf.function(jit_compile=fused)  # type: ignore[untyped-decorator]
    def step(image: Any, centre: Any, regress: Any, foreground: Any) -> Any:
        with tf.GradientTape() as tape:
            maps = net(tf.cast(image, tf.float32), training=True)
            loss = total_loss(maps, centre, regress, foreground, weights)
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables, strict=True))
        # A short memory at first, or the average would hold the random start for long.
        seen = tf.cast(optimizer.iterations, tf.float32)
        decay = tf.minimum(ema_decay, (1.0 + seen) / (10.0 + seen))
        for mean, value in zip(averaged.variables, net.variables, strict=True):
            if mean.dtype.startswith("float"):
                mean.assign(decay * mean + (1 - decay) * value)
        return loss

    return step


def total_loss(maps: Any, centre: Any, regress: Any, foreground: Any, weights: list[float]) -> Any:
    """Sum the penalty-reduced focal loss of centres (arXiv 1904.07850, eq. 1), the L1 losses of log size and
    offset near centres, and the cross-entropy of the foreground."""
    import tensorflow as tf

    logits = maps["centre"]
    chance = tf.clip_by_value(tf.sigmoid(logits), 1e-5, 1 - 1e-5)
    positive = tf.cast(centre >= 0.999, tf.float32)
    hit = positive * (1 - chance) ** 2 * tf.math.log(chance)
    miss = (1 - positive) * (1 - centre) ** 4 * chance**2 * tf.math.log(1 - chance)
    found = tf.reduce_sum(positive) + 1.0
    focal = -tf.reduce_sum((hit + miss) * tf.constant(weights)) / found
    near = regress[..., 4:]
    weight = tf.reduce_sum(near) + 1.0
    size = tf.reduce_sum(near * tf.abs(maps["log_size"] - regress[..., :2])) / weight
    offset = tf.reduce_sum(near * tf.abs(maps["offset"] - regress[..., 2:4])) / weight
    cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=foreground, logits=maps["foreground"])
    return focal + 2.0 * size + 0.5 * offset + 0.5 * tf.reduce_mean(cross)


def _settle_statistics(averaged: Any, maker: BatchMaker, epoch: int) -> None:
    """Measure the batch statistics anew for the averaged weights (arXiv 1803.05407, section 3.3)."""
    for i, batch in enumerate(maker.epoch(epoch)):
        averaged(batch[0].astype(np.float32), training=True)
        if i >= 200:
            break
