"""Choices that several commands offer."""

from __future__ import annotations

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
