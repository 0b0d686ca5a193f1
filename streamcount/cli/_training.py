"""What `streamcount train` does with its options: read the parts, name the classes, train and compile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from streamcount.cli._figures import describe, progress_bar
from streamcount.errors import TrainingError

if TYPE_CHECKING:
    from streamcount.training.compile import Naming, Parts
    from streamcount.training.recipe import Recipe

Measured = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Source:
    """Which data, and what of it."""

    data: Path
    split: Path | None
    format: str | None
    reference: str
    dropped: tuple[str, ...]
    images: int | None
    seed: int


@dataclass(frozen=True)
class Order:
    """What is to be made, and where: state is the folder of the unfinished training."""

    parts: Parts
    recipe: Recipe
    naming: Naming
    state: Path
    output: Path


def read_for_training(source: Source, console: Console) -> tuple[Parts, int]:
    """The parts to train on, to choose thresholds on and to measure on; and the class that sets the scale."""
    from streamcount.training.compile import Parts
    from streamcount.training.data.labelled import split_calibration, with_diameters, without_classes
    from streamcount.training.data.parts import apart, read_parts
    from streamcount.training.plan import only_some

    parts, seen = apart(read_parts(source.data, split=source.split, format=source.format))
    if seen:
        console.print(f"val: {seen} images left out, near-duplicates of images in train")
    whole, val = (without_classes(parts[name], source.dropped) for name in ("train", "val"))
    labels, reference = whole.class_names, source.reference
    if reference and reference not in labels:
        raise TrainingError(f"--reference {reference!r} is no class; give one of {', '.join(labels)}.")
    index = labels.index(reference) if reference else int(whole.class_counts().argmax())
    if reference:
        whole, val = with_diameters(whole, index), with_diameters(val, index)
    if source.images is not None:
        whole = only_some(whole, source.images, source.seed)
    describe(console, "train", whole)
    describe(console, "val", val)
    kept, held = split_calibration(whole, 0.1)
    return Parts(kept, held, val), index


def make_dense(order: Order, console: Console) -> Measured:
    """Train and compile a dense net, and measure it."""
    from streamcount.training.compile import make_bundle
    from streamcount.training.dense import fit

    with progress_bar(console) as progress:
        bar = progress.add_task("training", total=None, note="")
        net = fit(order.parts.train, order.recipe, order.state, lambda done, total, loss: progress.update(
            bar, completed=done, total=total, note=f"loss {loss:.3f}"))  # fmt: skip
    with console.status("compiling") as status:
        return make_bundle(net, order.parts, order.recipe, order.naming, order.output, status.update)


def make_shapes(order: Order, first: str, refines: str, console: Console) -> Measured:
    """Find the cells by the first model, clean their labels, train and compile a classifier, and measure it."""
    from streamcount.detection.tflite import TfliteConfig
    from streamcount.training.shapes.collect import collect, find_in_parts
    from streamcount.training.shapes.compile import make_shapes_bundle
    from streamcount.training.shapes.lesson import fit_classifier

    parts, recipe = order.parts, order.recipe
    finder = TfliteConfig(model=first).build()
    refined = refines or finder.bundle.input.reference_class
    with progress_bar(console) as progress:
        total = sum(len(part.images) for part in (parts.train, parts.calibration, parts.val))
        bar = progress.add_task("finding cells", total=total, note="")
        found = find_in_parts(parts, finder, refined, lambda: progress.update(bar, advance=1))
    with console.status("cleaning") as status:
        lessons = collect(parts, found, (finder.bundle.name, refined), recipe, order.state, status.update)
    cleaning = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in lessons.cleaning.items())
    console.print(f"labels: {cleaning}")
    with progress_bar(console) as progress:
        bar = progress.add_task("training", total=None, note="")
        net = fit_classifier(lessons.train, len(parts.train.class_names), recipe, order.state / "final",
                             lambda done, total, loss: progress.update(
                                 bar, completed=done, total=total, note=f"loss {loss:.3f}"))  # fmt: skip
    with console.status("compiling") as status:
        return make_shapes_bundle(net, lessons, recipe, order.naming, order.output, status.update)


def chosen_names(labels: tuple[str, ...], names: str) -> tuple[str, ...]:
    """The classes' names. Raises TrainingError where they do not fit."""
    class_names = _renamed(labels, words(names))
    if len(class_names) != len(labels) or len(set(class_names)) != len(labels):
        raise TrainingError(f"--names {names!r} must give {len(labels)} different names, one a class.")
    return class_names


def some_of(class_names: tuple[str, ...], chosen: str, option: str) -> tuple[str, ...]:
    """The classes that the option chooses. Raises TrainingError where it names another."""
    some = tuple(words(chosen))
    if not set(some) <= set(class_names):
        raise TrainingError(
            f"{option} {chosen!r} names an unknown class; take some of {', '.join(class_names)}."
        )
    return some


def _renamed(labels: tuple[str, ...], words: list[str]) -> tuple[str, ...]:
    """The classes' new names, given in their order or as OLD=NEW."""
    if not any("=" in word for word in words):
        return tuple(words) or labels
    told = dict(word.split("=", 1) for word in words if "=" in word)
    if len(told) != len(words) or not set(told) <= set(labels):
        raise TrainingError(f"--names: give OLD=NEW for each, OLD being one of {', '.join(labels)}.")
    return tuple(told.get(label, label) for label in labels)


def words(text: str) -> list[str]:
    """The words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def model_name(output: Path) -> str:
    """The folder's name, which is the model's. Raises TrainingError where it can be none."""
    name = output.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise TrainingError(
            f"--output {output} must end in the model's name: letters, digits, '.', '_' or '-'."
        )
    return name
