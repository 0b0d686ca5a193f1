"""`streamcount camera`: publishes frames to Kafka."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streamcount.cli._options import ConfigFile, settings_of
from streamcount.errors import ConfigurationError

if TYPE_CHECKING:
    from streamcount.config import Settings
    from streamcount.config.settings import CameraConfig

SourceKind = Literal["simulated", "folder", "tiff", "video"]

QUICK = "Without a configuration"
SENDING = "Sending"


def camera(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Cameras of the configuration; all by default."),
    ] = None,
    config: ConfigFile = None,
    source: Annotated[
        SourceKind | None, typer.Option(help="Where NAME's frames come from.", rich_help_panel=QUICK)
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(help="Folder, TIFF, video, rtsp:// address or USB index.", rich_help_panel=QUICK),
    ] = None,
    rate_hz: Annotated[float | None, typer.Option(help="Frames a second.", rich_help_panel=QUICK)] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Begin again at the end.", rich_help_panel=QUICK)
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="Of the simulated microscope.", rich_help_panel=QUICK)
    ] = None,
    encoding: Annotated[
        Literal["jpeg", "png", "raw"] | None, typer.Option(help="How images are sent.", rich_help_panel=QUICK)
    ] = None,
    jpeg_quality: Annotated[int | None, typer.Option(help="30 to 100.", rich_help_panel=QUICK)] = None,
    pixel_size_um: Annotated[float | None, typer.Option(help="µm per pixel.", rich_help_panel=QUICK)] = None,
    channel: Annotated[
        str | None, typer.Option(help="Of a TIFF: number from 0, or name.", rich_help_panel=QUICK)
    ] = None,
    plane: Annotated[
        str | None,
        typer.Option(
            help="Focal plane of a TIFF, from 0; 'time' if planes are times.", rich_help_panel=QUICK
        ),
    ] = None,
    buffer_mib: Annotated[
        int | None,
        typer.Option(help="Frames that may wait while Kafka is away, MiB.", rich_help_panel=QUICK),
    ] = None,
    when_full: Annotated[
        Literal["block", "drop-oldest"] | None,
        typer.Option(help="Buffer full: hold the camera back, or drop.", rich_help_panel=QUICK),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many.", rich_help_panel=SENDING)
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(help="Name of the run; the time if not given.", rich_help_panel=SENDING)
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT[,...]",
            help="Which Kafka, in place of kafka.bootstrap_servers.",
            rich_help_panel=SENDING,
        ),
    ] = None,
    flush_timeout: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long the end waits for what is unsent.",
            rich_help_panel=SENDING,
        ),
    ] = 10.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="For /metrics, /livez, /readyz; 0 for any, off if not given.",
            rich_help_panel=SENDING,
        ),
    ] = None,
) -> None:
    """Publishes the frames of one camera or several to Kafka.

    `streamcount camera` runs every camera of `streamcount.toml`, `streamcount camera scope-1` one of them,
    and

    `streamcount camera scope-1 --source folder --path images/ --rate-hz 10 --loop`

    runs without a configuration. While Kafka is away, frames wait in a bounded buffer; frames that must be
    dropped are told to Kafka as missing, so that no number of the sequence is ever lost from sight.

    Ctrl-C or SIGTERM sends what waits and exits 0; a second one ends at once. Exit code 5: a source failed,
    which ends the other cameras of the process too, so that a supervisor starts all again: give each live camera
    a process of its own. 7: frames are left unconfirmed, or Kafka refuses them.
    """
    from streamcount.cli._inputs import input_options
    from streamcount.service.camera.run import CameraGroup, run_cameras
    from streamcount.service.processes import set_up_logging

    settings = settings_of(config, bootstrap_servers)
    quick = {
        "path": path,
        "rate_hz": rate_hz,
        "loop": loop or None,
        "seed": seed,
        "encoding": encoding,
        "jpeg_quality": jpeg_quality,
        "pixel_size_um": pixel_size_um,
        "channel": channel,
        "z": input_options(None, plane, None, None).choice.z,
        "when_full": when_full,
        "buffer_bytes": buffer_mib * 2**20 if buffer_mib else None,
    }
    given = {key: value for key, value in quick.items() if value is not None}
    if source is None and given:
        options = ", ".join(map(_option, given))
        raise typer.BadParameter(f"{options}: only with --source; else write it into the configuration.")
    if source is None:
        cameras = _configured(settings, names or [])
    else:
        if len(names or []) > 1:
            raise typer.BadParameter(
                "--source makes one camera; name one, or use a configuration for several."
            )
        name = names[0] if names else "camera"
        cameras = {name: _quick_camera(name, source, given)}
        if settings.spoils_labels(name, cameras[name]):
            raise typer.BadParameter(
                "JPEG changes the values that tell cells apart for the detector 'labels'; send png or raw",
                param_hint="--encoding",
            )
    group = CameraGroup(settings, cameras, run_id=run_id, frames=frames, metrics_port=metrics_port)
    set_up_logging()
    # Every retry would be a line of the library's; the publisher says what matters, once in some seconds.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    run_cameras(group, flush_timeout, _bars if sys.stderr.isatty() else None)


def _bars(runs: Any) -> Any:
    from contextlib import contextmanager

    from rich.console import Console

    from streamcount.service.camera.progress import progress_bars
    from streamcount.service.processes import set_up_logging

    @contextmanager
    def shown() -> Any:
        with progress_bars(runs, Console(stderr=True)):
            # Anew, so that log lines go above the bars and not through them.
            set_up_logging()
            logging.getLogger("kafka").setLevel(logging.CRITICAL)
            yield
        set_up_logging()

    return shown()


def _configured(settings: Settings, names: list[str]) -> dict[str, CameraConfig]:
    import difflib

    for name in names:
        if name not in settings.cameras:
            near = difflib.get_close_matches(name, settings.cameras, n=1)
            known = ", ".join(settings.cameras) or "none"
            hint = f"did you mean {near[0]}?" if near else f"it has: {known}; or use --source"
            raise ConfigurationError(f"the configuration has no camera {name!r}; {hint}")
    return {name: settings.cameras[name] for name in names} if names else dict(settings.cameras)


def _option(key: str) -> str:
    """The option that sets a key of the configuration."""
    named = {"location": "--path", "buffer_bytes": "--buffer-mib", "z": "--plane"}
    return named.get(key, "--" + key.replace("_", "-"))


def _quick_camera(name: str, kind: str, given: dict[str, Any]) -> CameraConfig:
    """A camera from options alone. Raises ConfigurationError naming the option."""
    from pydantic import TypeAdapter, ValidationError

    from streamcount.config.settings import CameraConfig, Name

    of_camera = {key: value for key, value in given.items() if key in CameraConfig.model_fields}
    of_source = {key: value for key, value in given.items() if key not in of_camera}
    if "path" in of_source and kind == "video":
        location = of_source.pop("path")
        of_source["location"] = int(location) if location.isdecimal() else location
    try:
        TypeAdapter(Name).validate_python(name)
        return CameraConfig.model_validate({"source": {"kind": kind, **of_source}, **of_camera})
    except ValidationError as error:
        lines = []
        for one in error.errors():
            key = str(one["loc"][-1]) if one["loc"] else "NAME"
            option = "NAME" if key == "NAME" else _option(key)
            if one["type"] == "extra_forbidden":
                lines.append(f"{option} does not apply to --source {kind}")
            elif one["type"] == "missing":
                lines.append(f"--source {kind} needs {option}")
            else:
                lines.append(f"{option}: {one['msg'].removeprefix('Value error, ')}")
        raise ConfigurationError("; ".join(lines)) from error
