"""`streamcount model`: what models there are, and what each is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamcount.cli._console import output_console
from streamcount.cli._figures import print_figures
from streamcount.cli._options import command_line
from streamcount.cli.model_scale import scale

if TYPE_CHECKING:
    from streamcount.detection.bundle import Bundle


class Only(StrEnum):
    """What is calibrated where it is not all."""

    novelty = "novelty"


model = typer.Typer(
    no_args_is_help=True, help="What models there are, what each finds and needs, and how good it is."
)


model.command("scale")(scale)


@model.command("list")
def list_models() -> None:
    """The models that come with the package or the checkout."""
    from streamcount.detection.bundle import known_models, load_bundle

    table = Table("model", "task", "classes", "cell, px", "files")
    for name in known_models():
        bundle = load_bundle(name)
        classes = ", ".join(bundle.class_names)
        table.add_row(
            name, bundle.task, classes, f"{bundle.input.cell_diameter_px:g}", ", ".join(bundle.forms)
        )
    output_console().print(table)


@model.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name or folder of a model bundle.", show_default=False)],
) -> None:
    """All that `model.toml` says, and whether the files are those that it names.

    Example: `streamcount model show blood-smear`
    """
    from streamcount.detection.bundle import find_bundle, load_bundle
    from streamcount.training.modelfile import read_model_file

    bundle, folder = load_bundle(name), find_bundle(name)
    told = read_model_file(folder)
    console, info = output_console(), bundle.input
    console.print(f"[bold]{bundle.name}[/bold]: {bundle.task}, in {folder}")
    colour = "grey" if info.channels == 1 else "colour"
    size = f"{info.crop_px} px crops" if info.crop_px else f"sides a multiple of {info.multiple_px} px"
    console.print(
        f"Input: {colour}, {size}, brightness {info.normalise}; {info.reference_class} cells are brought to "
        f"{info.cell_diameter_px:g} px across ({info.cell_diameter_um:g} µm in the specimen)."
    )
    if bundle.least_area:
        console.print(
            f"What is smaller than {bundle.least_area:.0%} of a usual cell is a speck and not told."
        )
    known = bundle.novelty.classes if bundle.novelty else {}
    classes = Table(
        *("class", "abnormal", "dead", "mitotic", "threshold", "temperature", "size", "usual cells known"),
        title="Classes",
    )
    for one in bundle.classes:
        classes.add_row(
            one.name, "yes" if one.abnormal else "", "yes" if one.dead else "", "yes" if one.mitotic else "",
            f"{one.threshold:.2f}", f"{one.temperature:.2f}", f"{one.relative_diameter:.2f}",
            str(known[one.name].cells) if one.name in known else "none",
        )  # fmt: skip
    console.print(classes)
    files = Table("form", "file", "bytes", "sha256", title="Files, checked")
    for form, compiled in bundle.forms.items():
        files.add_row(form, compiled.file, str(len(bundle.read_model(form))), compiled.sha256[:16] + "…")
    console.print(files)
    training: dict[str, Any] = told.get("training", {})
    for key in ("provenance", "licence", "images", "command"):
        if key in training:
            console.print(f"{key}: {training[key]}", highlight=False, markup=False)
    for form, figures in told.get("figures", {}).items():
        print_figures(form, figures)


@model.command("calibrate")
def calibrate(
    name: Annotated[str, typer.Argument(help="Name or folder of a model bundle.", show_default=False)],
    images: Annotated[
        Path, typer.Argument(help="Labelled images that the model was not trained on.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for the calibrated bundle; may be the model's own.", file_okay=False)
    ],
    part: Annotated[str, typer.Option(help="train or val, of a folder with parts or a split file.")] = "",
    held_back: Annotated[
        bool,
        typer.Option(
            "--held-back", help="Of train only the tenth that `streamcount train` keeps back for this."
        ),
    ] = False,
    split: Annotated[Path | None, typer.Option(help="Split file.", show_default="IMAGES/split.json")] = None,
    data_format: Annotated[
        str | None, typer.Option("--format", help="Format of the labels.", show_default="recognised")
    ] = None,
    only: Annotated[
        Only | None,
        typer.Option(
            help="Learn only how the model sees usual cells; thresholds and figures stay.", show_default="all"
        ),
    ] = None,
) -> None:
    """Choose a model's thresholds and temperatures anew, on images of your own microscope.

    The net stays as it is: it takes seconds, and twenty labelled images are enough to take the bias out of
    counts. Judge the result on other images than these, with `streamcount evaluate`.

    How the model sees usual cells is learned too, by which it tells strange ones. That alone, of images that it was
    trained on as well, is `--only novelty`; with `--part train` its limits are set by the tenth that was kept back.

    Example: `streamcount model calibrate blood-smear my-smears --output models/my-blood-smear`
    """
    from streamcount.errors import ConfigurationError
    from streamcount.training.data.labelled import split_calibration
    from streamcount.training.data.parts import read_part
    from streamcount.training.recalibrate import add_novelty, recalibrate

    if held_back and part != "train":
        raise ConfigurationError("--held-back is of the part that was trained on: give --part train.")
    command = command_line(
        ["model", "calibrate", Path(name).name, images.name, "--output", f"models/{output.name}"],
        {
            "part": part, "held-back": held_back, "split": split and split.name, "format": data_format,
            "only": only and only.value,
        },
    )  # fmt: skip
    console = Console(stderr=True)
    with console.status("reading the data"):
        dataset = read_part(images, part, split, data_format)
        rest, held = split_calibration(dataset, 0.1) if part == "train" else (dataset, dataset)
    if held_back:
        dataset = rest = held
    if only is Only.novelty:
        with console.status(f"learning what is usual in {len(rest.images)} images"):
            bundle = add_novelty(name, rest, held, output, command)
    else:
        with console.status(f"choosing thresholds on {len(dataset.images)} images"):
            bundle = recalibrate(name, dataset, output, command)
        _print_thresholds(console, bundle, len(dataset.images))
    _print_usual(console, bundle)
    console.print(f"Wrote {output}.", highlight=False)


def _print_thresholds(console: Console, bundle: Bundle, images: int) -> None:
    chosen = ", ".join(f"{one.name} {one.threshold:.2f}" for one in bundle.classes)
    console.print(f"Thresholds {chosen}; of {images} images.", highlight=False)


def _print_usual(console: Console, bundle: Bundle) -> None:
    known = bundle.novelty.classes if bundle.novelty else {}
    cells = ", ".join(f"{one.cells} {name}" for name, one in known.items())
    console.print(f"Usual cells known: {cells or 'none, there are too few'}.", highlight=False)
