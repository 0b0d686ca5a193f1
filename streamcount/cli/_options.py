"""Choices that several commands offer."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcount.errors import ConfigurationError

if TYPE_CHECKING:
    from streamcount.config import Settings
    from streamcount.tracking import KalmanConfig

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings; ./streamcount.toml if it is there."),
]
BootstrapServers = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT[,...]", help="Which Kafka, in place of kafka.bootstrap_servers."),
]
StatusPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Serve /metrics, /livez and /readyz here; 0 for any free port."),
]
StatusHost = Annotated[str, typer.Option(help="Address of --port.")]
PixelSize = Annotated[
    float | None, typer.Option(min=1e-3, max=1e3, help="µm per pixel, in place of what files say.")
]
Channel = Annotated[str | None, typer.Option(help="Channel of a TIFF: number from 0, or name.")]
Plane = Annotated[
    str | None, typer.Option(help="Focal plane of a TIFF, from 0; 'time' if planes are times in truth.")
]
ValueRange = Annotated[
    tuple[float, float] | None,
    typer.Option(help="Black and white level of TIFFs of float pixels, or of values beyond 65535."),
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


def tracker_config(pairs: list[str]) -> KalmanConfig:
    """The tracker with what KEY=VALUE of --tracker set. Raises typer.BadParameter, which names the key."""
    from difflib import get_close_matches

    from pydantic import ValidationError

    from streamcount.tracking import KalmanConfig

    known = [name for name in KalmanConfig.model_fields if name != "kind"]
    given: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = (part.strip() for part in pair.partition("="))
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise typer.BadParameter(
                f"no key {key!r}; {hint}known: {', '.join(known)}", param_hint="--tracker"
            )
        if not sign or key in given:
            told = "is given twice" if key in given else "needs a value, KEY=VALUE"
            raise typer.BadParameter(f"{key} {told}", param_hint="--tracker")
        given[key] = value
    try:
        return KalmanConfig.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]} = {one['input']}: {one['msg']}" for one in error.errors())
        raise typer.BadParameter(wrong, param_hint="--tracker") from error


class Form(StrEnum):
    """Which compiled form of a model runs."""

    int8 = "int8"
    float32 = "float32"


def need_training_extra() -> None:
    """Raises ConfigurationError where what training and judging need is not installed, before any work is done."""
    missing = [name for name in ("faster_coco_eval", "imagehash", "keras") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"This needs the extra `train` ({', '.join(missing)} is missing): pip install 'streamcount[train]'; "
            "in a clone, pip install '.[train]'."
        )


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


def run_until_stopped(settings: Settings, run: Callable[[threading.Event], int]) -> None:
    """Runs until SIGTERM, Ctrl-C or its own end, and ends the command with its exit code. Raises BrokerError."""
    from streamcount.service.processes import handling_signals
    from streamcount.service.topics import require_topics

    stop = threading.Event()
    with handling_signals(lambda *_: stop.set()):
        require_topics(settings)
        code = run(stop)
    raise typer.Exit(code)
