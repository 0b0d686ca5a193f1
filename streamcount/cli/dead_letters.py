"""`streamcount dead-letters`: what could not be counted, and why."""

from __future__ import annotations

from pathlib import Path

import typer


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
        "They are counted under the camera's name with .replay behind it, since their run has gone on.",
    ),
) -> None:
    """Lists the frames that could not be counted, with the reason; saves them, or sends them again."""
    from rich.console import Console
    from rich.table import Table

    from streamcount.config import load_settings
    from streamcount.service.dead_letters import read_dead_letters
    from streamcount.service.dead_letters import replay as send_again
    from streamcount.wire.cloudevents import format_time

    settings = load_settings(config)
    letters = list(read_dead_letters(settings, reason, camera))
    console = Console()
    if not letters:
        console.print("No dead letters.")
        return
    table = Table("when", "camera", "reason", "message", "bytes", "came from")
    for letter in letters:
        table.add_row(
            format_time(letter.timestamp_ms * 1_000_000)[:23],
            letter.camera,
            letter.reason,
            letter.message,
            str(len(letter.value or b"")),
            letter.origin,
        )
    console.print(table)
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        for letter in letters:
            (save / f"{letter.partition}-{letter.offset}.bin").write_bytes(letter.value or b"")
        console.print(f"{len(letters)} values written to {save}")
    if replay:
        sent, passed_over = send_again(settings, letters)
        console.print(f"{sent} sent again; {passed_over} passed over, since their headers cannot be read")
