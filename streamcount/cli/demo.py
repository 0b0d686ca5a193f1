"""`streamcount demo`: all of it, on this machine, in one command."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from streamcount.config import Settings

PAGE_S = 30.0


def demo(
    images: Path | None = typer.Option(
        None, help="A folder of your own images for the first camera.", exists=True, file_okay=False
    ),
    rate_hz: float = typer.Option(5.0, min=0.1, max=100, help="Frames a second of each camera."),
    seconds: float | None = typer.Option(
        None, min=1, help="End by itself after so long; without it, on Ctrl-C."
    ),
    data: Path | None = typer.Option(
        None, help="Where the demo keeps its broker and logs; a folder of yours by default."
    ),
    page: bool | None = typer.Option(
        None, help="Serve the live page too; by default where the extra `dashboard` is installed."
    ),
    open_page: bool | None = typer.Option(
        None,
        "--open/--no-open",
        help="Open the live page in a browser; by default where this is a terminal of a desktop.",
    ),
) -> None:
    """Runs a Kafka broker, two cameras and a worker, keeps the results, and shows the counts as they come.

    Nothing else is needed, no Docker and no microscope: the cameras are simulated. A store, pictures of abnormal
    cells and alerts on cameras that fall silent are kept as in a lab. Ctrl-C ends all of it.
    """
    import webbrowser
    from importlib.util import find_spec

    from rich.console import Console

    from streamcount.service.broker import default_data_folder
    from streamcount.service.demo import STORE, page_url, run_demo
    from streamcount.service.processes import set_up_logging
    from streamcount.service.watch import run_watch

    set_up_logging()
    console = Console(stderr=True)
    folder = data or default_data_folder().with_name("demo")
    console.print("Starting a Kafka broker, two cameras, a worker and a store; logs are in", str(folder))

    with_page = find_spec("nicegui") is not None if page is None else page

    def show(settings: Settings, check: Callable[[], None]) -> None:
        if with_page:
            url = page_url(folder, PAGE_S, check)
            console.print("The live page:", url or f"see {folder / 'dashboard.log'}")
            if url and (_on_a_desktop() if open_page is None else open_page):
                webbrowser.open(url)
        run_watch(settings, seconds=seconds, check=check)

    # Ctrl-C is how it ends, however far it had come.
    with contextlib.suppress(KeyboardInterrupt):
        run_demo(folder, rate_hz, images, show, page=with_page)
    console.print("Ended: cameras, worker and broker.")
    asked = shlex.join(["streamcount", "query", "counts", "--store", str(folder / STORE)])
    console.print("What was counted stays:", asked, soft_wrap=True)


def _on_a_desktop() -> bool:
    """Whether a browser would come up in a window: one in the terminal would cover the counts."""
    windows = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return windows and sys.stdout.isatty()
