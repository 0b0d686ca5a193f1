"""The training loop: seeded, resumable after any epoch, with averaged weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamcount.detection.bundle import find_bundle
from streamcount.errors import TrainingError
from streamcount.training.batches import BatchMaker, make_batches
from streamcount.training.data.labelled import Dataset
from streamcount.training.net import build_net
from streamcount.training.recipe import Recipe
from streamcount.training.weights import load_backbone

# XLA takes a quarter off each step on two cores, but half a minute to start.
FUSED_FROM = 300
LOSSES = ("centre", "size", "offset", "foreground")
Progress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, mean loss of late)."""


def fit(dataset: Dataset, recipe: Recipe, work: Path, progress: Progress | None = None) -> Any:
    """Train the net and return it with averaged weights.

    After every epoch the whole state goes to ``work``; called again with the same recipe it goes on from
    there. Losses go to history.jsonl and, for TensorBoard, to logs/ in the same folder. Raises TrainingError when
    ``work`` holds the state of another recipe.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(recipe.seed)
    net = build_net(len(dataset.class_names), recipe)
    kept = load_backbone(net, find_bundle(recipe.parent), recipe.channels) if recipe.parent else []
    averaged = build_net(len(dataset.class_names), recipe)
    averaged.set_weights(net.get_weights())
    maker = make_batches(dataset, recipe)
    total = recipe.epochs * maker.steps()
    optimizer = _optimizer(net, recipe, total)
    _check_same_run(work, recipe, len(dataset.images))
    done = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(net=net, averaged=averaged, optimizer=optimizer, done=done)
    manager = tf.train.CheckpointManager(checkpoint, str(work / "state"), max_to_keep=1)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).expect_partial()
    trained = _Step(net, averaged, optimizer, recipe.ema_decay, class_weights(dataset), total >= FUSED_FROM)
    frozen_epochs = round(recipe.frozen_share * recipe.epochs)
    log = tf.summary.create_file_writer(str(work / "logs"))
    for epoch in range(int(done.numpy()), recipe.epochs):
        step = trained.compiled(kept if epoch < frozen_epochs else [])
        losses: list[Any] = []
        for i, batch in enumerate(maker.epoch(epoch)):
            losses.append(step(*(tf.constant(part) for part in batch)).numpy())
            if not np.isfinite(losses[-1]).all():
                raise TrainingError(f"The loss is not finite in epoch {epoch + 1}; lower --learning-rate.")
            if progress is not None:
                progress(epoch * maker.steps() + i + 1, total, float(np.sum(np.mean(losses[-50:], axis=0))))
        done.assign(epoch + 1)
        if epoch + 1 == recipe.epochs:
            _settle_statistics(averaged, maker, recipe.epochs)
        manager.save()
        _record(work, log, epoch + 1, np.mean(losses, axis=0))
    return averaged


def _optimizer(net: Any, recipe: Recipe, total: int) -> Any:
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5,
        max(total - total // 20, 1),
        warmup_target=recipe.learning_rate,
        warmup_steps=total // 20,
        alpha=0.01,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay, global_clipnorm=10.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(net.trainable_variables)
    return optimizer


def _record(work: Path, log: Any, epoch: int, losses: Any) -> None:
    import tensorflow as tf

    row = {"epoch": epoch, "loss": round(float(losses.sum()), 5)}
    with log.as_default():
        tf.summary.scalar("loss", row["loss"], epoch)
        for name, value in zip(LOSSES, losses, strict=True):
            row[name] = round(float(value), 5)
            tf.summary.scalar(f"loss/{name}", float(value), epoch)
        log.flush()
    with (work / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write(json.dumps(row) + "\n")


def class_weights(dataset: Dataset) -> list[float]:
    """Weigh rare classes up by the inverse square root of their frequency, at most threefold."""
    counts = np.maximum(dataset.class_counts(), 1)
    return [float(w) for w in np.clip(np.sqrt(counts.max() / counts), 1, 3)]


def _check_same_run(work: Path, recipe: Recipe, images: int) -> None:
    described = json.dumps({**recipe.described(), "images": images}, sort_keys=True)
    path = work / "recipe.json"
    if path.is_file() and path.read_text(encoding="utf-8") != described:
        raise TrainingError(
            f"{work} holds a training with other options or data; remove it or give another --work."
        )
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(described, encoding="utf-8")


@dataclass(frozen=True)
class _Step:
    """One step of the optimiser and of the averaged weights."""

    net: Any
    averaged: Any
    optimizer: Any
    ema_decay: float
    weights: list[float]
    fused: bool

    def compiled(self, frozen: list[str]) -> Any:
        """The step as a TensorFlow function that leaves the layers of these names as they are."""
        import tensorflow as tf

        still = {id(weight) for name in frozen for weight in self.net.get_layer(name).trainable_variables}
        learning = [variable for variable in self.net.trainable_variables if id(variable) not in still]

        @tf.function(jit_compile=self.fused)  # type: ignore[untyped-decorator]
        def step(image: Any, centre: Any, regress: Any, foreground: Any) -> Any:
            with tf.GradientTape() as tape:
                # Frozen layers keep the statistics too that they were trained with.
                maps = self.net(tf.cast(image, tf.float32), training=not frozen)
                losses = each_loss(maps, centre, regress, foreground, self.weights)
                loss = tf.reduce_sum(losses)
            known = {id(v): g for v, g in zip(learning, tape.gradient(loss, learning), strict=True)}
            variables = self.net.trainable_variables
            gradients = [known.get(id(v), tf.zeros_like(v)) for v in variables]
            before = [tf.identity(v) for v in variables if id(v) not in known]
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            # Weight decay moves what no gradient does.
            for variable, value in zip([v for v in variables if id(v) not in known], before, strict=True):
                variable.assign(value)
            # A short memory at first, or the average would hold the random start for long.
            seen = tf.cast(self.optimizer.iterations, tf.float32)
            decay = tf.minimum(self.ema_decay, (1.0 + seen) / (10.0 + seen))
            for mean, value in zip(self.averaged.variables, self.net.variables, strict=True):
                if mean.dtype.startswith("float"):
                    mean.assign(decay * mean + (1 - decay) * value)
            return losses

        return step


def each_loss(maps: Any, centre: Any, regress: Any, foreground: Any, weights: list[float]) -> Any:
    """(4,) the penalty-reduced focal loss of centres (arXiv 1904.07850, eq. 1), the L1 losses of log size near
    centres and of offsets where they are told, and the cross-entropy of the foreground, weighed for their sum."""
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
    return tf.stack([focal, 2.0 * size, 0.5 * offset, 0.5 * tf.reduce_mean(cross)])


def _settle_statistics(averaged: Any, maker: BatchMaker, epoch: int) -> None:
    """Measure the batch statistics anew for the averaged weights (arXiv 1803.05407, section 3.3)."""
    for i, batch in enumerate(maker.epoch(epoch)):
        averaged(batch[0].astype(np.float32), training=True)
        if i >= 200:
            break
