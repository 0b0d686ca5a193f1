"""`streamcount dashboard`: the live page of all cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamcount.cli._options import BootstrapServers, ConfigFile, settings_of


def dashboard(
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    host: Annotated[
        str, typer.Option(help="Address to serve at; beyond loopback a token is needed, see below.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 for any.")] = 8765,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A host name by which browsers may ask for the page; addresses always may."),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Lets cells be corrected; what is said is kept here, with its frame."
        ),
    ] = None,
    allow_setup: Annotated[
        bool,
        typer.Option(
            "--allow-setup", help="Lets the page write the settings file: cameras, zones, lines, scale."
        ),
    ] = False,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Make a token where none is set, and print it.")
    ] = False,
    sink: Annotated[
        str | None, typer.Option(help="Which of [sinks] the past is read from; a database.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="A SQLite file that the past is read from, in place of --sink.")
    ] = None,
) -> None:
    """Serves a page that shows every camera, what is counted, and whether the figures add up.

    It belongs to no consumer group and can be killed, restarted or run twice without any effect on the counting. It
    writes to Kafka only what one asks for on it: remarks on alerts, and frames that are to be counted again. While
    Kafka is away it says so, and goes on by itself.

    The past is what the server has heard since it was started, and a while before; with --store or --sink it goes
    back as far as that store, which `streamcount sink` fills. Pictures are there for as long as Kafka keeps them.

    By default only this machine reaches it. With `--host 0.0.0.0` others do: then a token of 16 characters or more
    must be in the environment variable STREAMCOUNT_DASHBOARD_TOKEN, and browsers are asked for it; `--new-token`
    makes one for this start where none is set.

    With `--corrections FOLDER`, who sees the page may correct cells of a frame; nothing that was counted changes.
    `streamcount data corrections FOLDER --output mine` makes a training set of that.

    The page's `Setting up` shows what it would write; with `--allow-setup` it writes. Who may open the page can then
    say which files and addresses the cameras open.
    """
    import logging
    import os

    from streamcount.cli.query import database
    from streamcount.errors import ConfigurationError
    from streamcount.service.processes import set_up_logging

    settings = settings_of(config, bootstrap_servers)
    set_up_logging()
    # The page says when Kafka is away; the library would say it many times.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        from streamcount.service.dashboard.guard import made_token
        from streamcount.service.dashboard.server import Address, run_dashboard
        from streamcount.service.dashboard.writing import Writing
    except ImportError as error:
        raise ConfigurationError(
            f"the page needs the extra `dashboard`: pip install 'streamcount[dashboard]' ({error})"
        ) from error

    made = made_token(os.environ) if new_token else ""

    def say(url: str) -> None:
        typer.echo(f"The page is at {url}; Ctrl-C ends it.")
        if made:
            typer.echo(f"Its token until then: {made}")

    writing = Writing(corrections, config, allow_setup)
    past = None if sink is None and store is None else database(config, sink, store)
    run_dashboard(settings, Address(host, port, tuple(name or ())), say, writing, past)
