"""A new camera as a form: fields read off the settings' own types, and what was written in them judged by these."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from streamcount.config import Settings
from streamcount.config.edit import Change
from streamcount.config.explain import to_toml
from streamcount.config.settings import CameraConfig
from streamcount.detection.bundle import CROP_CLASSIFICATION, known_models, load_bundle
from streamcount.errors import ConfigurationError
from streamcount.service.dashboard.setup import NAME_RULE, Step
from streamcount.sources import SourceConfig
from streamcount.types import IDENTIFIER

Written: TypeAlias = str | int | bool | None

UNITS = (
    ("_um_per_min", "µm/min"), ("_per_hour", "per hour"), ("_um", "µm"), ("_px", "px"), ("_hz", "Hz"), ("_ns", "ns"),
    ("_ms", "ms"), ("_electrons", "electrons"), ("_s", "s"),
)  # fmt: skip
# The simulated microscope has thirty settings; these are asked for first.
FIRST = {"simulated": ("modality", "cells", "rate_hz", "width_px", "height_px", "pixel_size_um", "seed")}
# Tables and lists are written in the file; `truth` makes the camera write wherever it says.
LEFT_OUT = frozenset({"kind", "truth", "class_mix", "death_mix", "value_range"})
COMMON_DETECTOR = "as in [detector]"


@dataclass(frozen=True)
class FormField:
    """One setting. label: its name with its unit. choices: what there is to choose from, () for free text."""

    name: str
    label: str
    meaning: str
    default: str
    required: bool
    choices: tuple[str | int, ...]
    is_switch: bool
    comes_first: bool


class FormError(ConfigurationError):
    """What was written is not right. fields: by the field's name, what is wrong with it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {words}" for name, words in fields.items()))
        self.fields = dict(fields)


def kinds() -> tuple[str, ...]:
    """The kinds of sources."""
    return tuple(_source_models())


def fields_of(kind: str) -> Iterator[FormField]:
    """The fields of a kind of source, in order."""
    for name, field in _source_models()[kind].model_fields.items():
        if name in LEFT_OUT:
            continue
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        yield FormField(
            name=name,
            label=_label(name),
            meaning=field.description or "",
            default="" if default is None else to_toml(default).strip('"'),
            required=field.is_required(),
            choices=_choices(field),
            is_switch=field.annotation is bool,
            comes_first=name in FIRST.get(kind, (name,)),
        )


def detectors() -> tuple[str, ...]:
    """What may find the cells: the common detector, watershed, or a model."""
    models = [name for name in known_models() if load_bundle(name).task != CROP_CLASSIFICATION]
    return (COMMON_DETECTOR, "watershed", *models)


def camera_step(
    settings: Settings, name: str, kind: str, source: Mapping[str, Written], camera: Mapping[str, Written]
) -> Step:
    """A new camera out of what was written; what was left empty, or is the default, is not put into the file.

    camera: "encoding" and "detector". Raises FormError.
    """
    model = _source_models()[kind]
    values: dict[str, Any] = {"kind": kind}
    for field_name, text in source.items():
        value = _value(model.model_fields[field_name], text)
        if value is not None and value != model.model_fields[field_name].default:
            values[field_name] = value
    table: dict[str, Any] = {"source": values}
    if camera.get("encoding") not in (None, CameraConfig.model_fields["encoding"].default):
        table["encoding"] = camera["encoding"]
    detector = camera.get("detector")
    if detector not in (None, COMMON_DETECTOR):
        is_model = detector != "watershed"
        table["detector"] = {"kind": "tflite", "model": detector} if is_model else {"kind": "watershed"}
    wrong = _wrong(table, {*model.model_fields, *CameraConfig.model_fields})
    if not IDENTIFIER.fullmatch(name):
        wrong["name"] = NAME_RULE
    elif name in settings.cameras:
        wrong["name"] = "there is a camera of this name already"
    if wrong:
        raise FormError(wrong)
    return Step(f"camera {name}, {kind}", (Change(("cameras", name), table),))


def _wrong(table: dict[str, Any], names: Container[str]) -> dict[str, str]:
    """What is wrong with a camera's table, by the field's name."""
    found: dict[str, str] = {}
    try:
        CameraConfig.model_validate(table)
    except ValidationError as error:
        for one in error.errors(include_input=False, include_url=False):
            # Of what takes several forms, the form stands behind the name.
            name = next((str(part) for part in reversed(one["loc"]) if part in names), "camera")
            words = "must be given" if one["type"] == "missing" else one["msg"].removeprefix("Value error, ")
            found[name] = f"{found[name]}, or {words}" if name in found else words
    return found


def _source_models() -> dict[str, type[BaseModel]]:
    found = {
        str(get_args(model.model_fields["kind"].annotation)[0]): model for model in _members(SourceConfig)
    }
    return {kind: found[kind] for kind in sorted(found, key=lambda kind: kind != "simulated")}


def _members(annotation: Any) -> tuple[Any, ...]:
    """What a union is of, without None; anything else is of itself."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(one for part in get_args(annotation) if part is not NoneType for one in _members(part))
    return (annotation,)


def _choices(field: FieldInfo) -> tuple[str | int, ...]:
    members = _members(field.annotation)
    return get_args(members[0]) if len(members) == 1 and get_origin(members[0]) is Literal else ()


def _value(field: FieldInfo, text: Written) -> Any:
    """What was written, a number where the field takes one; None for nothing."""
    if not isinstance(text, str):
        return text
    text = text.strip()
    members = _members(field.annotation)
    if not text or get_origin(members[0]) is Literal:
        return text or None
    for number in (int, float):
        if number in members or (number is int and float in members):
            try:
                return number(text.replace(",", ".") if number is float else text)
            except ValueError:
                continue
    return str(Path(text)) if Path in members else text


def _label(name: str) -> str:
    for suffix, unit in UNITS:
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")
