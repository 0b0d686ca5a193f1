"""Faust's own process runner, without its say over how the process logs."""

from __future__ import annotations

import faust


class QuietWorker(faust.Worker):  # type: ignore[misc]
    """Runs an app, handles SIGTERM and SIGINT, and leaves the root logger as it was set up."""

    def _setup_logging(self) -> None:
        return
