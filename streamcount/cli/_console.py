"""Standard output for tables."""

from __future__ import annotations

import os

from rich.console import Console

# Into a pipe or a file a table is as wide as it is; cut to a screen's width it would lose its figures.
NO_SCREEN_WIDTH = 240


def output_console() -> Console:
    """Standard output, as wide as the screen where there is one."""
    console = Console()
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(width=NO_SCREEN_WIDTH)
