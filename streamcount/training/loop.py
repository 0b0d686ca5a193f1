"""The training loop: seeded, resumable after any epoch, with averaged weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import find_bundle
from streamcount.errors import TrainingError
from streamcount.training.recipe import Recipe
from streamcount.training.weights import load_backbone

# XLA takes a quarter off each step on two cores, but half a minute to start.
FUSED_FROM = 300
RECIPE_FILE, HISTORY_FILE, LOGS = "recipe.json", "history.jsonl", "logs"
Progress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, mean loss of late)."""


class Batches(Protocol):
    """Makes the batches of an epoch, the same for the same seed and epoch: inputs first, then what is asked for."""

    def steps(self) -> int:
        """Batches per epoch."""

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], ...]]:
        """The batches of one epoch."""


@dataclass(frozen=True)
class Lesson:
    """What is learned.

    build: makes the untrained net. batches: see there; images: how many there are to learn from; digest: tells
    them and their labels from others. parts: the names of the loss's parts; losses: (outputs, *what is asked for) ->
    their values, to be summed.
    """

    build: Callable[[], Any]
    batches: Batches
    images: int
    digest: str
    parts: tuple[str, ...]
    losses: Callable[..., Any]


def learn(lesson: Lesson, recipe: Recipe, work: Path, progress: Progress | None = None) -> Any:
    """Train the lesson's net and return it with averaged weights.

    After every epoch the whole state goes to ``work``; called again with the same recipe it goes on from
    there. Losses go to history.jsonl and, for TensorBoard, to logs/ in the same folder. Raises TrainingError when
    ``work`` holds the state of another recipe or of other data. `forget` removes the state.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(recipe.seed)
    net = lesson.build()
    kept = load_backbone(net, find_bundle(recipe.parent), recipe.channels) if recipe.parent else []
    averaged = lesson.build()
    averaged.set_weights(net.get_weights())
    batches = lesson.batches
    total = recipe.epochs * batches.steps()
    optimizer = _optimizer(net, recipe, total)
    check_same_run(work, {**recipe.described(), "images": lesson.images, "data": lesson.digest})
    done = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(net=net, averaged=averaged, optimizer=optimizer, done=done)
    manager = tf.train.CheckpointManager(checkpoint, str(work / "state"), max_to_keep=1)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).expect_partial()
    trained = _Step(net, averaged, optimizer, recipe.ema_decay, lesson.losses, total >= FUSED_FROM)
    frozen_epochs = round(recipe.frozen_share * recipe.epochs)
    log = tf.summary.create_file_writer(str(work / LOGS))
    first = int(done.numpy())
    for epoch in range(first, recipe.epochs):
        # Once for each of the two stages: to make a step takes as long as dozens of them, and its memory is kept.
        if epoch in (first, frozen_epochs):
            step = trained.compiled(kept if epoch < frozen_epochs else [])
        losses: list[Any] = []
        for i, batch in enumerate(batches.epoch(epoch)):
            losses.append(step(*(tf.constant(part) for part in batch)).numpy())
            if not np.isfinite(losses[-1]).all():
                raise TrainingError(f"The loss is not finite in epoch {epoch + 1}; lower --learning-rate.")
            if progress is not None:
                progress(epoch * batches.steps() + i + 1, total, float(np.sum(np.mean(losses[-50:], axis=0))))
        done.assign(epoch + 1)
        if epoch + 1 == recipe.epochs:
            _settle_statistics(averaged, batches, recipe.epochs)
        manager.save()
        _record(work, log, epoch + 1, dict(zip(lesson.parts, np.mean(losses, axis=0), strict=True)))
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


def _record(work: Path, log: Any, epoch: int, losses: dict[str, Any]) -> None:
    import tensorflow as tf

    row = {"epoch": epoch, "loss": round(float(sum(losses.values())), 5)}
    with log.as_default():
        tf.summary.scalar("loss", row["loss"], epoch)
        for name, value in losses.items():
            row[name] = round(float(value), 5)
            tf.summary.scalar(f"loss/{name}", float(value), epoch)
        log.flush()
    with (work / HISTORY_FILE).open("a", encoding="utf-8") as history:
        history.write(json.dumps(row) + "\n")


def forget(work: Path) -> None:
    """Remove the state of a training that is done, so that the next may begin; its losses stay to be looked at."""
    for path in work.glob(f"**/{RECIPE_FILE}"):
        shutil.rmtree(path.parent / "state", ignore_errors=True)
        path.unlink()


def check_same_run(work: Path, described: dict[str, Any]) -> None:
    """Keep in `work` what the training is described by.

    Raises TrainingError, which names what differs, where another one is unfinished there.
    """
    path = work / RECIPE_FILE
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        others = sorted(key for key in {*before, *described} if before.get(key) != described.get(key))
        if others:
            raise TrainingError(
                f"{work} holds the state of an unfinished training that differs in {', '.join(others)}; remove the "
                "folder to begin anew, or give another --work."
            )
        return
    # What an earlier training told of itself is not of this one.
    (work / HISTORY_FILE).unlink(missing_ok=True)
    shutil.rmtree(work / LOGS, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(described, sort_keys=True), encoding="utf-8")


@dataclass(frozen=True)
class _Step:
    """One step of the optimiser and of the averaged weights."""

    net: Any
    averaged: Any
    optimizer: Any
    ema_decay: float
    losses: Callable[..., Any]
    fused: bool

    def compiled(self, frozen: list[str]) -> Any:
        """The step as a TensorFlow function that leaves the layers of these names as they are."""
        import tensorflow as tf

        still = {id(weight) for name in frozen for weight in self.net.get_layer(name).trainable_variables}
        learning = [variable for variable in self.net.trainable_variables if id(variable) not in still]

        @tf.function(jit_compile=self.fused)  # type: ignore[untyped-decorator]
        def step(image: Any, *asked: Any) -> Any:
            with tf.GradientTape() as tape:
                # Frozen layers keep the statistics too that they were trained with.
                losses = self.losses(self.net(tf.cast(image, tf.float32), training=not frozen), *asked)
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


def _settle_statistics(averaged: Any, batches: Batches, epoch: int) -> None:
    """Measure the batch statistics anew for the averaged weights (arXiv 1803.05407, section 3.3)."""
    for i, batch in enumerate(batches.epoch(epoch)):
        averaged(batch[0].astype(np.float32), training=True)
        if i >= 200:
            break
