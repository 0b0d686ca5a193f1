"""`streamcount evaluate`: what a detector is worth on labelled images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from streamcount.cli._console import output_console
from streamcount.cli._evaluate_detector import build_detector
from streamcount.cli._evaluate_incomplete import tell_incomplete
from streamcount.cli._figures import describe, print_abnormal, print_figures, progress_bar
from streamcount.cli._options import Form, need_training_extra
from streamcount.errors import ConfigurationError

if TYPE_CHECKING:
    from streamcount.training.data.labelled import Dataset
    from streamcount.training.judge.report import Subject
    from streamcount.training.shapes.report import ShapeSubject


class Scale(StrEnum):
    """What the model is told of the size of cells."""

    unknown = "unknown"
    told = "told"


def _option(help_text: str, **limits: Any) -> Any:
    return typer.Option(help=help_text, **limits)


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(help="Labelled images: a folder, or with --part one with parts.", show_default=False),
    ],
    model: Annotated[str, _option("Name or folder of a model bundle.")] = "",
    detector: Annotated[
        str, _option("A detector without model, such as `watershed`, in place of --model.")
    ] = "",
    form: Annotated[Form, _option("Compiled form of the model.")] = Form.int8,
    scale: Annotated[
        Scale, _option("told: the model is told the size of each image's cells, which the labels know.")
    ] = Scale.unknown,
    part: Annotated[
        str,
        _option("train or val, of a folder with parts or a split file; val without what train holds too."),
    ] = "",
    split: Annotated[Path | None, _option("Split file [default: DATA/split.json].")] = None,
    data_format: Annotated[
        str | None, typer.Option("--format", help="Format of the labels [default: recognised].")
    ] = None,
    first: Annotated[
        str, _option("For a second stage: the model that finds the cells [default: as trained with].")
    ] = "",
    report: Annotated[
        Path | None, _option("Folder for report.html (plots, pictures) and images.csv.")
    ] = None,
    pictures: Annotated[Path | None, _option("Folder for pictures of the worst images alone.")] = None,
    worst: Annotated[int, _option("How many pictures.", min=1)] = 20,
    share: Annotated[str, _option("A class whose share of all cells is judged too, such as living.")] = "",
    window: Annotated[int, _option("Successive images over which --share is taken.", min=1)] = 50,
    record: Annotated[str, _option("Bundle into whose model.toml the figures are written too.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Judge a detector on labelled images: average precision by class, F1, and the error of its counts.

    Counts are judged by image: MAE is the mean absolute error in cells, bias the mean error with its sign,
    MAPE the mean of error over truth. The detector is told nothing about the images' scale, unless by
    --scale told: the difference is the price of not telling it. Figures come twice: of all cells, and of whole
    cells only, since labels of cells cut by the image's edge are inconsistent in most sets.
    Models of outlines are judged by outlines. Where not every cell is labelled (points), only the share of the
    labelled cells that is found is told.

    Example: `streamcount evaluate smears/val --model blood-smear --report report/`
    """
    if bool(model) == bool(detector):
        raise ConfigurationError("Give either --model NAME or --detector NAME, and not both.")
    need_training_extra()
    if detector:
        build_detector(detector)
    from streamcount.training.data.parts import read_part

    console = Console(stderr=True)
    with console.status("reading the data"):
        dataset = read_part(data, part, split, data_format)
    describe(console, part or data.name, dataset)
    if model and _is_second_stage(model):
        shapes = _judge_shapes(dataset, (model, first, form.value), data, console)
        _tell(shapes.figures, f"{model} on {shapes.data}", {}, as_json=as_json)
        if shapes.abnormal and not as_json:
            print_abnormal(shapes.abnormal)
        _record(record, shapes.figures)
        if report is not None:
            from streamcount.training.shapes.report import write_shapes_report

            console.print(f"Wrote {write_shapes_report(shapes, report)}.")
        return
    if not any(image.complete for image in dataset.images):
        needs = {"--scale": scale is Scale.told, "--share": share, "--record": record, "--report": report,
                 "--pictures": pictures}  # fmt: skip
        title, chosen = f"{model or detector} on {data.name}", (model, detector, form.value)
        tell_incomplete(dataset, title, chosen, needs, as_json=as_json)
        return
    if model:
        dataset = _comparable(dataset, model, console)
    if scale is Scale.told:
        dataset = _with_scale(dataset, model)
    with progress_bar(console) as progress:
        task = progress.add_task("detecting", total=(2 if model else 1) * len(dataset.images), note="")
        subject = _judge(
            dataset, (model, detector, form.value), data, lambda: progress.update(task, advance=1)
        )
    shares = _shares(subject, share, window) if share else {}
    _tell(subject.figures, f"{model or detector} on {subject.data}", shares, as_json=as_json)
    _record(record, {**subject.figures, **_in_points(subject, share, window)})
    if report is not None:
        from streamcount.training.judge.report import write_report

        with console.status("writing the report"):
            console.print(f"Wrote {write_report(subject, report)}.")
    if pictures is not None:
        from streamcount.training.judge.pictures import write_worst

        written = write_worst(dataset, subject.counted, pictures, worst)
        console.print(f"Wrote {len(written)} pictures to {pictures}.")


def _with_scale(dataset: Dataset, model: str) -> Dataset:
    from streamcount.detection.bundle import load_bundle
    from streamcount.training.data.labelled import with_pixel_sizes

    if not model:
        raise ConfigurationError("--scale told is for a --model; other detectors know no size of cells.")
    return with_pixel_sizes(dataset, load_bundle(model).input.cell_diameter_um)


def _comparable(dataset: Dataset, model: str, console: Console) -> Dataset:
    """The set as it is where the model knows its classes, else with all cells as one class; says what is left out."""
    from streamcount.detection.bundle import load_bundle
    from streamcount.detection.tflite import TfliteConfig
    from streamcount.training.data.labelled import as_one_class
    from streamcount.training.judge import ANY_CLASS, class_columns

    bundle = load_bundle(model)
    columns = class_columns(TfliteConfig(model=model).build(), dataset, bundle)
    if columns is None:
        console.print(
            f"The labels name {', '.join(dataset.class_names)}, {bundle.name} {', '.join(bundle.class_names)}: all "
            "cells are judged as one class.", highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
        return as_one_class(dataset, ANY_CLASS)
    unlabelled = [name for name, column in zip(bundle.class_names, columns, strict=True) if column < 0]
    if unlabelled:
        console.print(f"No label names {', '.join(unlabelled)}: such finds are left out.", highlight=False)
    return dataset


def _tell(
    measured: Mapping[str, Mapping[str, Any]], title: str, shares: dict[str, float], *, as_json: bool
) -> None:
    """Print the figures, as tables or as JSON."""
    if as_json:
        plain = {f: {n: asdict(o) for n, o in classes.items()} for f, classes in measured.items()}
        typer.echo(json.dumps({**plain, **({"shares": shares} if shares else {})}, indent=2))
        return
    for name, figures in measured.items():
        print_figures(f"{title}: {name}", figures)
    for line, value in shares.items():
        output_console().print(f"{line}: {value:.2f} points")


def _record(bundle: str, measured: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the figures into a bundle's model.toml, where one is named."""
    if bundle:
        from streamcount.detection.bundle import find_bundle
        from streamcount.training.modelfile import record_figures

        record_figures(find_bundle(bundle), measured)


def _is_second_stage(model: str) -> bool:
    from streamcount.detection.bundle import CROP_CLASSIFICATION, load_bundle

    return load_bundle(model).task == CROP_CLASSIFICATION


def _judge_shapes(
    dataset: Dataset, chosen: tuple[str, str, str], data: Path, console: Console
) -> ShapeSubject:
    """chosen: the model, the first model or "", and the form."""
    from streamcount.cli._evaluate_shapes import judge_shapes

    model, first, form = chosen
    with progress_bar(console) as progress:
        task = progress.add_task("finding cells", total=len(dataset.images), note="")
        return judge_shapes(dataset, model, form, first, data, lambda: progress.update(task, advance=1))


def _judge(dataset: Dataset, chosen: tuple[str, str, str], data: Path, tick: Callable[[], None]) -> Subject:
    """chosen: the model, or else the kind of detector, and the form."""
    from streamcount.training.judge import class_columns, figures, find_all
    from streamcount.training.judge.report import Subject

    model, kind, form = chosen
    where = f"{data.parent.name}/{data.name}" if data.name in ("train", "val") else data.name
    if model:
        from streamcount.detection.bundle import find_bundle, load_bundle
        from streamcount.training.compile import all_figures, counted_finds, in_words_of, ranked_finds

        folder = find_bundle(model)
        ranked = ranked_finds(folder, dataset, form, tick)
        counted = counted_finds(folder, dataset, form, tick)
        told = in_words_of(load_bundle(model), dataset)
        name = form if dataset.images[0].pixel_size_um is None else f"{form}, scale told"
        return Subject(model, where, told, ranked, counted, all_figures(name, told, ranked, counted))
    detector = build_detector(kind)
    columns = class_columns(detector, dataset, None)
    # A detector of other classes can still be judged on all cells as one.
    numbers = columns if columns is not None else [0] * len(detector.model.class_names)
    finds = find_all(detector, dataset, numbers, tick)
    measured = figures(dataset, finds, finds, by_class=columns is not None)
    return Subject(kind, where, dataset, finds, finds, {kind: measured})


def _in_points(subject: Subject, share: str, window: int) -> dict[str, dict[str, dict[str, float]]]:
    """The errors of a class's share, and of confluence where there are outlines, for model.toml, in points."""
    import numpy as np

    from streamcount.training.judge.breakdown import confluence_errors

    told = {}
    if share:
        apart, any_window, mean, bias = _shares(subject, share, window).values()
        told[f"share of {share} over {window} images"] = {
            "mean_error": mean, "bias": bias, "largest": any_window, "largest_apart": apart,
        }  # fmt: skip
    errors = confluence_errors(subject.dataset, subject.counted)
    if errors is not None:
        sizes = np.abs(errors)
        told["confluence"] = {
            "mean_error": float(sizes.mean()), "bias": float(errors.mean()), "largest": float(sizes.max()),
        }  # fmt: skip
    rounded = {what: {key: round(value, 3) for key, value in of.items()} for what, of in told.items()}
    return {f"{next(iter(subject.figures))}, in points": rounded} if rounded else {}


def _shares(subject: Subject, name: str, window: int) -> dict[str, float]:
    """The errors of a class's share of all cells, by what they are."""
    import numpy as np

    from streamcount.training.judge.breakdown import share_errors

    names = subject.dataset.class_names
    if name not in names:
        raise ConfigurationError(f"--share {name!r} is no class of the data; take one of {', '.join(names)}.")
    errors = share_errors(subject.dataset, subject.counted, names.index(name), window)
    if not len(errors):
        raise ConfigurationError(f"--window {window} is more than the {len(subject.dataset.images)} images.")
    what = f"share of {name} over {window} successive images"
    return {
        f"{what}, largest error of windows one after the other": float(np.abs(errors[::window]).max()),
        f"{what}, largest error of windows from every image on": float(np.abs(errors).max()),
        f"{what}, mean error": float(np.abs(errors).mean()),
        f"{what}, bias": float(errors.mean()),
    }
