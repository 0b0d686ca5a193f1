"""From a trained net to a finished bundle: compile, choose thresholds, measure, write `model.toml`."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import DENSE_DETECTION, Bundle, ClassInfo, InputInfo, load_bundle
from streamcount.detection.tflite import TfliteConfig, padded
from streamcount.training.batches import PADDING_LEVEL
from streamcount.training.dataset import Dataset
from streamcount.training.evaluate import (
    ClassFigures,
    Found,
    class_columns,
    doubtful,
    figures,
    find_all,
    unbiased_thresholds,
)
from streamcount.training.export import as_probabilities, compile_float32, compile_int8
from streamcount.training.loop import TrainingOptions
from streamcount.training.modelfile import write_model_file

NMS_IOU = 0.6
TYPICAL_INPUTS = 64
PALETTE = ("#1f5fd0", "#12a04a", "#e0352b", "#b04ad0", "#e09a00", "#00a3a3", "#7a5230", "#666666")


@dataclass(frozen=True)
class Naming:
    """What the data does not say: the bundle's name, its classes' names, and where the data is from."""

    name: str
    class_names: tuple[str, ...]
    abnormal: tuple[str, ...]
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
    net: Any, parts: Parts, options: TrainingOptions, naming: Naming, output: Path, say: Callable[[str], None]
) -> dict[str, dict[str, ClassFigures]]:
    """Write OUTPUT/NAME.int8.tflite and OUTPUT/model.toml and return the figures: by form, then by class."""
    exported = as_probabilities(net)
    typical = typical_inputs(parts.train, options.diameter_px)
    say("compiling to int8")
    compiled, order = compile_int8(exported, typical)
    draft = _draft(naming, parts.train, options, compiled, order)
    measured: dict[str, dict[str, ClassFigures]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        say("choosing thresholds")
        _store(folder, draft, compiled)
        thresholds = unbiased_thresholds(parts.calibration, _ranked(folder, parts.calibration))
        final = _with_thresholds(draft, thresholds)
        say("measuring int8")
        _store(folder, final, compiled)
        measured["int8"] = measure_bundle(folder, parts.val)
        say("measuring float32")
        as_float, float_order = compile_float32(exported, typical[0])
        _store(folder, _as_form(final, as_float, float_order), as_float)
        measured["float32"] = measure_bundle(folder, parts.val)
    output.mkdir(parents=True, exist_ok=True)
    (output / final.file).write_bytes(compiled)
    write_model_file(output, final, _story(parts, options, naming, len(compiled)), measured)
    return measured


def measure_bundle(
    folder: Path, dataset: Dataset, tick: Callable[[], None] | None = None
) -> dict[str, ClassFigures]:
    """Figures of a bundle on labelled images of unknown pixel size."""
    ranked = _ranked(folder, dataset, tick)
    return figures(dataset, ranked, counted(folder, dataset, tick))


def counted(folder: Path, dataset: Dataset, tick: Callable[[], None] | None = None) -> list[Found]:
    """What the bundle finds by its own thresholds."""
    detector = TfliteConfig(model=str(folder)).build()
    return find_all(detector, dataset, _columns(folder, dataset), tick)


def typical_inputs(dataset: Dataset, diameter_px: float) -> list[NDArray[np.uint8]]:
    """Some of the images as the detector would feed them, evenly picked."""
    step = max(1, len(dataset.images) // TYPICAL_INPUTS)
    inputs = []
    for item in dataset.images[::step][:TYPICAL_INPUTS]:
        image = item.read()
        scale = diameter_px / item.diameter_px
        size = max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        inputs.append(padded(np.asarray(cv2.resize(image, size, interpolation=method)), 32, PADDING_LEVEL))
    return inputs


def _ranked(folder: Path, dataset: Dataset, tick: Callable[[], None] | None = None) -> list[Found]:
    return find_all(doubtful(str(folder), load_bundle(str(folder))), dataset, _columns(folder, dataset), tick)


def _columns(folder: Path, dataset: Dataset) -> list[int]:
    bundle = load_bundle(str(folder))
    columns = class_columns(TfliteConfig(model=str(folder)).build(), dataset, bundle)
    return columns if columns is not None else list(range(len(bundle.classes)))


def _draft(
    naming: Naming, train: Dataset, options: TrainingOptions, compiled: bytes, order: tuple[str, ...]
) -> Bundle:
    classes = tuple(
        ClassInfo(
            name=name,
            threshold=0.3,
            relative_diameter=round(train.relative_diameters[i], 3),
            abnormal=name in naming.abnormal,
            color=PALETTE[i % len(PALETTE)],
            label=train.class_names[i] if train.class_names[i] != name else "",
        )
        for i, name in enumerate(naming.class_names)
    )
    return Bundle(
        name=naming.name,
        task=DENSE_DETECTION,
        file=f"{naming.name}.int8.tflite",
        sha256=hashlib.sha256(compiled).hexdigest(),
        nms_iou=NMS_IOU,
        outputs=order,
        input=InputInfo(
            reference_class=naming.class_names[naming.reference_class],
            cell_diameter_px=options.diameter_px,
            cell_diameter_um=naming.cell_diameter_um,
            padding_level=PADDING_LEVEL,
        ),
        classes=classes,
    )


def _with_thresholds(bundle: Bundle, thresholds: list[float]) -> Bundle:
    import msgspec

    classes = tuple(
        msgspec.structs.replace(info, threshold=value)
        for info, value in zip(bundle.classes, thresholds, strict=True)
    )
    return msgspec.structs.replace(bundle, classes=classes)


def _as_form(bundle: Bundle, compiled: bytes, order: tuple[str, ...]) -> Bundle:
    import msgspec

    digest = hashlib.sha256(compiled).hexdigest()
    return msgspec.structs.replace(bundle, sha256=digest, outputs=order, file="float32.tflite")


def _store(folder: Path, bundle: Bundle, compiled: bytes) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / bundle.file).write_bytes(compiled)
    write_model_file(folder, bundle, {}, {})


def _story(parts: Parts, options: TrainingOptions, naming: Naming, size_bytes: int) -> dict[str, Any]:
    return {
        "licence": naming.licence,
        "provenance": naming.provenance,
        "images": len(parts.train.images),
        "images_for_thresholds": len(parts.calibration.images),
        "images_for_figures": len(parts.val.images),
        "command": naming.command,
        "seed": options.seed,
        "epochs": options.epochs,
        "width": options.width,
        "size_bytes": size_bytes,
    }
