"""`streamcount watch`: a live table of all cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def watch(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Settings; ./streamcount.toml if it is there."),
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT[,...]", help="Which Kafka, in place of kafka.bootstrap_servers."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Look for three seconds (or --seconds), print the table, end.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after so long.")] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Between lines, where there is no terminal.")
    ] = 2.0,
) -> None:
    """Shows what is counted, live: cameras, cells per class, frame rate, lag, latency, the last event.

    On a terminal it is a table that renews itself; elsewhere, a line for each camera every two seconds.
    It only reads, from now on, and belongs to no consumer group. While Kafka is away it says so, and goes on
    by itself. Latency is the median time from the camera's capture to this screen over the last five seconds.
    """
    import logging

    from streamcount.config import load_settings
    from streamcount.service.processes import set_up_logging
    from streamcount.service.watch import run_watch

    settings = load_settings(config)
    if bootstrap_servers:
        kafka = settings.kafka.model_copy(update={"bootstrap_servers": bootstrap_servers})
        settings = settings.model_copy(update={"kafka": kafka})
    set_up_logging(logging.WARNING)
    # The table says when Kafka is away; the library would say it many times, through the table.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    run_watch(settings, seconds=seconds, once=once, interval_s=interval)
