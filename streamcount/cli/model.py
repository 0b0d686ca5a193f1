"""`streamcount model`: what models there are, and what each is."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamcount.cli._figures import print_figures

model = typer.Typer(
    no_args_is_help=True, help="What models there are, what each finds and needs, and how good it is."
)


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
    Console().print(table)


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
    console, info = Console(), bundle.input
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
    classes = Table(
        "class", "abnormal", "dead", "mitotic", "threshold", "temperature", "size", title="Classes"
    )
    for one in bundle.classes:
        classes.add_row(
            one.name, "yes" if one.abnormal else "", "yes" if one.dead else "", "yes" if one.mitotic else "",
            f"{one.threshold:.2f}", f"{one.temperature:.2f}", f"{one.relative_diameter:.2f}",
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
