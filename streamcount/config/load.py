"""Reading streamcount.toml, with errors that name the key and the remedy."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from streamcount.alerts import AlertRule, check_rules
from streamcount.config.settings import PREFIX_PATTERN, Settings
from streamcount.errors import ConfigurationError
from streamcount.sources.video import redacted
from streamcount.types.frame import IDENTIFIER

ADDRESS_VARIABLE = "STREAMCOUNT_BOOTSTRAP_SERVERS"
DEFAULT_FILE = Path("streamcount.toml")
# What texts must look like, by the regular expressions that judge them.
FORMS = {
    f"^{IDENTIFIER.pattern}$": "a name has 1 to 64 letters, digits, '.', '_' or '-', none of them accented, and "
    "begins with a letter or digit",
    PREFIX_PATTERN: "1 to 80 letters, digits, '.', '_' or '-', none of them accented",
    r"^https?://": "an address begins with http:// or https://",
}
# What a rule is called that is tried without a name.
TRIED = "tried"


def load_settings(path: Path | str | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file; without `path`, from ./streamcount.toml if it is there, else the defaults.

    environment: in place of `os.environ`; only the broker's address is taken from it.
    Raises ConfigurationError naming each wrong key.
    """
    file = Path(path) if path is not None else DEFAULT_FILE
    if path is None and not file.exists():
        return parse_settings("", "defaults", environment)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the configuration {file}: {error}") from error
    return parse_settings(text, str(file), environment)


def parse_settings(
    text: str, name: str = "configuration", environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings from TOML text. Raises ConfigurationError naming each wrong key."""
    raw = _parsed(text, name)
    address = (os.environ if environment is None else environment).get(ADDRESS_VARIABLE)
    if address and isinstance(raw.setdefault("kafka", {}), dict):
        raw["kafka"]["bootstrap_servers"] = address
    settings = _validated(raw, name)
    try:
        check_rules(settings.alerts, window_lengths(settings), settings.place_names, groups=settings.groups)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    return settings


def parse_rule(text: str, known: Mapping[str, AlertRule]) -> tuple[str, dict[str, AlertRule]]:
    """A rule of TOML text that is to be tried: its name, and it among the known rules, which it may name.

    text: one table [alerts.NAME] as in streamcount.toml, or the keys of one alone, which is then named "tried".
    Raises ConfigurationError naming each wrong key. Whether its window, zone and class are there is not looked at.
    """
    raw = _parsed(text, "the rule")
    tables = raw.get("alerts", {TRIED: raw})
    if set(raw) > {"alerts"} or not isinstance(tables, dict) or len(tables) != 1:
        raise ConfigurationError("the rule: give one table [alerts.NAME], or the keys of one rule")
    rules = _validated({"alerts": tables}, "the rule").alerts
    (name,) = rules
    return name, {**known, **rules}


def window_lengths(settings: Settings) -> dict[str, tuple[float, float]]:
    """Of each window (length, time from one beginning to the next), s."""
    return {name: (one.length_s, one.every_ns / 1e9) for name, one in settings.windows.items()}


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{name} is not valid TOML: {error}") from error


def _validated(raw: dict[str, Any], name: str) -> Settings:
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        lines = [
            _explain(one["loc"], one["type"], _in_words(one["msg"], one.get("ctx", {})), one.get("input"))
            for one in error.errors()
        ]
        raise ConfigurationError(f"{name}: " + "; ".join(lines)) from error


def _in_words(message: str, context: Mapping[str, Any]) -> str:
    """pydantic's message; of a text of the wrong form, what the form is in place of a regular expression."""
    return FORMS.get(str(context.get("pattern", "")), message)


def _explain(loc: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    # pydantic's word where it is a name in the file that is wrong, and not what stands under it.
    key = ".".join(part for part in _key(loc) if part != "[key]") or "settings"
    if kind == "extra_forbidden":
        known = sorted(
            {
                field.alias or name
                for model in _models_at(loc[:-1])
                for name, field in model.model_fields.items()
            }
        )
        near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"unknown key {key!r}; {hint}"
    if kind in ("missing", "union_tag_not_found"):
        needed = key if kind == "missing" else f"{key}.kind"
        return f"{needed!r} is missing; add it"
    message = message.removeprefix("Value error, ")
    if isinstance(value, str):
        return f"{key!r} = {redacted(value)!r}: {message}"
    if isinstance(value, int | float):
        return f"{key!r} = {value!r}: {message}"
    return f"{key!r}: {message}"


def _models_at(loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """The models that the keys of a place belong to, to know what could have been meant there."""
    *_, (_, found) = _walked(loc)
    return found


def _key(loc: tuple[int | str, ...]) -> list[str]:
    """A place as it is written in the file: without the names of kinds, which choose among models."""
    return [part for part, _ in _walked(loc) if part]


def _walked(loc: tuple[int | str, ...]) -> Iterator[tuple[str, list[type[BaseModel]]]]:
    """Each part of a place, "" for the name of a kind, with the models that what follows belongs to."""
    found: list[type[BaseModel]] = [Settings]
    yield "", found
    parts = iter(str(part) for part in loc)
    for part in parts:
        named = any(_is_dictionary(model, part) for model in found)
        kind = not any(part in model.model_fields for model in found)
        found = [model for one in found for model in _step(one, part)]
        yield "" if kind and found else part, found
        if named and (name := next(parts, None)) is not None:
            # A key of the user's, such as a camera's name.
            yield name, found


def _is_dictionary(model: type[BaseModel], part: str) -> bool:
    field = model.model_fields.get(part)
    return field is not None and get_origin(field.annotation) is dict


def _step(model: type[BaseModel], part: str) -> Iterator[type[BaseModel]]:
    field = model.model_fields.get(part)
    if field is not None:
        yield from _models_in(field.annotation)
        return
    # Inside a union the part is the name of a kind, which chooses among its models.
    kind = model.model_fields.get("kind")
    if kind is not None and part in get_args(kind.annotation):
        yield model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not None:
        for argument in get_args(annotation):
            yield from _models_in(argument)
