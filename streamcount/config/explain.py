"""What can be set: every key with its default, bounds and meaning, read off the settings' own types."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from streamcount.config.load import ADDRESS_VARIABLE
from streamcount.config.settings import Settings

_CAMERA = "NAME"
_INTRODUCTION = f"""\
# Everything can be left out; what is commented out is the default. `streamcount check-config` validates this
# file and shows what applies. The environment variable {ADDRESS_VARIABLE} overrides the address
# of Kafka.
"""


@dataclass(frozen=True)
class Key:
    """One key. form: its type and bounds in words; default: as TOML, "" where there is none."""

    name: str
    form: str
    default: str
    required: bool
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table of the file with its keys.

    kind: of what the table sets up, where there are kinds. by_default: this kind is taken if none is named.
    """

    path: str
    meaning: str
    keys: tuple[Key, ...]
    kind: str = ""
    by_default: bool = True


@dataclass(frozen=True)
class Effective:
    """A key's value as it applies, as TOML. origin: "file", "environment" or "default"."""

    path: str
    value: str
    origin: str


def tables() -> Iterator[Table]:
    """All tables of the configuration file, in the file's order; of each choice, one table a kind."""
    yield from _tables_of(Settings, "", {})


def effective(settings: Settings, environment: Mapping[str, str]) -> Iterator[Effective]:
    """Every setting as it applies. environment: the one that the settings were read with."""
    for path, value, is_set in _values(settings, "", True):
        origin = "file" if is_set else "default"
        if path == "kafka.bootstrap_servers" and environment.get(ADDRESS_VARIABLE):
            origin = "environment"
        yield Effective(path, "not set" if value is None else to_toml(value), origin)


def example() -> str:
    """A commented configuration file in which every key stands with its default."""
    lines = [_INTRODUCTION]
    for table in tables():
        # What is not taken by default, and cameras, whom only their user can name, are commented out whole.
        off = "" if table.by_default and _CAMERA not in table.path else "# "
        kind = f"Kind {table.kind}: " if table.kind else ""
        lines += [*_comment(f"{kind}{table.meaning}"), f"{off}[{table.path}]"]
        for key in table.keys:
            if key.name == "kind":
                lines.append(f"{off}kind = {to_toml(table.kind)}")
                continue
            lines += _comment(f"{key.meaning}; {key.form}" if key.meaning else key.form)
            unset = "   (must be set)" if key.required else "   (not set by default)"
            lines.append(f"# {key.name} = {key.default or unset}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 108, initial_indent="# ", subsequent_indent="#   ")


def markdown() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "One TOML file configures all: `streamcount.toml` in the working folder, or `--config FILE`. Each",
        "key can be left out; unknown ones are refused, with the nearest known one named. The environment",
        f"variable `{ADDRESS_VARIABLE}` overrides `kafka.bootstrap_servers`.",
        "",
        "`streamcount check-config` validates the file and shows what applies; `--explain` prints what is on",
        "this page, `--example` a commented file. This page is made by `make docs`; a test keeps it true.",
        "",
    ]
    for table in tables():
        heading = f"## `[{table.path}]`" + (f", kind `{table.kind}`" if table.kind else "")
        lines += [heading, "", table.meaning, "", "| key | form | default | meaning |", "|---|---|---|---|"]
        for key in table.keys:
            default = "must be set" if key.required else f"`{key.default}`" if key.default else "not set"
            cells = (f"`{key.name}`", key.form, default, key.meaning)
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def to_toml(value: object) -> str:
    """A setting as it is written in TOML."""
    if isinstance(value, BaseModel):
        value = {name: item for name, item in value if item is not None}
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_toml_key(str(name))} = {to_toml(item)}" for name, item in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    return str(value)


def _tables_of(
    model: type[BaseModel], path: str, told: dict[tuple[type[BaseModel], ...], str]
) -> Iterator[Table]:
    """told: where the tables of a choice of models stood already, so that each is explained once."""
    inner = []
    keys = []
    # What must be set comes first, and what chooses among kinds before it, wherever the key was defined.
    fields = sorted(model.model_fields.items(), key=lambda one: (one[0] != "kind", not one[1].is_required()))
    for name, field in fields:
        models = tuple(_models(field.annotation))
        if models in told:
            keys.append(Key(name, f"table as [{told[models]}]", "", False, _meaning(field)))
        elif models:
            inner.append((name, field, models))
        else:
            keys.append(_key(field.alias or name, field))
    if keys:
        yield Table(path, _first_paragraph(model), tuple(keys), _kind(model))
    for name, field, models in inner:
        is_map = get_origin(_bare(field.annotation)) is dict
        inner_path = ".".join(part for part in (path, name, _CAMERA if is_map else "") if part)
        told[models] = inner_path
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        for one in models:
            left_out = default is None and not field.is_required()
            chosen = isinstance(default, one) or (len(models) == 1 and not left_out)
            for table in _tables_of(one, inner_path, told):
                yield replace(table, by_default=table.by_default and chosen)


def _key(name: str, field: FieldInfo) -> Key:
    required = field.is_required()
    default = None if required else field.get_default(call_default_factory=True)
    text = "" if default is None or default is PydanticUndefined else to_toml(default)
    return Key(name, _form(field), text, required, _meaning(field))


def _meaning(field: FieldInfo) -> str:
    return (field.description or "").rstrip(".")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from _models(argument)


def _kind(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    return str(get_args(field.annotation)[0]) if field is not None else ""


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].split())


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _form(field: FieldInfo) -> str:
    bounds = {
        name: getattr(one, name)
        for one in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(one, name)
    }
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [f"{signs[name]} {bound}" for name, bound in bounds.items() if bound is not None]
    return ", ".join([_type_words(field.annotation), *limits])


def _type_words(annotation: Any) -> str:
    annotation = _bare(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(to_toml(value) for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(one) for one in arguments if one is not NoneType)
    if origin is dict:
        return f"table of name = {_type_words(arguments[1])}"
    if origin in (tuple, list):
        inner = [_type_words(one) for one in arguments if one is not Ellipsis]
        return (
            "list of " + ", ".join(inner)
            if len(set(inner)) > 1 or ... in arguments
            else f"list of {inner[0]}"
        )
    words = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _values(model: BaseModel, path: str, is_set: bool) -> Iterator[tuple[str, object, bool]]:
    for name, value in model:
        at = f"{path}.{name}" if path else name
        here = is_set and name in model.model_fields_set
        if isinstance(value, BaseModel):
            yield from _values(value, at, here)
        elif isinstance(value, Mapping) and any(isinstance(item, BaseModel) for item in value.values()):
            for key, item in value.items():
                yield from _values(item, f"{at}.{_toml_key(key)}", here)
        else:
            yield at, value, here


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
