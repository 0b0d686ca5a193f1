"""`streamcount groups`: sums of the cameras of a plate, an experiment or a laboratory."""

from __future__ import annotations

import typer

from streamcount.cli._options import ConfigFile, StatusHost, StatusPort, run_until_stopped

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
    port: StatusPort = None,
    host: StatusHost = "127.0.0.1",
) -> None:
    """Sums the final windows of each group's cameras, and tells the sums on the topic `windows`.

    A sum has the group's name in place of a camera's, so that sinks keep it and `streamcount query figures --camera
    GROUP` shows it. Each is told once, also when this is killed and started again. Several share the groups, and one
    that waits takes over from one that is gone. SIGTERM or Ctrl-C ends it with exit code 0.
    """
    from streamcount.config import load_settings
    from streamcount.service.groups.run import check_groups, run_groups
    from streamcount.service.processes import set_up_logging

    set_up_logging()
    settings = load_settings(config)
    check_groups(settings)
    run_until_stopped(settings, lambda stop: run_groups(settings, stop, host, port))
