"""`streamcount train`: make a model from labelled images."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from streamcount.cli._figures import print_figures
from streamcount.cli._options import command_line, need_training_extra
from streamcount.cli._training import (
    Order,
    Source,
    chosen_names,
    make_dense,
    make_shapes,
    model_name,
    read_for_training,
    some_of,
    words,
)
from streamcount.errors import TrainingError

INTERRUPTED = 130  # as shells say it of Ctrl-C


class Task(StrEnum):
    """What is learned."""

    boxes = "boxes"
    instances = "instances"
    shapes = "shapes"


class Colour(StrEnum):
    """What the net sees of an image."""

    rgb = "rgb"
    grey = "grey"


class Stretch(StrEnum):
    """How an image's brightness is evened out."""

    none = "none"
    percentile = "percentile"
    percentile_sqrt = "percentile-sqrt"


def _option(help_text: str, **limits: Any) -> Any:
    return typer.Option(help=help_text, **limits)


Data = Annotated[
    Path,
    typer.Argument(
        help="Folder of labelled images, with train/ and val/ or a split made by `streamcount data split`; "
        "`streamcount data --help` tells the formats.",
        show_default=False,
    ),
]


def train(
    data: Data,
    output: Annotated[Path, _option("Folder of the bundle to write; its name is the model's.")],
    parent: Annotated[
        str,
        typer.Option(
            "--from", help="Model whose backbone is kept: a few dozen images then do. By name or folder."
        ),
    ] = "",
    images: Annotated[
        int | None, _option("Train on so many of the images only, for learning curves.", min=1)
    ] = None,
    task: Annotated[
        Task | None,
        _option("What to learn: boxes, instances (masks), or shapes of single cells [default: by the data]."),
    ] = None,
    epochs: Annotated[
        int | None,
        _option(
            "Rounds; few images are seen over and over in each [default: 30; 12 with --from; shapes 24].",
            min=1,
        ),
    ] = None,
    seed: Annotated[int, _option("The same seed and data give the same model, but for rounding.")] = 1,
    width: Annotated[
        int | None,
        _option("Channels; 16 gives about 400,000 weights [default: 16, or the parent's].", min=2, max=128),
    ] = None,
    diameter: Annotated[
        float | None,
        _option(
            "The reference cell at the net's scale, px [default: 44 or the parent's; shapes 56].",
            min=8,
            max=256,
        ),
    ] = None,
    cell_um: Annotated[float, _option("The reference cell in the specimen, µm.", min=0.1)] = 7.5,
    reference: Annotated[str, _option("Class whose size sets the scale; else the commonest.")] = "",
    names: Annotated[
        str, _option("Names for the classes, by commas: in the order of the data's, or as OLD=NEW.")
    ] = "",
    drop: Annotated[str, _option("Classes whose cells are left out, by commas.")] = "",
    first: Annotated[str, _option("For shapes: the model that finds the cells.")] = "blood-smear",
    refines: Annotated[
        str, _option("For shapes: its class that is told apart further [default: its reference class].")
    ] = "",
    abnormal: Annotated[str, _option("Classes to be told of when seen, by commas.")] = "",
    dead: Annotated[str, _option("Classes of dead cells: one that turns to such has died.")] = "",
    mitotic: Annotated[str, _option("Classes of cells in division, for the mitotic index.")] = "",
    colour: Annotated[Colour | None, _option("Whether colour counts [default: by the images].")] = None,
    normalise: Annotated[
        Stretch | None,
        _option("Stretch each image's brightness first [default: percentile for grey images]."),
    ] = None,
    backbone: Annotated[
        str | None, _option("streamcount, or one of Keras Applications, whose weights need a network.")
    ] = None,
    batch: Annotated[int | None, _option("Images a step [default: 16, shapes 32].", min=1)] = None,
    canvas: Annotated[
        int | None,
        _option("Side of the training crops, px; a multiple of 16 [default: 224; shapes 96].", min=64),
    ] = None,
    learning_rate: Annotated[
        float | None, _option("Highest rate, after a warm-up [default: 0.002, 0.001 with --from].", min=1e-6)
    ] = None,
    data_format: Annotated[
        str | None, typer.Option("--format", help="Format of the labels [default: recognised].")
    ] = None,
    split: Annotated[Path | None, _option("Split file [default: DATA/split.json].")] = None,
    licence: Annotated[str, _option("Licence of the data, kept in model.toml.")] = "unknown",
    provenance: Annotated[str, _option("Where the data is from, kept in model.toml.")] = "unknown",
    work: Annotated[Path | None, _option("Folder of the unfinished state [default: .training/NAME].")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a model that is in OUTPUT.")] = False,
) -> None:
    """Train a net on labelled images and compile it to a model bundle: full int8, and float32.

    A tenth of the training images is kept back to calibrate probabilities and to choose thresholds that make
    counts unbiased; the figures written to model.toml are measured on the validation part. Interrupted, the same
    command goes on after the last whole epoch. Losses go to WORK/logs, for `tensorboard --logdir`.

    Example: `streamcount train smears --output models/my-smears --epochs 30`

    From 20 to 50 images, in minutes: `streamcount train mine --from blood-smear --output models/mine`

    A second stage, of points `x y class` on cells that another model finds:
    `streamcount train points --task shapes --from blood-smear --output models/my-shapes`
    """
    need_training_extra()
    name = model_name(output)
    if output.exists() and any(output.iterdir()) and not replace:
        raise TrainingError(f"{output} is not empty; name a new folder for --output, or give --replace.")
    if parent:
        from streamcount.detection.bundle import load_bundle

        load_bundle(parent)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's own talk hides what is told here
    console = Console(stderr=True)
    with console.status("reading the data"):
        parts, index = read_for_training(
            Source(data, split, data_format, reference, tuple(words(drop)), images, seed), console
        )
    shapes = task is Task.shapes
    from streamcount.training.compile import Naming
    from streamcount.training.loop import forget
    from streamcount.training.plan import Asked, plan

    class_names = chosen_names(parts.train.class_names, names)
    recipe = plan(
        Asked(epochs, seed, width, diameter, canvas, batch, learning_rate, task and task.value,
              colour and colour.value, normalise and normalise.value, backbone, parent), parts.train
    )  # fmt: skip
    naming = Naming(
        name=name,
        class_names=class_names,
        abnormal=some_of(class_names, abnormal, "--abnormal"),
        dead=some_of(class_names, dead, "--dead"),
        mitotic=some_of(class_names, mitotic, "--mitotic"),
        reference_class=index,
        cell_diameter_um=cell_um,
        licence=licence,
        provenance=provenance,
        command=command_line(["train", data.name, "--output", f"models/{name}"], {
            "from": Path(parent).name, "images": images, "task": task and task.value, "epochs": recipe.epochs,
            "seed": seed, "width": recipe.width, "diameter": recipe.diameter_px, "cell-um": cell_um,
            "reference": reference, "names": names, "drop": drop, "abnormal": abnormal,
            "dead": dead, "mitotic": mitotic, "colour": colour and colour.value,
            "normalise": normalise and normalise.value, "backbone": backbone,
            "batch": recipe.batch, "canvas": recipe.canvas_px, "learning-rate": recipe.learning_rate,
            "first": Path(first).name if shapes else None, "refines": refines, "format": data_format,
            "split": split and split.name, "licence": licence, "provenance": provenance,
        }),
    )  # fmt: skip
    order = Order(parts, recipe, naming, work or Path(".training") / name, output)
    try:
        measured = make_shapes(order, first, refines, console) if shapes else make_dense(order, console)
    except KeyboardInterrupt as interrupt:
        console.print(f"Stopped; the same command goes on after the last whole epoch (in {order.state}).")
        raise typer.Exit(INTERRUPTED) from interrupt
    for form, figures in measured.items():
        print_figures(f"{naming.name}, {form}, on {data.name}/val", figures)
    forget(order.state)
    console.print(f"Wrote {output}; the losses of its training are in {order.state}.")
