"""`streamcount worker`: counts the cells of all cameras."""

from __future__ import annotations

import logging
from pathlib import Path

import typer

log = logging.getLogger(__name__)


def worker(
    config: Path | None = typer.Option(
        None, "--config", "-c", help="Configuration file; ./streamcount.toml if it is there."
    ),
    processes: int = typer.Option(
        1, "--processes", "-n", min=1, max=64, help="Worker processes on this machine; about one per core."
    ),
    bootstrap_servers: str | None = typer.Option(
        None, help="host:port of Kafka; overrides the configuration."
    ),
    port: int | None = typer.Option(None, help="Port of /metrics, /livez and /readyz; 0 for any free one."),
) -> None:
    """Counts the cells of every camera that publishes to Kafka.

    Workers share the cameras by partitions: start as many as you like, on as many machines as you like.
    SIGTERM or Ctrl-C drains what is in work, commits, and exits 0. A worker that is killed changes no result.
    What `streamcount check-config` refuses is refused here too, with the same exit code.
    """
    from streamcount.service.processes import exit_on_sigterm, set_up_logging

    # Until the worker takes over, there is nothing to drain.
    exit_on_sigterm()
    from streamcount.config import load_settings
    from streamcount.config.classes import check_classes
    from streamcount.service.topics import require_topics
    from streamcount.service.worker.run import run_worker

    set_up_logging()
    settings = load_settings(config)
    if bootstrap_servers:
        kafka = settings.kafka.model_copy(update={"bootstrap_servers": bootstrap_servers})
        settings = settings.model_copy(update={"kafka": kafka})
    if port is not None:
        settings = settings.model_copy(update={"worker": settings.worker.model_copy(update={"port": port})})
    # A rule that no camera can fulfil would be silent for ever: refused here as by check-config.
    for words in check_classes(settings):
        log.warning("%s", words)
    require_topics(settings)
    raise typer.Exit(run_worker(settings, processes))
