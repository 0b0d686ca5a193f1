"""`streamcount data`: look at labelled images, split them, cut them, and make them out of videos."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcount.cli._options import need_training_extra
from streamcount.cli.data_corrections import corrections
from streamcount.errors import ExitCode, TrainingError

if TYPE_CHECKING:
    from rich.console import Console

    from streamcount.training.data.labelled import Dataset, LabelledImage
    from streamcount.training.data.read import ReadOptions

data = typer.Typer(
    name="data",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Labelled images: check them, split them, cut them, make them out of videos.

Formats are recognised: YOLO text, Pascal VOC, COCO, label images, points, Cell Tracking Challenge
(docs/training-data.md shows how their files lie).

From a video to a model: `streamcount data extract film.mp4 --output mine`, correct the labels,
`streamcount data check mine`, `streamcount data split mine`, `streamcount train mine --output models/mine`.""",
)
data.command(no_args_is_help=True)(corrections)


class By(StrEnum):
    """See streamcount.training.data.split.SplitBy, which is imported only when a command runs."""

    random = "random"
    order = "order"
    source = "source"


class ExtractMethod(StrEnum):
    """See streamcount.training.data.classical.Method."""

    background = "background"
    mog2 = "mog2"
    edges = "edges"
    otsu = "otsu"
    watershed = "watershed"


Folder = Annotated[
    Path, typer.Argument(help="Folder of the set, or with train/ and val/.", show_default=False)
]
Format = Annotated[
    str | None,
    typer.Option(help="yolo, voc, coco, label-images, points or ctc.", show_default="recognised"),
]
Classes = Annotated[
    str | None, typer.Option(help="Names by commas, in the labels' order.", show_default="as labelled")
]
SourceRule = Annotated[
    str | None,
    typer.Option(
        help="How an image's source is told: 'shape', or a regular expression whose first group names it.",
        show_default="the format's, else shape",
    ),
]
Diameter = Annotated[
    float | None,
    typer.Option(min=3, help="Diameter of cells labelled by points, px.", show_default="estimated"),
]
Output = Annotated[Path, typer.Option(help="New folder to write.", show_default=False)]


@data.command(no_args_is_help=True)
def check(
    folder: Folder,
    split: Annotated[
        Path | None, typer.Option(help="Split file.", show_default="FOLDER/split.json if there")
    ] = None,
    format: Format = None,
    classes: Classes = None,
    source: SourceRule = None,
    diameter: Diameter = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for contact sheets with the labels.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images on each sheet.")] = 16,
    all_files: Annotated[bool, typer.Option("--all", help="Name every file of every finding.")] = False,
) -> None:
    """Tell what a set holds and what is wrong with it, and draw some of its labels.

    Exit code 8 where training could not be trusted: files that cannot be read, labels that are missing,
    near-duplicates in both parts. All other findings are told, and cleaned when read.

    Example: `streamcount data check smears --pictures sheets/`
    """
    need_training_extra()
    from rich.console import Console

    from streamcount.cli._data_tables import print_problems, print_summary
    from streamcount.training.data.check import duplicate_problems, label_problems
    from streamcount.training.data.duplicates import fingerprints, near_duplicates

    told = Console(stderr=True)
    with _bar(told, "reading") as progress:
        parts = _parts(folder, split, _options(format, classes, source, diameter, True, progress))
    named = [(part, image) for part, dataset in parts.items() for image in dataset.images]
    with _bar(told, "near-duplicates") as progress:
        pairs = near_duplicates(fingerprints([image.path for _, image in named], progress))
    problems = [*label_problems(parts, folder), *duplicate_problems(named, pairs, folder)]
    print_summary(folder, parts)
    print_problems(problems, all_files)
    if pictures is not None:
        _write_sheets(parts, pictures, samples)
        told.print(f"Wrote {len(parts)} contact sheets to {pictures}.", markup=False)
    if any(problem.fatal for problem in problems):
        raise typer.Exit(ExitCode.TRAINING)


@data.command(no_args_is_help=True)
def split(
    folder: Folder,
    val: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the images for val.")] = 0.2,
    by: Annotated[
        By,
        typer.Option(
            help="random: images of each source; order: blocks in the order of file names, for crops or "
            "frames whose neighbours are alike; source: whole sources."
        ),
    ] = By.random,
    source: SourceRule = None,
    leave_out: Annotated[
        str | None, typer.Option(help="This source is val, all others train.", show_default=False)
    ] = None,
    block: Annotated[int, typer.Option(min=1, help="Images in a row with --by order.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed and files give the same split.")] = 1,
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="FOLDER/split.json")
    ] = None,
    format: Format = None,
    classes: Classes = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over another split.")] = False,
) -> None:
    """Split a set into train and val, near-duplicates never in both. The images stay where they are.

    Near-duplicates are the same picture at another brightness, size, flip or turn, told by perceptual hashes.
    `streamcount train FOLDER` finds FOLDER/split.json by itself; other files are given by --split.

    Examples: `streamcount data split crops --by order`,
    `streamcount data split smears --source shape --leave-out 640x480 --output without-480.json`
    """
    need_training_extra()
    from rich.console import Console

    from streamcount.training.data.duplicates import fingerprints, groups_of, near_duplicates
    from streamcount.training.data.parts import SPLIT_NAME, SplitFile, folders_of, read_folders, relative
    from streamcount.training.data.split import SplitBy, SplitChoice, split_images
    from streamcount.training.data.write import write_split

    told = Console(stderr=True)
    if len(folders_of(folder)) > 1 and output is None:
        raise TrainingError(f"{folder} has train/ and val/ already; give --output to split them anew.")
    with _bar(told, "reading") as progress:
        read = read_folders(folder, _options(format, classes, source, None, False, progress))
    images = [image for part in read for image in part.images]
    with _bar(told, "near-duplicates") as progress:
        prints = fingerprints([image.path for image in images], progress)
    groups = groups_of(len(images), near_duplicates(prints))
    chosen = split_images(images, groups, SplitChoice(SplitBy(by), val, seed, block, leave_out))
    path = output or folder / SPLIT_NAME
    names = [relative(image.path, folder) for image in images]
    command = _split_command(folder, val, by, source, leave_out, block, seed)
    told_apart = SplitFile(
        command=command,
        seed=seed,
        source=source,
        train=[names[i] for i in chosen.train],
        val=[names[i] for i in chosen.val],
        left_out=[names[i] for i in chosen.left_out],
    )
    write_split(path, told_apart, replace=replace)
    several = sum(len(group) > 1 for group in groups)
    Console().print(
        f"Wrote {path}: {len(chosen.train)} train, {len(chosen.val)} val, {len(chosen.left_out)} left out; "
        f"{several} groups of near-duplicates.",
        markup=False,
        soft_wrap=True,
    )


@data.command(no_args_is_help=True)
def tiles(
    folder: Folder,
    output: Output,
    size: Annotated[int, typer.Option(min=64, max=8192, help="Side of a tile, px.")] = 512,
    overlap: Annotated[int, typer.Option(min=0, help="Least overlap of tiles, px.")] = 64,
    visible: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of a cell that must be in a tile to be labelled.")
    ] = 0.4,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Write YOLO boxes even where there are masks.")
    ] = False,
    split: Annotated[Path | None, typer.Option(help="Split file: tiles go to train/ and val/.")] = None,
    format: Format = None,
    classes: Classes = None,
) -> None:
    """Cut large labelled images into tiles with their labels, as YOLO boxes or label images.

    Parts stay parts, so tiles of one image are never in both. Split before cutting, not after.

    Example: `streamcount data tiles slides --output slides-512 --size 512 --overlap 64`
    """
    from rich.console import Console

    from streamcount.training.data.tiles import TileChoice, write_tiles
    from streamcount.training.data.write import require_new, write_class_names

    told = Console(stderr=True)
    choice = TileChoice(size, overlap, visible, not boxes)
    require_new(output)
    with _bar(told, "reading") as progress:
        parts = _parts(folder, split, _options(format, classes, None, None, False, progress))
    total, written = sum(len(part.images) for part in parts.values()), 0
    class_names = next(iter(parts.values())).class_names
    write_class_names(output, class_names)
    with _bar(told, "cutting") as progress:
        done = 0
        for name, part in parts.items():
            for image in part.images:
                written += write_tiles(image, output / name, len(class_names), choice)
                done += 1
                progress(done, total)
    Console().print(f"Wrote {written} tiles of {total} images to {output}.", markup=False, soft_wrap=True)


@data.command(no_args_is_help=True)
def extract(
    recording: Annotated[
        Path, typer.Argument(help="Video, TIFF stack, or folder of images.", show_default=False)
    ],
    output: Output,
    method: Annotated[
        ExtractMethod,
        typer.Option(
            help="background: what differs from the median frame; mog2: from a mixture of Gaussians; edges: "
            "Canny's, closed and filled; otsu: one threshold; watershed: the built-in detector."
        ),
    ] = ExtractMethod.watershed,
    every: Annotated[int, typer.Option(min=1, help="Take each Nth frame; neighbours are alike.")] = 10,
    most: Annotated[int, typer.Option(min=1, help="Frames at most.")] = 100,
    min_diameter: Annotated[float, typer.Option(min=3, help="Smallest cell, px.")] = 10.0,
    max_diameter: Annotated[float, typer.Option(min=4, help="Largest cell, px.")] = 200.0,
    saddle: Annotated[
        float,
        typer.Option(min=0, max=1, help="Part cells where the neck is narrower than this share; 0: never."),
    ] = 0.9,
    boxes: Annotated[bool, typer.Option("--boxes", help="YOLO boxes in place of label images.")] = False,
    channel: Annotated[str | None, typer.Option(help="Channel of a TIFF: number from 0, or name.")] = None,
) -> None:
    """Draft labels of a recording by classical tools, for people to correct: frames, labels, previews.

    The README.txt that is written tells how to correct them in napari, QuPath, Cellpose, LabelImg, Label Studio.

    Example: `streamcount data extract flow.avi --output mine --method background --every 20`
    """
    from rich.console import Console

    from streamcount.training.data.classical import ClassicalChoice, Method
    from streamcount.training.data.extract import ExtractChoice
    from streamcount.training.data.extract import extract as draft

    classical = ClassicalChoice(Method(method), (min_diameter, max_diameter), saddle)
    number = int(channel) if channel is not None and channel.isdecimal() else channel
    with _bar(Console(stderr=True), "drafting") as progress:
        frames, cells = draft(
            recording, output, ExtractChoice(classical, every, most, boxes, number), progress
        )
    Console().print(
        f"Wrote {frames} frames with {cells} cells to {output}; {output / 'README.txt'} tells how to correct them.",
        markup=False,
        soft_wrap=True,
    )


@contextmanager
def _bar(told: Console, what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal; gives the function to be told (done, of how many)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=told, transient=True, disable=not told.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _options(
    format: str | None,
    classes: str | None,
    source: str | None,
    diameter: float | None,
    lenient: bool,
    progress: Callable[[int, int | None], None],
) -> ReadOptions:
    from streamcount.training.data.read import ReadOptions

    names = tuple(word.strip() for word in (classes or "").split(",") if word.strip()) or None
    return ReadOptions(
        format=format,
        class_names=names,
        source=source,
        nominal_diameter_px=diameter,
        lenient=lenient,
        progress=progress,
    )


def _parts(folder: Path, split: Path | None, options: ReadOptions) -> dict[str, Dataset]:
    """The parts of a set; one part named "." where nothing tells parts."""
    from streamcount.training.data.parts import SPLIT_NAME, folders_of, read_folders, read_parts_unmeasured

    if split is None and len(folders_of(folder)) == 1 and not (folder / SPLIT_NAME).is_file():
        return {".": read_folders(folder, options)[0]}
    return read_parts_unmeasured(folder, split, options)


def _write_sheets(parts: dict[str, Dataset], folder: Path, samples: int) -> None:
    from streamcount.training.data.sheet import contact_sheet, write_picture

    for name, part in parts.items():
        if part.images:
            images: list[LabelledImage] = list(part.images)
            # The same ones every time, from all over the set.
            chosen = random.Random(1).sample(images, min(samples, len(images)))
            write_picture(folder / f"{'all' if name == '.' else name}.png", contact_sheet(chosen))


def _split_command(
    folder: Path, val: float, by: By, source: str | None, leave_out: str | None, block: int, seed: int
) -> str:
    """The command that splits so again, without the folders of this machine."""
    import shlex

    words = ["streamcount", "data", "split", folder.resolve().name, "--seed", str(seed)]
    if leave_out is not None:
        words += ["--leave-out", leave_out]
    else:
        words += ["--val", f"{val:g}", "--by", by.value]
        words += ["--block", str(block)] if by is By.order else []
    words += ["--source", source] if source else []
    return shlex.join(words)
