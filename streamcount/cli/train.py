"""`streamcount train`: make a model from labelled images."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from streamcount.cli._figures import describe, print_figures, progress_bar
from streamcount.errors import TrainingError

if TYPE_CHECKING:
    from streamcount.training.compile import Parts


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
        int | None, _option("Times each image is seen [default: 30, and 12 with --from].", min=1)
    ] = None,
    seed: Annotated[int, _option("The same seed and data give the same model, but for rounding.")] = 1,
    width: Annotated[
        int | None,
        _option("Channels; 16 gives about 400,000 weights [default: 16, or the parent's].", min=2, max=128),
    ] = None,
    diameter: Annotated[
        float | None,
        _option("The reference cell at the net's scale, px [default: 44, or the parent's].", min=8, max=256),
    ] = None,
    cell_um: Annotated[float, _option("The reference cell in the specimen, µm.", min=0.1)] = 7.5,
    reference: Annotated[str, _option("Class whose size sets the scale; else the commonest.")] = "",
    names: Annotated[str, _option("Names for the classes, by commas, in the order of the data's.")] = "",
    abnormal: Annotated[str, _option("Classes to be told of when seen, by commas.")] = "",
    colour: Annotated[Colour | None, _option("Whether colour counts [default: by the images].")] = None,
    normalise: Annotated[
        Stretch | None,
        _option("Stretch each image's brightness first [default: percentile for grey images]."),
    ] = None,
    backbone: Annotated[
        str | None, _option("streamcount, or one of Keras Applications, whose weights need a network.")
    ] = None,
    batch: Annotated[int, _option("Images a step.", min=1)] = 16,
    canvas: Annotated[
        int | None, _option("Side of the training crops, px; a multiple of 16 [default: 224].", min=64)
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
) -> None:
    """Train a net on labelled images and compile it to a model bundle: full int8, and float32.

    A tenth of the training images is kept back to calibrate probabilities and to choose thresholds that make
    counts unbiased; the figures written to model.toml are measured on the validation part. Interrupted, the same
    command goes on after the last whole epoch. Losses go to WORK/logs, for `tensorboard --logdir`.

    Example: `streamcount train smears --output models/my-smears --epochs 30`

    From 20 to 50 images, in minutes: `streamcount train mine --from blood-smear --output models/mine`
    """
    console = Console(stderr=True)
    with console.status("reading the data"):
        parts, index = _read_parts(data, reference, data_format, split, (images, seed), console)

    from streamcount.training.compile import Naming, make_bundle
    from streamcount.training.loop import fit
    from streamcount.training.plan import Asked, plan

    class_names, alarming = _named(parts.train.class_names, names, abnormal)
    recipe = plan(
        Asked(epochs, seed, width, diameter, canvas, batch, learning_rate, task and task.value,
              colour and colour.value, normalise and normalise.value, backbone, parent), parts.train
    )  # fmt: skip
    naming = Naming(
        name=_model_name(output),
        class_names=class_names,
        abnormal=alarming,
        reference_class=index,
        cell_diameter_um=cell_um,
        licence=licence,
        provenance=provenance,
        command=_command(data, output, {
            "from": Path(parent).name, "images": images, "task": task and task.value, "epochs": recipe.epochs,
            "seed": seed, "width": recipe.width, "diameter": recipe.diameter_px, "cell-um": cell_um,
            "reference": reference, "names": names, "abnormal": abnormal, "colour": colour and colour.value,
            "normalise": normalise and normalise.value, "backbone": backbone, "batch": batch,
            "canvas": recipe.canvas_px, "learning-rate": recipe.learning_rate, "format": data_format,
            "split": split and split.name, "licence": licence, "provenance": provenance,
        }),
    )  # fmt: skip
    state = work or Path(".training") / naming.name
    with progress_bar(console) as progress:
        bar = progress.add_task("training", total=None, note="")
        net = fit(parts.train, recipe, state, lambda done, total, loss: progress.update(
            bar, completed=done, total=total, note=f"loss {loss:.3f}"))  # fmt: skip
    with console.status("compiling") as status:
        measured = make_bundle(net, parts, recipe, naming, output, status.update)
    for form, figures in measured.items():
        print_figures(f"{naming.name}, {form}, on {data.name}/val", figures)
    console.print(f"Wrote {output}. The state in {state} is not needed any more.")


def _read_parts(
    data: Path,
    reference: str,
    data_format: str | None,
    split: Path | None,
    some: tuple[int | None, int],
    console: Console,
) -> tuple[Parts, int]:
    """The parts to train on, to choose thresholds on and to measure on; and the class that sets the scale."""
    from streamcount.training.compile import Parts
    from streamcount.training.data.labelled import split_calibration, with_diameters
    from streamcount.training.data.parts import apart, read_parts
    from streamcount.training.plan import only_some

    parts, seen = apart(read_parts(data, split=split, format=data_format))
    if seen:
        console.print(f"val: {seen} images left out, near-duplicates of images in train")
    whole, val = parts["train"], parts["val"]
    labels = whole.class_names
    if reference and reference not in labels:
        raise TrainingError(f"--reference {reference!r} is no class; give one of {', '.join(labels)}.")
    index = labels.index(reference) if reference else int(whole.class_counts().argmax())
    if reference:
        whole, val = with_diameters(whole, index), with_diameters(val, index)
    number, seed = some
    if number is not None:
        whole = only_some(whole, number, seed)
    describe(console, "train", whole)
    describe(console, "val", val)
    kept, held = split_calibration(whole, 0.1)
    return Parts(kept, held, val), index


def _named(labels: tuple[str, ...], names: str, abnormal: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes' names and those of the abnormal ones. Raises TrainingError where they do not fit."""
    class_names, alarming = tuple(_words(names)) or labels, tuple(_words(abnormal))
    if len(class_names) != len(labels) or len(set(class_names)) != len(labels):
        raise TrainingError(f"--names {names!r} must give {len(labels)} different names, one a class.")
    if not set(alarming) <= set(class_names):
        raise TrainingError(
            f"--abnormal {abnormal!r} names an unknown class; take some of {', '.join(class_names)}."
        )
    return class_names, alarming


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _model_name(output: Path) -> str:
    name = output.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise TrainingError(
            f"--output {output} must end in the model's name: letters, digits, '.', '_' or '-'."
        )
    return name


def _command(data: Path, output: Path, options: dict[str, object]) -> str:
    """The command that trains this model again, without the folders of this machine."""
    import shlex

    words = ["streamcount", "train", data.name, "--output", f"models/{_model_name(output)}"]
    for key, value in options.items():
        if value not in ("", None):
            words += [f"--{key}", str(value)]
    return shlex.join(words)
