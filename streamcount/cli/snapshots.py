"""`streamcount snapshots`: pictures of abnormal cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamcount.cli._options import ConfigFile, StatusHost, StatusPort, run_until_stopped

snapshots = typer.Typer(no_args_is_help=True, help="Pictures of abnormal cells: keeps them, and gets one.")


@snapshots.command("run")
def run(
    config: ConfigFile = None,
    port: StatusPort = None,
    host: StatusHost = "127.0.0.1",
) -> None:
    """Cuts each abnormal cell from its frame and keeps it on the topic snapshots, as a small JPEG.

    A consumer of its own, which the counting does not wait for: it can be killed, restarted, or left out. SIGTERM or
    Ctrl-C finishes the batch in work and exits 0.
    """
    from streamcount.config import load_settings
    from streamcount.service.processes import set_up_logging
    from streamcount.service.snapshots.run import run_snapshots

    set_up_logging()
    settings = load_settings(config)
    run_until_stopped(settings, lambda stop: run_snapshots(settings, stop, host, port))


@snapshots.command("get")
def get(
    name: Annotated[
        str, typer.Argument(help="As the event's `snapshot` says: CAMERA/RUN/SEQUENCE/TRACK/REASON.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the JPEG here.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Writes one picture to a file, or to a pipe.

    Example: `streamcount snapshots get scope-1/run-1/118/27/size -o cell.jpg`
    """
    import sys

    from streamcount.config import load_settings
    from streamcount.service.snapshots.run import snapshot_of

    if output is None and sys.stdout.isatty():
        raise typer.BadParameter("a JPEG is no text; give -o FILE, or send it into a pipe")
    data = snapshot_of(load_settings(config), name)
    if output is None:
        sys.stdout.buffer.write(data)
    else:
        output.write_bytes(data)
