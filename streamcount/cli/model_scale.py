"""`streamcount model scale`: how large the cells are, as a line for the configuration."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcount.cli._options import Channel, PixelSize, Plane, ValueRange
from streamcount.cli._scale import STEADY, unlike

if TYPE_CHECKING:
    from rich.table import Table

    from streamcount.detection.tflite import TfliteDetector
    from streamcount.types import Frame


def scale(
    name: Annotated[str, typer.Argument(help="Name or folder of a model bundle.", show_default=False)],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES...", help="Pictures, stacks, videos, folders or patterns.", show_default=False
        ),
    ],
    frames: Annotated[int, typer.Option(min=1, help="So many first frames are looked at.")] = 9,
    pixel_size_um: PixelSize = None,
    channel: Channel = None,
    plane: Plane = None,
    value_range: ValueRange = None,
) -> None:
    """Tell how large the cells are in the first frames of a camera, for `cell_diameter_px` in its configuration.

    A model brings a usual cell to the size that it learned. Where neither the pixel size nor the diameter is told, it
    estimates the diameter anew in every frame, which takes a second pass. Where the pixel size is known, the diameter
    in µm is told too: far from the model's own, either the pixel size is wrong or the cells are other ones.

    Example: `streamcount model scale nuclei film.tif`
    """
    import statistics

    from rich.console import Console

    from streamcount.cli._console import output_console
    from streamcount.cli._inputs import find_recordings, input_options
    from streamcount.detection import TfliteConfig
    from streamcount.errors import SourceError

    told = Console(stderr=True)
    detector = TfliteConfig(model=name).build()
    options = input_options(channel, plane, value_range, pixel_size_um)
    recordings = find_recordings(paths, options)
    shots = (shot for recording in recordings for shot in recording.shots())
    seen: list[tuple[str, Frame, float | None]] = []
    for shot in islice(shots, frames):
        with told.status(f"looking at {shot.source}"):
            frame = shot.load()
            seen.append((f"{Path(shot.source).name} {shot.index}", frame, detector.seen_diameter_px(frame)))
    found = [diameter for _, _, diameter in seen if diameter is not None]
    if not found:
        raise SourceError(
            f"model {name} finds no cells whose size is sure in {len(seen)} frames: is it the model for them "
            "(streamcount model list), and are cells in focus? Else measure a cell and set cell_diameter_px."
        )
    console = output_console()
    console.print(_table(seen))
    middle = statistics.median(found)
    console.print(
        f'[cameras.NAME.detector]\nkind = "tflite"\nmodel = "{name}"\ncell_diameter_px = {middle:.3g}',
        markup=False,
        highlight=False,
    )
    unheard = [recording.unheard for recording in recordings if recording.unheard]
    for remark in (*unheard, *_remarks(found, seen[0][1], detector)):
        told.print(remark, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _table(seen: list[tuple[str, Frame, float | None]]) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("frame", overflow="fold")
    table.add_column("diameter, px", justify="right")
    table.add_column("diameter, µm", justify="right")
    for name, frame, diameter in seen:
        pixel_um = frame.metadata.pixel_size_um
        px = "not sure" if diameter is None else f"{diameter:.1f}"
        table.add_row(name, px, "" if diameter is None or pixel_um is None else f"{diameter * pixel_um:.1f}")
    return table


def _remarks(found: list[float], frame: Frame, detector: TfliteDetector) -> list[str]:
    """What makes one doubt that one diameter is right for these frames."""
    import statistics

    remarks = []
    if len(found) > 1:
        low, _, high = statistics.quantiles(found, n=4, method="inclusive")
        if high > STEADY * low:
            remarks.append(
                f"Frames differ: half of them say {low:.3g} to {high:.3g} px. One diameter suits frames of one "
                "magnification only."
            )
    info, pixel_um = detector.bundle.input, frame.metadata.pixel_size_um
    if pixel_um is not None:
        seen_um = statistics.median(found) * pixel_um
        if unlike(seen_um, info.cell_diameter_um):
            remarks.append(
                f"By the pixel size of {pixel_um:g} µm that is {seen_um:.3g} µm; the model expects "
                f"{info.cell_diameter_um:g} µm. Where the cells are so, set cell_diameter_um = {seen_um:.3g}; else "
                "correct the pixel size."
            )
    return remarks
