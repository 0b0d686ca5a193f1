"""From what the user asked and what the data is to a recipe: what is not said is told by the data or the parent."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamcount.detection.bundle import (
    DENSE_DETECTION,
    DENSE_INSTANCES,
    MODEL_FILE,
    find_bundle,
    load_bundle,
)
from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.recipe import Recipe, multiple_px

COLOURLESS = 6  # an image whose channels differ by less, on the mean of 0..255, is grey though stored as RGB
LOOKED_AT = 40
FROZEN_SHARE = 0.3
SHAPES = "shapes"
# A crop shows the cell and a rim of its surroundings; it is small, so that a step takes many.
OF_SHAPES = {"epochs": 24, "diameter_px": 56.0, "canvas_px": 96, "batch": 32}


@dataclass(frozen=True)
class Asked:
    """What the user said; None where nothing."""

    epochs: int | None = None
    seed: int = 1
    width: int | None = None
    diameter_px: float | None = None
    canvas_px: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    task: str | None = None
    colour: str | None = None
    normalise: str | None = None
    backbone: str | None = None
    parent: str = ""


def plan(asked: Asked, dataset: Dataset) -> Recipe:
    """The recipe. Raises TrainingError where masks are asked for and the data holds none, ModelError where the parent
    is missing, and TrainingError where it is no dense net."""
    before = _parent_recipe(asked.parent) if asked.parent else {}
    masks = all(image.masks is not None for image in dataset.images)
    if asked.task == "instances" and not masks:
        raise TrainingError(
            "Masks can be learned only from masks: label images or COCO masks; this data has boxes."
        )
    grey = asked.colour == "grey" if asked.colour else all(_is_grey(i) for i in _some(dataset))
    usual: dict[str, Any] = OF_SHAPES if asked.task == SHAPES else {
        "epochs": 12 if asked.parent else 30, "diameter_px": before.get("diameter_px")
    }  # fmt: skip
    chosen: dict[str, Any] = {
        "epochs": asked.epochs or usual["epochs"],
        "width": asked.width or before.get("width"),
        "diameter_px": asked.diameter_px or usual["diameter_px"],
        "canvas_px": asked.canvas_px or usual.get("canvas_px"),
        "batch": asked.batch or usual.get("batch"),
        # What was learned elsewhere is to be kept: small steps.
        "learning_rate": asked.learning_rate or (1e-3 if asked.parent else None),
        "normalise": asked.normalise or before.get("normalise") or ("percentile" if grey else None),
        "backbone": asked.backbone or before.get("backbone"),
    }
    recipe = Recipe(
        seed=asked.seed,
        instances=asked.task == "instances" or (asked.task is None and masks),
        channels=1 if grey else 3,
        parent=asked.parent,
        frozen_share=FROZEN_SHARE if asked.parent else 0.0,
        **{key: value for key, value in chosen.items() if value is not None},
    )
    _check(recipe)
    return recipe


def only_some(dataset: Dataset, number: int, seed: int) -> Dataset:
    """`number` of the images, picked by chance but the more always with the fewer. For learning curves.

    Raises TrainingError where there are not so many.
    """
    if number > len(dataset.images):
        raise TrainingError(f"--images {number} is more than the {len(dataset.images)} images to train on.")
    order = np.random.default_rng(seed).permutation(len(dataset.images))[:number]
    return replace(dataset, images=tuple(dataset.images[i] for i in sorted(order)))


def _check(recipe: Recipe) -> None:
    multiple = multiple_px(recipe)
    if recipe.canvas_px % multiple:
        lower = recipe.canvas_px // multiple * multiple
        raise TrainingError(f"--canvas {recipe.canvas_px} is not a multiple of {multiple}; take {lower}.")


def _parent_recipe(parent: str) -> dict[str, Any]:
    bundle = load_bundle(parent)
    if bundle.task not in (DENSE_DETECTION, DENSE_INSTANCES):
        raise TrainingError(
            f"--from {parent}: a model for {bundle.task} has no backbone for this; take another."
        )
    table = tomllib.loads((find_bundle(parent) / MODEL_FILE).read_text(encoding="utf-8"))
    known: dict[str, Any] = table.get("training", {})
    return known


def _some(dataset: Dataset) -> tuple[LabelledImage, ...]:
    return dataset.images[:: max(1, len(dataset.images) // LOOKED_AT)]


def _is_grey(image: LabelledImage) -> bool:
    pixels = image.read()
    if pixels.ndim == 2:
        return True
    spread = pixels[::4, ::4].max(axis=2).astype(np.float32) - pixels[::4, ::4].min(axis=2)
    return bool(spread.mean() < COLOURLESS * (257 if pixels.dtype == np.uint16 else 1))
