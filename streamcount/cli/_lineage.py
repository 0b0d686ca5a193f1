"""What `streamcount lineage` does: reads with a bar, writes what is wanted, shows the summary."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamcount.cli._console import output_console
from streamcount.cli._inputs import InputOptions, find_recordings
from streamcount.errors import SourceError
from streamcount.lineage.choices import Axis, Colour
from streamcount.lineage.model import Family, Lineage, families
from streamcount.lineage.summary import Summary, summarise
from streamcount.types import Image


@dataclass(frozen=True)
class Wanted:
    """What to write, None for nothing.

    reading: which part of the image. everyone: trees also of families without a division.
    """

    table: Path | None
    ctc: Path | None
    tree: Path | None
    overlay: Path | None
    image: Path | None
    reading: InputOptions
    everyone: bool
    colour: Colour
    axis: Axis | None

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""
        return any(path is not None for path in (self.table, self.ctc, self.tree, self.overlay))

    def check(self) -> None:
        """Names and packages, before a long reading is in vain. Raises ConfigurationError."""
        from streamcount.lineage.style import check_picture
        from streamcount.lineage.tables import check_table

        for picture in (self.tree, self.overlay):
            if picture is not None:
                check_picture(picture)
        if self.table is not None:
            check_table(self.table)


def from_results(path: Path, run: str | None, masks: Path | None, told: Console) -> Lineage:
    """See `read_results`."""
    from streamcount.lineage.results import read_results

    size = path.stat().st_size
    with _bar(told, "reading") as (progress, task):
        progress.update(task, total=size)
        return read_results(path, run, masks, lambda read: progress.advance(task, read))


def from_folder(folder: Path, told: Console) -> Lineage:
    """See `read_folder`."""
    from streamcount.lineage.folder import read_folder

    with _bar(told, "reading masks") as (progress, task):
        return read_folder(
            folder, lambda frames: progress.update(task, total=frames), lambda: progress.advance(task)
        )


def from_topics(config: Path | None, camera: str, run: str | None, told: Console) -> Lineage:
    """See `read_run`."""
    from streamcount.config import load_settings
    from streamcount.service.lineages import read_run

    settings = load_settings(config)
    # What is wrong with Kafka is told once, as an error; the library would say it many times.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    with _bar(told, "reading topics") as (progress, task):
        return read_run(
            settings, camera, run, lambda done, total: progress.update(task, completed=done, total=total)
        )


def write(lineage: Lineage, wanted: Wanted, told: Console) -> None:
    """Write all that is wanted and say what was written."""
    if wanted.table is not None:
        from streamcount.lineage.tables import write_tables

        points, tracks = write_tables(lineage, wanted.table)
        _say(told, f"{points}: {len(lineage.points)} sightings; {tracks}: {len(lineage.tracks)} cells")
    if wanted.ctc is not None:
        _write_ctc(lineage, wanted.ctc, told)
    if wanted.tree is not None:
        _write_tree(lineage, wanted.tree, wanted, told)
    if wanted.overlay is not None:
        from streamcount.lineage.paths import write_paths

        image = None if wanted.image is None else _last_image(wanted.image, wanted.reading, told)
        write_paths(lineage, wanted.overlay, image)
        _say(told, f"{wanted.overlay}: the paths of {len(lineage.tracks)} cells")


def _write_ctc(lineage: Lineage, folder: Path, told: Console) -> None:
    from streamcount.lineage.ctc import write_ctc

    with _bar(told, "writing masks") as (progress, task):
        progress.update(task, total=len(lineage.frames))
        masks = write_ctc(lineage, folder, lambda: progress.advance(task))
    how = f"and {masks} masks" if masks else "without masks, for there are no label images (see --masks)"
    _say(told, f"{folder}: res_track.txt {how}")


def _write_tree(lineage: Lineage, path: Path, wanted: Wanted, told: Console) -> None:
    from streamcount.lineage.tree import write_tree

    chosen = _trees(lineage, wanted.everyone)
    axis = wanted.axis
    if axis is None:
        # Files often carry no times of their own, and are then given one frame a second.
        axis = Axis.frame if any(shown.source for shown in lineage.frames) else Axis.time
    write_tree(lineage, chosen, path, axis, wanted.colour)
    _say(told, f"{path}: {len(chosen)} famil{'y' if len(chosen) == 1 else 'ies'}")


def _trees(lineage: Lineage, everyone: bool) -> list[Family]:
    found = [family for family in families(lineage) if everyone or family.generations > 1]
    if not found:
        raise SourceError(
            f"{lineage.name}: no cell has divided, so there is no tree; --all draws a line for each cell"
            if lineage.tracks
            else f"{lineage.name}: there is no confirmed cell"
        )
    return found


def _last_image(path: Path, reading: InputOptions, told: Console) -> Image:
    recordings = find_recordings([str(path)], reading)
    for recording in recordings:
        if recording.unheard:
            told.print(recording.unheard, style="yellow", markup=False, highlight=False, soft_wrap=True)
    shots = deque((shot for recording in recordings for shot in recording.shots()), maxlen=1)
    return shots[0].load().image


def show(lineage: Lineage, as_json: bool) -> None:
    """Print the summary."""
    summary = summarise(lineage)
    if as_json:
        print(json.dumps(_plain(lineage, summary), indent=2))
        return
    console = output_console()
    _say(
        console,
        f"{lineage.name}: {summary.tracks} cells in {summary.frames} frames, {summary.sightings} sightings",
    )
    told = summary.divisions
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    deaths = ", ".join(f"{reason} {number}" for reason, number in summary.deaths.items())
    beside = {"died": deaths}
    table.add_row("divisions", str(told.confirmed), f"retracted {told.retracted}, undecided {told.undecided}")
    table.add_section()
    for title, counts in (("born", summary.births), ("end", summary.fates)):
        for name, number in counts.items():
            if number:
                table.add_row(f"{title}: {name}", str(number), beside.get(name, ""))
        table.add_section()
    for generation, number in enumerate(summary.generations):
        table.add_row(f"generation {generation}", str(number), "")
    console.print(table)
    for family in summary.largest:
        _say(
            console,
            f"family of cell {family.root.track_id}: {len(family)} cells in {family.generations} generations",
        )


def _plain(lineage: Lineage, summary: Summary) -> dict[str, Any]:
    told = summary.divisions
    return {
        "run": lineage.name,
        "frames": summary.frames,
        "cells": summary.tracks,
        "sightings": summary.sightings,
        "divisions": {
            "confirmed": told.confirmed, "retracted": told.retracted, "undecided": told.undecided,
        },
        "births": summary.births,
        "fates": summary.fates,
        "deaths": summary.deaths,
        "generations": summary.generations,
        "largest": [
            {"cell": one.root.track_id, "cells": len(one), "generations": one.generations}
            for one in summary.largest
        ],
    }  # fmt: skip


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _bar(told: Console, what: str) -> Iterator[tuple[Progress, Any]]:
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=told, transient=True, disable=not told.is_terminal) as progress:
        yield progress, progress.add_task(what, total=None)
