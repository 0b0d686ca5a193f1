"""`streamcount groups`: sums of the cameras of a plate, an experiment or a laboratory."""

from __future__ import annotations

from typing import Annotated

import typer

from streamcount.cli._options import ConfigFile

groups = typer.Typer(
    name="groups",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Groups of cameras: sums the windows of a plate, an experiment or a laboratory.

The groups are the tables `[groups.NAME]` of the configuration; docs/windows.md explains them.""",
)


@groups.command("run")
def run(
    config: ConfigFile = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve /metrics, /livez and /readyz here; 0 for any free port."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address of --port.")] = "127.0.0.1",
) -> None:
    """Sums the final windows of each group's cameras, and tells the sums on the topic `windows`.

    A sum has the group's name in place of a camera's, so that sinks keep it and `streamcount query figures --camera
    GROUP` shows it. Each is told once, also when this is killed and started again. Several share the groups, and one
    that waits takes over from one that is gone. SIGTERM or Ctrl-C ends it with exit code 0.
    """
    import threading

    from streamcount.config import load_settings
    from streamcount.service.groups.run import check_groups, run_groups
    from streamcount.service.processes import handling_signals, set_up_logging
    from streamcount.service.topics import require_topics

    set_up_logging()
    settings = load_settings(config)
    check_groups(settings)
    stop = threading.Event()
    with handling_signals(lambda *_: stop.set()):
        require_topics(settings)
        code = run_groups(settings, stop, host, port)
    raise typer.Exit(code)
