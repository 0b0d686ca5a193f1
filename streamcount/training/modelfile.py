"""Writing `model.toml`: what the detector needs, where the model is from, and what it was measured to do."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from streamcount.detection.bundle import MODEL_FILE, Bundle, load_bundle
from streamcount.training.evaluate import ClassFigures

Figures = dict[str, dict[str, ClassFigures]]


def write_model_file(folder: Path, bundle: Bundle, training: dict[str, Any], measured: Figures) -> None:
    """Write FOLDER/model.toml.

    Figures go to [figures.FORM."CLASS"], by form (int8, float32, or another detector) and class.
    """
    info = bundle.input
    lines = [
        "# Written by `streamcount train`; figures also by `streamcount evaluate --record`.",
        *_pairs({
            "name": bundle.name, "task": bundle.task, "nms_iou": bundle.nms_iou,
        }),
        "", "[input]", *_pairs(msgspec.structs.asdict(bundle.input)),
    ]  # fmt: skip
    for name, form in bundle.forms.items():
        lines += ["", f"[forms.{name}]", *_pairs(msgspec.structs.asdict(form))]
    for one in bundle.classes:
        lines += ["", "[[classes]]", *_pairs(msgspec.structs.asdict(one))]
    if training:
        lines += ["", "[training]", *_pairs(training)]
    for form, classes in measured.items():
        for name, one_class in classes.items():
            lines += ["", f"[figures.{form}.{json.dumps(name)}]", *_pairs(asdict(one_class))]
    (folder / MODEL_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def record_figures(folder: Path, form: str, classes: dict[str, ClassFigures]) -> None:
    """Write the figures of one more form, or of another detector, into an existing model.toml."""
    bundle = load_bundle(str(folder))
    table = tomllib.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
    measured = {
        known: {name: ClassFigures(**one) for name, one in by_class.items()}
        for known, by_class in table.get("figures", {}).items()
    }
    write_model_file(folder, bundle, table.get("training", {}), {**measured, form: classes})


def _pairs(table: dict[str, Any]) -> list[str]:
    # TOML's strings, numbers, booleans and lists of them are written as JSON writes them.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
