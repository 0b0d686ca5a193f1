"""`streamcount sink`: keeps what happened, in databases and files."""

from __future__ import annotations

from typing import Annotated

import typer

from streamcount.cli._options import ConfigFile


def sink(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Which of [sinks]; all by default.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve /metrics, /livez and /readyz here; 0 for any free port."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address of --port.")] = "127.0.0.1",
) -> None:
    """Keeps all events, counts, windows and alerts, each once: SQLite, PostgreSQL, Parquet, JSON lines, a webhook.

    Without any `[sinks]` it writes streamcount-data/store.sqlite. Each sink reads Kafka for itself: one that is down
    or slow holds up neither the counting nor the others, and catches up. SIGTERM or Ctrl-C finishes the batch in
    work and exits 0. `streamcount query` asks the store; docs/store.md tells its tables.
    """
    import threading

    from streamcount.config import load_settings
    from streamcount.service.processes import handling_signals, set_up_logging
    from streamcount.service.sinking import chosen_sinks, run_sinks
    from streamcount.service.topics import require_topics

    set_up_logging()
    settings = load_settings(config)
    sinks = chosen_sinks(settings, names or [])
    stop = threading.Event()
    with handling_signals(lambda *_: stop.set()):
        require_topics(settings)
        code = run_sinks(settings, sinks, stop, host, port)
    raise typer.Exit(code)
