"""A finished bundle with temperatures and thresholds chosen anew on labelled images; its net stays as it is."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streamcount.detection.bundle import CROP_CLASSIFICATION, Bundle, find_bundle, load_bundle
from streamcount.detection.novelty import usual_of
from streamcount.errors import ModelError, TrainingError
from streamcount.training.compile import calibrated_bundle, in_words_of, store_bundle
from streamcount.training.data.labelled import Dataset
from streamcount.training.modelfile import Figures, read_model_file, write_model_file
from streamcount.training.novelty import with_novelty


def recalibrate(name: str, dataset: Dataset, output: Path, command: str) -> Bundle:
    """Write a copy of a bundle to OUTPUT (which may be its own folder) that is calibrated on `dataset`.

    What is usual of its cells is learned there too. Figures measured with the old thresholds are left out of the
    copy's model.toml. command: told there as `calibrated_by`. Raises ModelError where the model classifies crops or
    has no int8 form, and TrainingError where the labels' classes are not the model's or no cell is labelled.
    """
    bundle, folder = _opened(name, output)
    ordered = _in_model_order(bundle, dataset)
    compiled = {form: (bundle.read_model(form), one.outputs) for form, one in bundle.forms.items()}
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / bundle.name
        final = calibrated_bundle(copy, bundle, ordered, compiled)
        final = with_novelty(copy, final, ordered, ordered)
    story = read_model_file(folder).get("training", {})
    story |= {"images_for_thresholds": len(dataset.images), "calibrated_by": command}
    story.pop("novelty_by", None)
    _write(output, folder, final, story, {})
    return final


def add_novelty(name: str, learn: Dataset, held: Dataset, output: Path, command: str) -> Bundle:
    """Write a copy of a bundle to OUTPUT (which may be its own folder) that knows usual cells, see `with_novelty`.

    All else stays as it is, figures too. command: told in model.toml as `novelty_by`. Raises as `recalibrate`.
    """
    bundle, folder = _opened(name, output)
    ordered = _in_model_order(bundle, learn)
    others = ordered if held is learn else _in_model_order(bundle, held)
    compiled = {form: (bundle.read_model(form), one.outputs) for form, one in bundle.forms.items()}
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / bundle.name
        store_bundle(copy, bundle, compiled)
        final = with_novelty(copy, bundle, ordered, others)
    table = read_model_file(folder)
    _write(
        output, folder, final, table.get("training", {}) | {"novelty_by": command}, table.get("figures", {})
    )
    return final


def _opened(name: str, output: Path) -> tuple[Bundle, Path]:
    """A bundle that can be calibrated into OUTPUT, and its folder."""
    bundle, folder = load_bundle(name), find_bundle(name)
    if output.resolve() != folder.resolve() and output.exists() and any(output.iterdir()):
        raise ModelError(f"{output} holds something else already; name a new folder, or the model's own.")
    if bundle.task == CROP_CLASSIFICATION:
        raise ModelError(
            f"{bundle.name} classifies crops and has no thresholds; name a model that finds cells."
        )
    if "int8" not in bundle.forms:
        raise ModelError(f"{bundle.name} has no int8 form, on which thresholds are chosen.")
    return _sound(bundle), folder


def _sound(bundle: Bundle) -> Bundle:
    """Without what it tells of usual cells, where that is damaged or of another version: it is to be learned anew."""
    try:
        usual_of(bundle)
    except ModelError:
        return msgspec.structs.replace(bundle, novelty=None)
    return bundle


def _write(output: Path, folder: Path, bundle: Bundle, story: dict[str, Any], figures: Figures) -> None:
    if output.resolve() != folder.resolve():
        shutil.copytree(folder, output, dirs_exist_ok=True)
    write_model_file(output, bundle, story, figures)


def _in_model_order(bundle: Bundle, dataset: Dataset) -> Dataset:
    """The set with the model's classes in the model's order."""
    if not sum(len(image.class_ids) for image in dataset.images):
        raise TrainingError(
            "No cell is labelled in these images; thresholds need some dozens of labelled cells."
        )
    told = in_words_of(bundle, dataset)
    if sorted(told.class_names) != sorted(bundle.class_names):
        raise TrainingError(
            f"The labels name {', '.join(dataset.class_names)}, the model {', '.join(bundle.class_names)}: "
            "call the labels' classes as the model does, or train --from the model."
        )
    numbers = np.array([bundle.class_names.index(name) for name in told.class_names], np.int64)
    images = tuple(replace(image, class_ids=numbers[image.class_ids]) for image in told.images)
    return replace(told, class_names=bundle.class_names, images=images)
