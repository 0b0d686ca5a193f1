"""`streamcount watch`: a live table of all cameras and groups."""

from __future__ import annotations

from typing import Annotated

import typer

from streamcount.cli._options import BootstrapServers, ConfigFile, settings_of


def watch(
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    once: Annotated[
        bool, typer.Option("--once", help="Look for three seconds (or --seconds), print the table, end.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after so long.")] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Between lines, where there is no terminal.")
    ] = 2.0,
) -> None:
    """Shows what is counted, live: cameras, cells per class, frame rate, lag, latency, the last event.

    Of groups of cameras it shows the last window that `streamcount groups run` has told.

    On a terminal it is a table that renews itself; elsewhere, a line for each camera every two seconds.
    It only reads, from now on, and belongs to no consumer group. While Kafka is away it says so, and goes on
    by itself; with --once it ends with exit code 7, so too where topics are missing. Latency is the median time from
    the camera's capture to this screen over the last five seconds.
    """
    import logging

    from streamcount.service.processes import set_up_logging
    from streamcount.service.watch import run_watch

    settings = settings_of(config, bootstrap_servers)
    set_up_logging(logging.WARNING)
    # The table says when Kafka is away; the library would say it many times, through the table.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    run_watch(settings, seconds=seconds, once=once, interval_s=interval)
