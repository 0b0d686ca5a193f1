"""Choices that several commands offer."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamcount.config import Settings

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings; ./streamcount.toml if it is there."),
]
BootstrapServers = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT[,...]", help="Which Kafka, in place of kafka.bootstrap_servers."),
]


_SECOND_NS = 10**9
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")
_UNIT_NS = {
    "ms": 10**6,
    "s": _SECOND_NS,
    "m": 60 * _SECOND_NS,
    "h": 3600 * _SECOND_NS,
    "d": 86_400 * _SECOND_NS,
}


def duration_ns(text: str, option: str) -> int:
    """A duration such as 10s, 5m, 1h or 1d. Raises typer.BadParameter, which names the option."""
    match = _DURATION.fullmatch(text)
    duration = int(float(match[1]) * _UNIT_NS[match[2]]) if match else 0
    if duration < 1:
        raise typer.BadParameter("such as 10s, 5m, 1h or 1d", param_hint=option)
    return duration


class Form(StrEnum):
    """Which compiled form of a model runs."""

    int8 = "int8"
    float32 = "float32"


def command_line(words: list[str], options: dict[str, object]) -> str:
    """The command that makes a model again, for its model.toml: `streamcount`, the words, and what was set."""
    for key, value in options.items():
        if value is True:
            words = [*words, f"--{key}"]
        elif value not in ("", None, False):
            words = [*words, f"--{key}", str(value)]
    return shlex.join(["streamcount", *words])


def settings_of(config: Path | None, bootstrap_servers: str | None) -> Settings:
    """The settings, with another Kafka where one was given. Raises ConfigurationError."""
    from streamcount.config import load_settings

    settings = load_settings(config)
    if not bootstrap_servers:
        return settings
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": bootstrap_servers})
    return settings.model_copy(update={"kafka": kafka})
