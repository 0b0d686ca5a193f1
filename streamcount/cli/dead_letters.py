"""`streamcount dead-letters`: what could not be counted, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamcount.cli._console import output_console

if TYPE_CHECKING:
    from rich.table import Table

    from streamcount.service.dead_letters import DeadLetter

ROWS = 200
MOST_NAMES = 20


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
    """Lists the frames that could not be counted, with the reason; saves them, or sends them again.

    docs/wire.md explains the reasons.
    """
    from contextlib import ExitStack

    from streamcount.config import load_settings
    from streamcount.service.dead_letters import Replay, read_dead_letters

    settings = load_settings(config)
    console = output_console()
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
    found = 0
    left_out = _LeftOut()
    with ExitStack() as stack:
        again = stack.enter_context(Replay(settings)) if replay else None

        def taken() -> Iterable[DeadLetter]:
            for letter in read_dead_letters(settings):
                if not letter.is_of(reason, camera):
                    left_out.add(letter)
                    continue
                if save is not None:
                    name = f"{letter.partition}-{letter.offset}{letter.ending}"
                    (save / name).write_bytes(letter.value or b"")
                if again is not None:
                    again.send(letter)
                yield letter

        for table in _tables(taken()):
            found += table.row_count
            console.print(table)
    if not found:
        _check_reason(reason, left_out)
        console.print(left_out.words(), markup=False, highlight=False, soft_wrap=True)
        return
    if save is not None:
        console.print(f"{found} values written to {save}")
    if again is not None:
        console.print(f"{again.sent} sent again")
        for why, times in again.passed_over.items():
            console.print(f"{times} passed over: {why}", markup=False)


class _LeftOut:
    """The letters that the options left out, to be told where they left out all."""

    def __init__(self) -> None:
        self.cameras: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, letter: DeadLetter) -> None:
        """Count one."""
        self.cameras[letter.camera] += 1
        self.reasons[letter.reason] += 1

    def words(self) -> str:
        """That there are none, and of what there are some."""
        if not self.cameras:
            return "No dead letters."
        told = [
            ", ".join(f"{name} ({number})" for name, number in many.most_common(MOST_NAMES))
            for many in (self.cameras, self.reasons)
        ]
        return (
            f"No dead letters of these. There are some of the cameras {told[0]}; for the reasons {told[1]}."
        )


def _check_reason(reason: str | None, left_out: _LeftOut) -> None:
    """Raises BadParameter for a reason that no version gives; one of another version may be on the topic."""
    from difflib import get_close_matches

    from streamcount.wire.deadletters import REASONS

    known = REASONS | left_out.reasons.keys()
    if reason is None or reason in known:
        return
    near = get_close_matches(reason, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}"
    raise typer.BadParameter(f"no reason {reason!r}; {hint}", param_hint="--reason")


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
