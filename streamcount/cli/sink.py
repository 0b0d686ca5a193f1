"""`streamcount sink`: keeps what happened, in databases and files."""

from __future__ import annotations

from typing import Annotated

import typer

from streamcount.cli._options import ConfigFile, StatusHost, StatusPort, run_until_stopped


def sink(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Which of [sinks]; all by default.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    port: StatusPort = None,
    host: StatusHost = "127.0.0.1",
) -> None:
    """Keeps all events, counts, windows and alerts, each once: SQLite, PostgreSQL, Parquet, JSON lines, a webhook.

    Without any `[sinks]` it writes streamcount-data/store.sqlite. Each sink reads Kafka for itself: one that is down
    or slow holds up neither the counting nor the others, and catches up. SIGTERM or Ctrl-C finishes the batch in
    work and exits 0. `streamcount query` asks the store; docs/store.md tells its tables.
    """
    from streamcount.config import load_settings
    from streamcount.service.processes import set_up_logging
    from streamcount.service.sinking import chosen_sinks, run_sinks

    set_up_logging()
    settings = load_settings(config)
    sinks = chosen_sinks(settings, names or [])
    run_until_stopped(settings, lambda stop: run_sinks(settings, sinks, stop, host, port))
