"""From a trained net to a finished bundle: compile, calibrate, choose thresholds, measure, write `model.toml`."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import (
    DENSE_DETECTION,
    DENSE_INSTANCES,
    Bundle,
    ClassInfo,
    CompiledForm,
    InputInfo,
    load_bundle,
)
from streamcount.detection.net import Net, ThreadedNet, padded
from streamcount.detection.postprocess import tempered
from streamcount.detection.prepare import Exposure, bright_level, prepare
from streamcount.detection.tflite import TfliteConfig, TfliteDetector
from streamcount.training.batches import PADDING_LEVEL
from streamcount.training.data.labelled import Dataset
from streamcount.training.export import compile_float32, compile_int8, exportable
from streamcount.training.judge import (
    ClassFigures,
    Found,
    doubtful,
    f1_of_all,
    figures,
    find_all,
    fit_temperature,
    match,
    needed_columns,
    unbiased_thresholds,
    whole_only,
)
from streamcount.training.looks import RememberedNet
from streamcount.training.modelfile import write_model_file
from streamcount.training.novelty import with_novelty
from streamcount.training.recipe import Recipe, multiple_px
from streamcount.training.weights import save_weights
from streamcount.types.colors import class_color

NMS_IOU = 0.7
TYPICAL_INPUTS = 64
EXPOSURE_IMAGES = 200
DRAFT_THRESHOLD, CALIBRATION_ROUNDS = 0.3, 2
LEAST_FINDS = 50  # a class with fewer is calibrated with all the others
LEAST_AREAS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2)  # of the reference cell's disc
Figures = dict[str, dict[str, ClassFigures]]


@dataclass(frozen=True)
class Naming:
    """What the data does not say: the bundle's name, its classes' names, and where the data is from."""

    name: str
    class_names: tuple[str, ...]
    abnormal: tuple[str, ...]
    dead: tuple[str, ...]
    mitotic: tuple[str, ...]
    reference_class: int
    cell_diameter_um: float
    licence: str
    provenance: str
    command: str


@dataclass(frozen=True)
class Parts:
    """The data's three parts: trained on, thresholds chosen on, figures measured on."""

    train: Dataset
    calibration: Dataset
    val: Dataset


def make_bundle(
    net: Any, parts: Parts, recipe: Recipe, naming: Naming, output: Path, say: Callable[[str], None]
) -> Figures:
    """Write the compiled forms, the weights and model.toml to OUTPUT; return the figures by form, then by class."""
    exported = exportable(net)
    typical = typical_inputs(parts.train, recipe)
    say("compiling to int8")
    compiled = {"int8": compile_int8(exported, typical)}
    say("compiling to float32")
    compiled["float32"] = compile_float32(exported, typical[0])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / naming.name
        draft = draft_bundle(naming, parts.train, recipe, compiled)
        say("calibrating and choosing thresholds")
        final = calibrated_bundle(folder, draft, parts.calibration, compiled)
        say("learning what is usual")
        final = with_novelty(folder, final, parts.train, parts.calibration)
        store_bundle(folder, final, compiled)
        save_weights(net, folder)
        measured: Figures = {}
        for form in compiled:
            say(f"measuring {form}")
            measured |= measure_bundle(folder, parts.val, form=form)
        write_model_file(folder, final, story_of(parts, recipe, naming, compiled), measured)
        output.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            shutil.copyfile(path, output / path.name)
    return measured


def measure_bundle(
    folder: Path, dataset: Dataset, tick: Callable[[], None] | None = None, *, form: str = "int8"
) -> Figures:
    """Figures of a bundle on labelled images of unknown pixel size: of all cells under the form's name, and of whole
    cells only under "FORM, whole cells"."""
    ranked, counted = ranked_finds(folder, dataset, form, tick), counted_finds(folder, dataset, form, tick)
    return all_figures(form, in_words_of(load_bundle(str(folder)), dataset), ranked, counted)


def in_words_of(bundle: Bundle, dataset: Dataset) -> Dataset:
    """The set with its classes called as the model calls them."""
    names = {info.label or info.name: info.name for info in bundle.classes}
    return replace(dataset, class_names=tuple(names.get(name, name) for name in dataset.class_names))


def all_figures(name: str, dataset: Dataset, ranked: list[Found], counted: list[Found]) -> Figures:
    """Figures of all cells under `name`, and of whole cells only under "NAME, whole cells"."""
    whole, ranked_whole = whole_only(dataset, ranked)
    _, counted_whole = whole_only(dataset, counted)
    return {
        name: figures(dataset, ranked, counted),
        f"{name}, whole cells": figures(whole, ranked_whole, counted_whole),
    }


def counted_finds(
    folder: Path,
    dataset: Dataset,
    form: str = "int8",
    tick: Callable[[], None] | None = None,
    *,
    net: Net | None = None,
) -> list[Found]:
    """What the bundle finds by its own thresholds; net: to be run in place of the bundle's own."""
    detector = TfliteDetector(TfliteConfig.model_validate({"model": str(folder), "form": form}), net)
    return find_all(detector, dataset, _columns(folder, dataset), tick, masks=_outlined(folder))


def ranked_finds(
    folder: Path,
    dataset: Dataset,
    form: str = "int8",
    tick: Callable[[], None] | None = None,
    *,
    net: Net | None = None,
) -> list[Found]:
    """What the bundle finds, the doubtful too; net: to be run in place of the bundle's own."""
    detector = doubtful(str(folder), load_bundle(str(folder)), form, net)
    return find_all(detector, dataset, _columns(folder, dataset), tick, masks=_outlined(folder))


def _outlined(folder: Path) -> bool:
    return load_bundle(str(folder)).task == DENSE_INSTANCES


def calibrated_bundle(folder: Path, draft: Bundle, dataset: Dataset, compiled: Compiled) -> Bundle:
    """The bundle, written to ``folder``, with temperatures and thresholds chosen on `dataset`; of outlined cells also
    with the least area by which most are found rightly (F1)."""
    # Neither thresholds nor least areas change what the net sees of an image.
    net = RememberedNet(ThreadedNet(*compiled["int8"]))
    if draft.task != DENSE_INSTANCES:
        return _with_thresholds(folder, draft, dataset, compiled, net)
    tried = []
    for least_area in LEAST_AREAS:
        of_area = msgspec.structs.replace(draft, least_area=least_area)
        bundle = _with_thresholds(folder, of_area, dataset, compiled, net)
        f1 = f1_of_all(in_words_of(bundle, dataset), counted_finds(folder, dataset, net=net))
        tried.append((f1, -least_area, bundle))
    best = max(tried, key=lambda one: one[:2])[2]
    store_bundle(folder, best, compiled)
    return best


def _with_thresholds(folder: Path, draft: Bundle, dataset: Dataset, compiled: Compiled, net: Net) -> Bundle:
    """The bundle calibrated and written to ``folder``.

    Whatever temperatures and thresholds the draft has, the result is the same.
    """
    classes = tuple(
        msgspec.structs.replace(one, threshold=DRAFT_THRESHOLD, temperature=1.0) for one in draft.classes
    )
    final = draft = msgspec.structs.replace(draft, classes=classes)
    # Twice, since the thresholds help to tell a frame's scale, on which in turn the scores depend.
    for _ in range(CALIBRATION_ROUNDS):
        store_bundle(folder, draft, compiled)
        ranked = ranked_finds(folder, dataset, net=net)
        final = calibrated(draft, dataset, ranked)
        draft = _untempered(final)
    store_bundle(folder, final, compiled)
    return final


def _untempered(bundle: Bundle) -> Bundle:
    """The same bundle for scores as the net gives them: thresholds at the same scores, temperatures of 1."""
    thresholds = np.array([one.threshold for one in bundle.classes], np.float32)
    raw = tempered(thresholds, np.array([1 / one.temperature for one in bundle.classes], np.float32))
    classes = tuple(
        msgspec.structs.replace(one, threshold=float(threshold), temperature=1.0)
        for one, threshold in zip(bundle.classes, raw, strict=True)
    )
    return msgspec.structs.replace(bundle, classes=classes)


def calibrated(bundle: Bundle, dataset: Dataset, ranked: list[Found]) -> Bundle:
    """The bundle with temperatures that make its probabilities true on `dataset`, and thresholds of these
    probabilities that make its counts unbiased. `ranked`: what it finds there, the doubtful too."""
    right = []
    for image, found in zip(dataset.images, ranked, strict=True):
        hit, _ = match(image, found)
        labels = np.append(image.class_ids, -1)[hit]
        right.append(labels == found.class_ids)
    scores = np.concatenate([found.scores for found in ranked])
    ids, correct = np.concatenate([found.class_ids for found in ranked]), np.concatenate(right)
    temperatures = []
    for class_id in range(len(bundle.classes)):
        own = ids == class_id
        enough = own if own.sum() >= LEAST_FINDS else np.ones(len(ids), np.bool_)
        temperatures.append(round(fit_temperature(scores[enough], correct[enough]), 3))
    corrected = [
        replace(found, scores=tempered(found.scores, np.array(temperatures, np.float32)[found.class_ids]))
        for found in ranked
    ]
    thresholds = unbiased_thresholds(dataset, corrected)
    classes = tuple(
        msgspec.structs.replace(info, threshold=threshold, temperature=temperature)
        for info, threshold, temperature in zip(bundle.classes, thresholds, temperatures, strict=True)
    )
    return msgspec.structs.replace(bundle, classes=classes)


def typical_inputs(dataset: Dataset, recipe: Recipe) -> list[NDArray[np.uint8]]:
    """Some of the images as the detector would feed them, evenly picked."""
    step = max(1, len(dataset.images) // TYPICAL_INPUTS)
    inputs = []
    for item in dataset.images[::step][:TYPICAL_INPUTS]:
        image = prepare(item.read(), recipe.channels, recipe.normalise)
        scale = recipe.diameter_px / item.diameter_px
        size = max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        scaled = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
        pixels = scaled.reshape(size[1], size[0], recipe.channels)
        inputs.append(padded(pixels, multiple_px(recipe), PADDING_LEVEL))
    return inputs


def _columns(folder: Path, dataset: Dataset) -> list[int]:
    return needed_columns(TfliteConfig(model=str(folder)).build(), dataset, load_bundle(str(folder)))


Compiled = dict[str, tuple[bytes, tuple[str, ...]]]


def exposure_of(dataset: Dataset, channels: int) -> Exposure:
    """How bright the images are; the darkest one in a hundred is left out."""
    step = max(1, len(dataset.images) // EXPOSURE_IMAGES)
    levels = [bright_level(prepare(item.read(), channels)) for item in dataset.images[::step]]
    darkest, usual = np.percentile(levels, (1, 50))
    return Exposure(round(float(darkest), 1), round(float(usual), 1))


def draft_bundle(naming: Naming, train: Dataset, recipe: Recipe, compiled: Compiled) -> Bundle:
    """The bundle before its thresholds and temperatures are chosen."""
    # Where brightness is evened out in every image, how bright the images were does not matter.
    exposure = exposure_of(train, recipe.channels) if recipe.normalise == "none" else Exposure()
    classes = tuple(
        ClassInfo(
            name=name,
            threshold=DRAFT_THRESHOLD,
            relative_diameter=round(train.relative_diameters[i], 3),
            abnormal=name in naming.abnormal,
            dead=name in naming.dead,
            mitotic=name in naming.mitotic,
            color=class_color(i),
            label=train.class_names[i] if train.class_names[i] != name else "",
        )
        for i, name in enumerate(naming.class_names)
    )
    forms = {
        form: CompiledForm(
            file=f"{naming.name}.{form}.tflite", sha256=hashlib.sha256(content).hexdigest(), outputs=order
        )
        for form, (content, order) in compiled.items()
    }
    return Bundle(
        name=naming.name,
        task=DENSE_INSTANCES if recipe.instances else DENSE_DETECTION,
        nms_iou=NMS_IOU,
        forms=forms,
        input=InputInfo(
            reference_class=naming.class_names[naming.reference_class],
            cell_diameter_px=recipe.diameter_px,
            cell_diameter_um=naming.cell_diameter_um,
            channels=recipe.channels,
            multiple_px=multiple_px(recipe),
            padding_level=PADDING_LEVEL,
            normalise=recipe.normalise,
            darkest_level=exposure.darkest,
            usual_level=exposure.usual,
            usual_diameter_px=round(float(np.median([i.diameter_px for i in train.images])), 1),
        ),
        classes=classes,
    )


def store_bundle(folder: Path, bundle: Bundle, compiled: Compiled) -> None:
    """Write the compiled files and a model.toml that the detector can read."""
    folder.mkdir(parents=True, exist_ok=True)
    for form, (content, _) in compiled.items():
        (folder / bundle.forms[form].file).write_bytes(content)
    write_model_file(folder, bundle, {}, {})


def story_of(parts: Parts, recipe: Recipe, naming: Naming, compiled: Compiled) -> dict[str, Any]:
    """Where the model is from: the [training] table of model.toml."""
    return {
        "licence": naming.licence,
        "provenance": naming.provenance,
        "images": len(parts.train.images),
        "images_for_thresholds": len(parts.calibration.images),
        "images_for_figures": len(parts.val.images),
        "command": naming.command,
        **recipe.described(),
        "size_bytes": len(compiled["int8"][0]),
    }
