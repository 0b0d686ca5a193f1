"""`streamcount score`: what followed cells are worth against truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from streamcount.cli._console import output_console
from streamcount.cli._figures import progress_bar

if TYPE_CHECKING:
    from streamcount.scoring import Found, Score

UNDEFINED = "-"


def score(
    truth: Annotated[
        Path,
        typer.Argument(help="Truth: NN_GT, a folder with TRA, or TRA itself.", show_default=False),
    ],
    results: Annotated[
        Path,
        typer.Argument(
            help="Results: a folder that `streamcount count --track --ctc` wrote.", show_default=False
        ),
    ],
    buffer: Annotated[
        int,
        typer.Option(
            help="The most frames by which a division, birth or end may be early or late.", min=0, max=100
        ),
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score tracks against truth, both in the form of the Cell Tracking Challenge.

    TRA is a figure of all cells in all frames, so a film that misses its only division may still reach .99: the F1
    of divisions always stands beside it. Births are tracks that begin after the first frame without a parent, ends
    are those that end before the last frame, within the image and without daughters; the form cannot tell a cell
    that died from one that was lost or left. A track that goes on under a new label after a gap did neither.

    Example: `streamcount count masks/ --detector labels --track --ctc out/`, then `streamcount score 01_GT out/`

    docs/tracking-scores.md says what each figure means, and what it hides. Needs the extra `streamcount[score]`.
    """
    from streamcount.scoring import score as score_folders

    console = Console(stderr=True)
    with progress_bar(console) as progress:
        task = progress.add_task("reading", total=None, note="")

        def tick() -> None:
            progress.update(task, advance=1)
            if progress.tasks[0].finished:
                progress.update(task, description="measuring")

        told = score_folders(truth, results, buffer, lambda frames: progress.update(task, total=frames), tick)
    if as_json:
        typer.echo(json.dumps(_plain(told), indent=2))
    else:
        _print(told, f"{results} against {truth}")


def _print(told: Score, title: str) -> None:
    console = output_console()
    console.print(
        f"{title}: {told.frames} frames; truth {told.tracks[0]} tracks, {told.cells[0]} cells; "
        f"results {told.tracks[1]} tracks, {told.cells[1]} cells",
        highlight=False,
    )
    divisions = told.happenings.divisions
    beside = {f"division F1 ±{one.buffer}": one.f1 for one in _ends_of(divisions)}
    console.print(_row("tracks, and divisions", {**_some(told, "TRA", "LNK"), **beside}))
    others = _some(told, "SEG", "DET", "CT", "TF", "CHOTA")
    branching = {f"BC({one.buffer})": told.measures[f"BC({one.buffer})"] for one in _ends_of(divisions)}
    console.print(_row("other measures", {**others, **branching}))
    table = Table(
        title="found within ± frames", title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    for head in ("", "±", "true", "found", "matched", "missed", "false", "precision", "recall", "F1"):
        table.add_column(head, justify="right" if head else "left")
    for name, counted in _kinds(told).items():
        for one in counted:
            table.add_row(
                name if one.buffer == 0 else "", str(one.buffer), str(one.true), str(one.found), str(one.matched),
                str(len(one.missed)), str(len(one.false)), _shown(one.precision), _shown(one.recall), _shown(one.f1),
            )  # fmt: skip
        table.add_section()
    console.print(table)


def _row(title: str, figures: dict[str, float | None]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for head in figures:
        table.add_column(head, justify="right")
    table.add_row(*map(_shown, figures.values()))
    return table


def _ends_of(counted: Sequence[Found]) -> Sequence[Found]:
    """The first three buffers and the last, which is what fits on a line."""
    return [*counted[:3], *counted[3:][-1:]]


def _some(told: Score, *names: str) -> dict[str, float | None]:
    """Measures by name; SEG only where there are masks for it."""
    return {name: told.measures[name] for name in names if name != "SEG" or told.measures[name] is not None}


def _kinds(told: Score) -> dict[str, list[Found]]:
    return {
        "divisions": told.happenings.divisions,
        "births": told.happenings.births,
        "ends": told.happenings.ends,
    }


def _shown(figure: float | None) -> str:
    return UNDEFINED if figure is None else f"{figure:.3f}"


def _plain(told: Score) -> dict[str, Any]:
    """As JSON: None for what is not defined, SEG only where there are masks for it."""
    return {
        "frames": told.frames,
        "tracks": dict(zip(("true", "found"), told.tracks, strict=True)),
        "cells": dict(zip(("true", "found"), told.cells, strict=True)),
        "measures": _some(told, *told.measures),
        **{name: [_counts(one) for one in counted] for name, counted in _kinds(told).items()},
    }


def _counts(one: Found) -> dict[str, Any]:
    return {
        "buffer": one.buffer, "true": one.true, "found": one.found, "matched": one.matched,
        "precision": one.precision, "recall": one.recall, "f1": one.f1,
        **{
            name: [{"frame": frame, "label": label} for frame, label in places]
            for name, places in (("missed", one.missed), ("false", one.false))
        },
    }  # fmt: skip
