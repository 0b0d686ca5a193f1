"""`streamcount evaluate` of a second stage: is each cell that the first model finds told apart rightly?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streamcount.errors import ConfigurationError

if TYPE_CHECKING:
    from streamcount.training.data.labelled import Dataset
    from streamcount.training.shapes.report import ShapeSubject


def judge_shapes(
    dataset: Dataset, model: str, form: str, first: str, data: Path, tick: Callable[[], None]
) -> ShapeSubject:
    """Cut out what the first model finds, and classify it, with the set's scale told and not told.

    first: the model that finds the cells; "" for the one that the bundle was trained with.
    """
    import numpy as np

    from streamcount.detection.bundle import find_bundle, load_bundle
    from streamcount.detection.tflite import TfliteConfig
    from streamcount.training.modelfile import read_model_file
    from streamcount.training.shapes.crops import cut_labelled, find_cells, twice_labelled
    from streamcount.training.shapes.judge import abnormal_told, bundle_view, compiled_shares, shape_figures
    from streamcount.training.shapes.report import ShapeSubject

    folder = find_bundle(model)
    bundle = load_bundle(str(folder))
    finder = TfliteConfig(
        model=first or read_model_file(folder).get("training", {}).get("first", "blood-smear")
    ).build()
    told = _in_order_of(dataset, {one.label or one.name: i for i, one in enumerate(bundle.classes)})
    found = find_cells(told, finder, bundle.refines, tick)
    view = bundle_view(folder)
    crops, blind = cut_labelled(told, found, view), cut_labelled(told, found, view, told=False)
    shares = compiled_shares(folder, form, crops)
    twice = twice_labelled(told, found)
    names = bundle.class_names
    figures = {
        form: shape_figures(crops, names, shares.argmax(axis=1)),
        f"{form}, scale not told": shape_figures(
            blind, names, compiled_shares(folder, form, blind).argmax(axis=1)
        ),
    }
    marked = np.array([one.abnormal for one in bundle.classes])
    abnormal = abnormal_told(crops.class_ids, shares, marked)
    return ShapeSubject(
        model, data.name, names, crops, shares, figures, (twice.cells, twice.agreed), abnormal
    )


def _in_order_of(dataset: Dataset, numbers: dict[str, int]) -> Dataset:
    """The cells of the classes that the model knows, numbered as it does."""
    from dataclasses import replace

    import numpy as np

    known = np.array([numbers.get(name, -1) for name in dataset.class_names], np.int64)
    if (known < 0).all():
        names, data = ", ".join(numbers), ", ".join(dataset.class_names)
        raise ConfigurationError(f"The data's classes are {data}; the model knows {names} and none of them.")
    images = []
    for image in dataset.images:
        some = image.take(known[image.class_ids] >= 0)
        images.append(replace(some, class_ids=known[some.class_ids]))
    return replace(
        dataset, images=tuple(images), class_names=tuple(sorted(numbers, key=lambda n: numbers[n]))
    )
