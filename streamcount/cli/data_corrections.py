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
) -> None:
    """Make a training set of the frames that were corrected on the live page.

    A frame's labels are the cells that were found in it, with its corrections applied in order. Only frames of which
    the last saving says `Every other cell of this frame is right` are taken: in others, cells that nobody drew would
    teach the net that there are none. Labels are YOLO boxes; frames.csv tells whence each image is.

    Example: `streamcount data corrections corrections --output mine`, then `streamcount data split mine` and
    `streamcount train mine --from blood-smear --output models/mine`
    """
    from rich.console import Console

    from streamcount.training.data.corrected import CorrectedChoice, write_corrected

    made = write_corrected(folder, output, CorrectedChoice(tuple(camera or ()), tuple(model or ())))
    left = f" {made.unchecked} frames were left out: not wholly checked." if made.unchecked else ""
    Console().print(
        f"Wrote {made.frames} frames with {made.cells} cells ({', '.join(made.class_names)}) to {output}.{left}",
        markup=False,
        soft_wrap=True,
    )
