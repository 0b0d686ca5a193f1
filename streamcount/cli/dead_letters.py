"""`streamcount dead-letters`: what could not be counted, and why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamcount.cli._console import output_console

if TYPE_CHECKING:
    from rich.table import Table

    from streamcount.service.dead_letters import DeadLetter

ROWS = 200


def dead_letters(
    config: Path | None = typer.Option(
        None, "--config", "-c", help="Configuration file; ./streamcount.toml if it is there."
    ),
    reason: str | None = typer.Option(None, help="Only those with this reason, such as undecodable."),
    camera: str | None = typer.Option(None, help="Only those of this camera."),
    save: Path | None = typer.Option(None, help="Write each value into this folder, to be looked at."),
    replay: bool = typer.Option(
        False,
        "--replay",
        help="Send them to the workers again, once the cause is mended (a limit raised, a model replaced). "
        "They are counted under the camera's name with .replay behind it, since their run has gone on; each "
        "replay makes runs of its own, numbered from 0.",
    ),
) -> None:
    """Lists the frames that could not be counted, with the reason; saves them, or sends them again."""
    from contextlib import ExitStack

    from streamcount.config import load_settings
    from streamcount.service.dead_letters import Replay, read_dead_letters

    settings = load_settings(config)
    console = output_console()
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
    found = 0
    with ExitStack() as stack:
        again = stack.enter_context(Replay(settings)) if replay else None

        def taken() -> Iterable[DeadLetter]:
            for letter in read_dead_letters(settings, reason, camera):
                if save is not None:
                    name = f"{letter.partition}-{letter.offset}.bin"
                    (save / name).write_bytes(letter.value or b"")
                if again is not None:
                    again.send(letter)
                yield letter

        for table in _tables(taken()):
            found += table.row_count
            console.print(table)
    if not found:
        console.print("No dead letters.")
        return
    if save is not None:
        console.print(f"{found} values written to {save}")
    if again is not None:
        console.print(f"{again.sent} sent again")
        for why, times in again.passed_over.items():
            console.print(f"{times} passed over: {why}", markup=False)


def _tables(letters: Iterable[DeadLetter]) -> Iterable[Table]:
    """Tables of some hundred rows: a topic may hold more letters than a memory does."""
    from rich.markup import escape
    from rich.table import Table

    from streamcount.wire.cloudevents import format_time

    table = None
    for letter in letters:
        if table is None:
            table = Table("when", "camera", "reason", "message", "bytes", "came from")
        table.add_row(
            format_time(letter.timestamp_ms * 1_000_000)[:23],
            escape(letter.camera),
            escape(letter.reason),
            escape(letter.message),
            str(len(letter.value or b"")),
            escape(letter.origin),
        )
        if table.row_count == ROWS:
            yield table
            table = None
    if table is not None:
        yield table
