"""`streamcount export`: a model's net in another compiled form."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from streamcount.cli._options import need_training_extra
from streamcount.errors import ConfigurationError, TrainingError


class Form(StrEnum):
    """What to write."""

    int8 = "int8"
    float32 = "float32"
    keras = "keras"


def _option(help_text: str, **limits: Any) -> Any:
    return typer.Option(help=help_text, **limits)


def export(
    model: Annotated[str, typer.Argument(help="Name or folder of a model bundle.", show_default=False)],
    output: Annotated[Path, _option("File to write: .tflite, or .keras for the form keras.")],
    form: Annotated[Form, _option("Full int8 with uint8 input, float32, or a Keras file.")] = Form.float32,
    size: Annotated[
        str, _option("HEIGHTxWIDTH of the input, for accelerators that want it fixed; else any size.")
    ] = "",
    data: Annotated[
        Path | None, _option("Labelled images that set the scales of int8, such as those trained on.")
    ] = None,
) -> None:
    """Compile a model's net again: with a fixed input size, in float32, or as a Keras file to go on from.

    The bundle itself stays as it is. Its weights are kept with 16 bits, so the result may differ from the
    bundle's own files in the third decimal.

    Example: `streamcount export nuclei --form int8 --size 512x512 --data nuclei-images --output nuclei-512.tflite`
    """
    size_px = _size(size)
    if form is not Form.keras and output.suffix != ".tflite":
        raise ConfigurationError(f"--output {output} must end in .tflite.")
    if form is Form.keras and output.suffix != ".keras":
        raise ConfigurationError(f"--output {output} must end in .keras.")
    if form is Form.int8 and data is None:
        raise TrainingError("int8 needs images to set its scales by: give --data, some fifty will do.")
    need_training_extra()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from streamcount.training.compile import typical_inputs
    from streamcount.training.data.read import read_data
    from streamcount.training.reexport import rebuild, write_form

    console = Console(stderr=True)
    with console.status("reading"):
        net, recipe = rebuild(model)
        typical = typical_inputs(read_data(data), recipe) if data is not None else []
    with console.status("compiling"):
        output.parent.mkdir(parents=True, exist_ok=True)
        written = write_form(net, form.value, output, typical, size_px)
    console.print(f"Wrote {output}, {written / 1e3:.0f} kB.")


def _size(text: str) -> tuple[int | None, int | None]:
    if not text:
        return (None, None)
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or any(int(side) % 32 or not int(side) for side in found.groups()):
        raise ConfigurationError(
            f"--size {text!r} must be HEIGHTxWIDTH, both multiples of 32, such as 480x640."
        )
    return int(found[1]), int(found[2])
