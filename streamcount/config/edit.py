"""Changing streamcount.toml for its owner: comments and order stay, and what is written is what was meant."""

from __future__ import annotations

import copy
import difflib
import os
import re
import shutil
import tomllib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from streamcount.config.explain import to_toml
from streamcount.errors import ConfigurationError
from streamcount.sinks.files import not_writable, part_of
from streamcount.sinks.store.index import sync_folder

Value: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any]

CONTEXT_LINES = 2
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"']*@")
# A camera's address may carry its password in the query.
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s\"'?#]*)[?#][^\s\"']*")
_SECRET = re.compile(r"^([^#]*?[\w.\"-]*(?:password|secret|token)[\w\"-]*\s*=\s*).*", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """One key of the file. path: such as ("cameras", "scope-1", "pixel_size_um"). value: None takes it out."""

    path: tuple[str, ...]
    value: Value | None


def edited(text: str, changes: Sequence[Change]) -> str:
    """The text of a settings file with these changes, all else as it stands.

    Raises ConfigurationError where the text is no TOML, or is laid out so that it cannot be changed for sure.
    """
    import tomlkit
    import tomlkit.items
    from tomlkit.exceptions import TOMLKitError

    try:
        wanted = tomllib.loads(text)
        document = tomlkit.parse(text)
    except (tomllib.TOMLDecodeError, TOMLKitError) as error:
        raise ConfigurationError(f"the settings are not valid TOML: {error}") from error
    try:
        for change in changes:
            _put_plain(wanted, change)
            _put(document, change, tomlkit)
        result = _spaced(text, tomlkit.dumps(document))
        # What is laid out strangely may be changed at another place than was meant.
        is_as_meant = tomllib.loads(result) == wanted
    except (TOMLKitError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise _by_hand(changes) from error
    if not is_as_meant:
        raise _by_hand(changes)
    return result


def shown_diff(before: str, after: str, name: str) -> str:
    """What changes, as a unified diff; passwords that stand near are not shown."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, f"{name}, as it will be", lineterm="", n=CONTEXT_LINES
    )
    return "\n".join(_without_secrets(line) for line in lines)


def _without_secrets(line: str) -> str:
    return _SECRET.sub(r"\1***", _QUERY.sub(r"\1?***", _USER.sub(r"\1***@", line)))


def save_text(path: Path, before: str | None, after: str) -> None:
    """Replaces a settings file whole; when it returns, it is on the disk.

    before: what it must still say; None for a file that must not be there. Raises ConfigurationError where it says
    something else by now, or cannot be written.
    """
    target = path.resolve()
    if text_of(target) != before:
        raise ConfigurationError(f"{path} was changed meanwhile by somebody else; load it anew")
    part = part_of(target)
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            shutil.copymode(target, part)
        part.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise not_writable(path, error) from error


def text_of(path: Path) -> str | None:
    """What a settings file says, its line ends as they are; None where there is none. Raises ConfigurationError."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error}") from error


def _put_plain(table: dict[str, Any], change: Change) -> None:
    *above, key = change.path
    tables = [table]
    for name in above:
        tables.append(tables[-1].setdefault(name, {}))
    if change.value is None:
        _take_out(tables, change.path)
    else:
        tables[-1][key] = copy.deepcopy(change.value)


def _put(document: MutableMapping[str, Any], change: Change, tomlkit: Any) -> None:
    *above, key = change.path
    tables = [document]
    for name in above:
        if name not in tables[-1]:
            # Without a heading of its own, unless it gets a key.
            tables[-1][name] = _empty(tables[-1], tomlkit, is_super_table=True)
        tables.append(tables[-1][name])
    if change.value is None:
        _take_out(tables, change.path)
    elif isinstance(change.value, dict):
        tables[-1][key] = _table(change.value, tables[-1], tomlkit)
    else:
        tables[-1][key] = change.value


def _take_out(tables: Sequence[MutableMapping[str, Any]], path: Sequence[str]) -> None:
    """Takes the last key out of the last table, and that table out of its own where nothing else is in it."""
    del tables[-1][path[-1]]
    if len(tables) > 1 and not tables[-1]:
        del tables[-2][path[-2]]


def _table(values: dict[str, Any], parent: Any, tomlkit: Any) -> Any:
    """Plain keys first, as TOML wants it; tables within become tables."""
    table = _empty(parent, tomlkit)
    for key, value in sorted(values.items(), key=lambda item: isinstance(item[1], dict)):
        table[key] = _table(value, table, tomlkit) if isinstance(value, dict) else value
    return table


def _empty(parent: Any, tomlkit: Any, *, is_super_table: bool | None = None) -> Any:
    """A table to be put into another: within braces there are only braces."""
    if isinstance(parent, tomlkit.items.InlineTable):
        return tomlkit.inline_table()
    return tomlkit.table(is_super_table=is_super_table)


def _spaced(before: str, after: str) -> str:
    """With an empty line before headings that stand anew behind what was added."""
    old, new = before.splitlines(), after.splitlines(keepends=True)
    lines: list[str] = []
    for tag, i0, i1, j0, j1 in difflib.SequenceMatcher(
        None, old, after.splitlines(), autojunk=False
    ).get_opcodes():
        follows = tag == "equal" and i0 > 0 and j0 > 0 and old[i0].startswith("[") and new[j0 - 1].strip()
        lines += ["\n"] if follows and i1 > i0 else []
        lines += new[j0:j1]
    return "".join(lines)


def _by_hand(changes: Sequence[Change]) -> ConfigurationError:
    told = "; ".join(
        f"{'.'.join(change.path)} {'taken out' if change.value is None else f'= {to_toml(change.value)}'}"
        for change in changes
    )
    return ConfigurationError(f"the file is laid out so that this must be written by hand: {told}")
