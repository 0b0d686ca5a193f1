"""Writing `model.toml`: what the detector needs, where the model is from, and what it was measured to do."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from streamcount.detection.bundle import MODEL_FILE, Bundle, load_bundle

Figures = Mapping[str, Mapping[str, Any]]
"""By form, or what else was judged; by class: a dataclass of figures, or the table that one became."""


def write_model_file(folder: Path, bundle: Bundle, training: dict[str, Any], measured: Figures) -> None:
    """Write FOLDER/model.toml.

    Figures go to [figures.FORM."CLASS"], by form (int8, float32, or another detector) and class.
    """
    lines = [
        "# Written by `streamcount train`, `streamcount model calibrate` and `streamcount evaluate --record`.",
        *_pairs({
            "name": bundle.name, "task": bundle.task, "nms_iou": bundle.nms_iou,
            "least_area": bundle.least_area, "refines": bundle.refines,
        }),
        "", "[input]", *_pairs(msgspec.structs.asdict(bundle.input)),
    ]  # fmt: skip
    for name, compiled in bundle.forms.items():
        lines += ["", f"[forms.{name}]", *_pairs(msgspec.structs.asdict(compiled))]
    for one in bundle.classes:
        lines += ["", "[[classes]]", *_pairs(msgspec.structs.asdict(one))]
    if bundle.novelty:
        lines += ["", "[novelty]", *_pairs({"readings": bundle.novelty.readings})]
        for name, usual in bundle.novelty.classes.items():
            lines += ["", f"[novelty.classes.{json.dumps(name)}]", *_pairs(msgspec.structs.asdict(usual))]
    if training:
        lines += ["", "[training]", *_pairs(training)]
    for form, classes in measured.items():
        for name, one_class in classes.items():
            lines += ["", f"[figures.{json.dumps(form)}.{json.dumps(name)}]", *_pairs(_plain(one_class))]
    (folder / MODEL_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def record_figures(folder: Path, measured: Figures) -> None:
    """Write the figures of more forms, or of another detector, into an existing model.toml."""
    bundle, table = load_bundle(str(folder)), read_model_file(folder)
    write_model_file(folder, bundle, table.get("training", {}), {**table.get("figures", {}), **measured})


def read_model_file(folder: Path) -> dict[str, Any]:
    """All of FOLDER/model.toml, with what the detector does not need: [training] and [figures]."""
    return tomllib.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))


def _plain(figures: Any) -> dict[str, Any]:
    return figures if isinstance(figures, dict) else asdict(figures)


def _pairs(table: dict[str, Any]) -> list[str]:
    # TOML's strings, numbers, booleans and lists of them are written as JSON writes them.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
