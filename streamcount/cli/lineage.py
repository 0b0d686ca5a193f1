"""`streamcount lineage`: who came of whom, as tables, pictures, and in the form of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcount.cli._options import Channel, ConfigFile, Plane, ValueRange
from streamcount.lineage.choices import Axis, Colour

if TYPE_CHECKING:
    from rich.console import Console

    from streamcount.lineage.model import Lineage


def lineage(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="results.jsonl of `count --track --output`, or a folder with res_track.txt or man_track.txt.",
            show_default=False,
        ),
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="In place of a source: this camera's run, from the topics.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Which run, where there are several.", show_default="a camera's last")
    ] = None,
    config: ConfigFile = None,
    cell: Annotated[int | None, typer.Option(help="Only the family of the cell of this track id.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="FILE.parquet or .csv: a row a sighting; and FILE.tracks.*: a row a cell."),
    ] = None,
    ctc: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the form of the Cell Tracking Challenge: res_track.txt, and masks where there are any.",
            file_okay=False,
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="For --ctc: the folder that the same `count` wrote with --masks.", file_okay=False),
    ] = None,
    tree: Annotated[Path | None, typer.Option(help="FILE.png or .svg: lineage trees.")] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="For --tree: also families in which no cell divided.")
    ] = False,
    colour: Annotated[
        Colour, typer.Option(help="For --tree: what colours mean; auto: the class if there are several.")
    ] = Colour.auto,
    axis: Annotated[
        Axis | None,
        typer.Option(help="For --tree: along which axis.", show_default="time from topics, else frame"),
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="FILE.png or .svg: the paths of cells over the field of view.")
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(help="For --overlay: the picture beneath; of a stack, video or folder its last frame."),
    ] = None,
    channel: Channel = None,
    plane: Plane = None,
    value_range: ValueRange = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Who came of whom: families of cells, as tables and pictures.

    Only confirmed cells count, and of divisions only the confirmed ones. Without an option that writes, it prints how
    many cells there are, how they came and went, and the largest families. It reads, and changes no topic.

    Examples: `streamcount count film.ome.tif --track --output results.jsonl`, then

    `streamcount lineage results.jsonl --tree tree.svg --overlay paths.png --image film.ome.tif`

    --channel, --plane and --value-range say which part of --image, and go with it.

    `streamcount lineage results.jsonl --cell 12 --tree family-12.png`

    `streamcount lineage --camera scope-1 --table cells.parquet`

    docs/lineage.md says what each word and column means. Pictures and Parquet need the extra `streamcount[lineage]`.
    """
    from rich.console import Console

    from streamcount.cli._inputs import input_options
    from streamcount.cli._lineage import Wanted, show, write
    from streamcount.lineage.model import family_of

    if (source is None) == (camera is None):
        raise typer.BadParameter("give either a file or folder of results, or --camera", param_hint="SOURCE")
    if masks is not None and (ctc is None or source is None or source.is_dir()):
        raise typer.BadParameter("goes with --ctc and a file of results", param_hint="--masks")
    if image is not None and overlay is None:
        raise typer.BadParameter("goes with --overlay", param_hint="--image")
    for option, value in (("--channel", channel), ("--plane", plane), ("--value-range", value_range)):
        if value is not None and image is None:
            raise typer.BadParameter("goes with --image", param_hint=option)
    told = Console(stderr=True)
    reading = input_options(channel, plane, value_range, None)
    wanted = Wanted(table, ctc, tree, overlay, image, reading, everyone or cell is not None, colour, axis)
    wanted.check()
    found = _read(source, camera, run, config, masks, told)
    if found.unreadable:
        told.print(f"{found.unreadable} records are of another version and were passed over", style="yellow")
    if cell is not None:
        found = found.only(family_of(found, cell).track_ids)
    if wanted.anything:
        write(found, wanted, told)
    if as_json or not wanted.anything:
        show(found, as_json)


def _read(
    source: Path | None,
    camera: str | None,
    run: str | None,
    config: Path | None,
    masks: Path | None,
    told: Console,
) -> Lineage:
    from streamcount.cli._lineage import from_folder, from_results, from_topics
    from streamcount.errors import SourceError

    if camera is not None:
        return from_topics(config, camera, run, told)
    if source is None or not source.exists():
        raise SourceError(
            f"{source}: there is no such file or folder; name results of `streamcount count --track`"
        )
    if not source.is_dir():
        return from_results(source, run, masks, told)
    if run is not None:
        raise typer.BadParameter("a folder holds one run; leave it out", param_hint="--run")
    return from_folder(source, told)
