"""`streamcount data corrections`: what people corrected on the live page, as a training set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def corrections(
    folder: Annotated[
        Path,
        typer.Argument(help="What streamcount dashboard --corrections keeps.", show_default=False),
    ],
    output: Annotated[Path, typer.Option(help="New folder to write.", show_default=False)],
    camera: Annotated[
        list[str] | None, typer.Option(help="Frames of this camera only; may be given again.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Frames counted by this model only; may be given again.")
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Masks instead of boxes, of the model with outlines that counted the frames; by name or folder.",
        ),
    ] = None,
) -> None:
    """Make a training set of the frames that were corrected on the live page.

    A frame's labels are the cells that were found in it, with its corrections applied in order. Only frames of which
    the last saving says `Every other cell of this frame is right` are taken: in others, cells that nobody drew would
    teach the net that there are none. Labels are YOLO boxes; frames.csv tells whence each image is.

    A model that learned from masks goes on from masks: `--masks nuclei` lets it outline its own cells again. Cells
    that were drawn on the page become the ellipse in their box: look at them with `streamcount data check`.

    Example: `streamcount data corrections corrections --output mine`, then `streamcount data split mine` and
    `streamcount train mine --from blood-smear --output models/mine`
    """
    from rich.console import Console

    from streamcount.training.data.corrected import CorrectedChoice, write_corrected
    from streamcount.training.data.outlined import Outliner

    outliner = None if masks is None else Outliner(masks)
    made = write_corrected(folder, output, CorrectedChoice(tuple(camera or ()), tuple(model or ())), outliner)
    left = f" {made.unchecked} frames were left out: not wholly checked." if made.unchecked else ""
    if outliner is not None:
        left += (
            f" {outliner.outlined} cells have the model's outline, {outliner.drawn} the ellipse in their box."
        )
    Console().print(
        f"Wrote {made.frames} frames with {made.cells} cells ({', '.join(made.class_names)}) to {output}.{left}",
        markup=False,
        soft_wrap=True,
    )
