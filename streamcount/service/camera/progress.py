"""The progress of cameras on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamcount.service.camera.run import CameraRun

if TYPE_CHECKING:
    from rich.console import Console

EVERY_S = 0.25


@contextmanager
def progress_bars(runs: Sequence[CameraRun], console: Console) -> Iterator[None]:
    """One line a camera: frames confirmed, of how many, rate, what was dropped, and what waits."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        console=console,
    )
    tasks = [progress.add_task(run.camera_id, total=run.capture.frame_count, state="") for run in runs]
    ended = threading.Event()

    def refresh() -> None:
        for run, task in zip(runs, tasks, strict=True):
            progress.update(task, completed=run.meter.sent, state=_state(run))

    def keep_fresh() -> None:
        while not ended.wait(EVERY_S):
            refresh()

    with progress:
        thread = threading.Thread(target=keep_fresh, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            refresh()


def _state(run: CameraRun) -> str:
    report = run.report()
    parts = [
        f"{report.sent / report.seconds:.1f}/s" if report.seconds > 0 else "",
        f"{report.sent_bytes / 1e6:.1f} MB",
    ]
    if run.buffer.waiting_bytes:
        parts.append(f"{run.buffer.waiting_bytes / 2**20:.1f} MiB wait")
    if report.dropped:
        parts.append(f"[yellow]{report.dropped} dropped[/]")
    if report.failed:
        parts.append(f"[red]{report.failed} not sendable[/]")
    if run.publisher.away:
        parts.append("[red]Kafka does not answer[/]")
    return "  ".join(part for part in parts if part)
