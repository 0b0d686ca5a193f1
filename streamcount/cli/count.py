"""`streamcount count`: cells in files, without a broker."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamcount.cli._console import output_console
from streamcount.cli._options import Channel, Form, PixelSize, Plane, ValueRange, duration_ns
from streamcount.errors import ExitCode, SourceError

if TYPE_CHECKING:
    from rich.console import Console

    from streamcount.cli._counting import FileCounter, Report, Seen
    from streamcount.cli._inputs import Recording
    from streamcount.cli._scale import ScaleJudge
    from streamcount.detection import Detector
    from streamcount.windows import WindowsSetup

_TOLD_ERRORS = 20


class Border(StrEnum):
    """Which cells at the edge count."""

    all = "all"
    whole = "whole"
    counting_frame = "counting-frame"


def count(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Images, folders, TIFF stacks, videos; patterns such as 'a/*.png'."
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Model bundle: a name, or a folder.", show_default="blood-smear")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="'watershed' needs no model; 'tflite' runs --model; 'labels' takes label images for the cells.",
            show_default="tflite",
        ),
    ] = None,
    form: Annotated[
        Form | None, typer.Option(help="Compiled form of the model.", show_default="int8")
    ] = None,
    second_stage: Annotated[
        str | None,
        typer.Option(help="Model that tells the cells of one class apart further, such as red-cell-shapes."),
    ] = None,
    border: Annotated[
        Border, typer.Option(help="Which cells at the image's edge count; see detector.border.")
    ] = Border.all,
    output: Annotated[
        Path | None, typer.Option(help="JSON lines, one a frame; - for standard output.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Folder for pictures with the outlines drawn.", file_okay=False)
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder for 16-bit label PNGs: pixel i + 1 is the i-th detection.", file_okay=False
        ),
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Follow cells from frame to frame: track ids, events.")
    ] = False,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="With --track: a setting of [tracker] in streamcount.toml, such as max_misses=5; may be repeated.",
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="With --track: figures of each window of time: 10s, 5m, 1h; a table, and --csv.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="With --window: all figures of the windows; - for standard output.")
    ] = None,
    ctc: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the tracks in the form of the Cell Tracking Challenge: maskNNNN.tif, res_track.txt.",
            file_okay=False,
        ),
    ] = None,
    pixel_size_um: PixelSize = None,
    cell_diameter_px: Annotated[
        float | None,
        typer.Option(min=4, max=2000, help="Diameter of a usual cell (a red cell in blood), pixels."),
    ] = None,
    cell_diameter_um: Annotated[
        float | None,
        typer.Option(min=0.1, max=1e5, help="The same in µm, where the pixel size is known."),
    ] = None,
    channel: Channel = None,
    plane: Plane = None,
    value_range: ValueRange = None,
    keep_order: Annotated[
        bool,
        typer.Option("--keep-order", help="Take images as given, even where a shell has put t10 before t2."),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Frames detected at once.")] = 2,
) -> None:
    """Count cells in pictures, stacks and videos; no broker needed.

    Prints counts per class for each file. A file that cannot be read is told, the others are counted, and the
    exit code is 5. Pictures are named STEM-HASH-INDEX, HASH being the first 8 digits of the sha256 of the
    line's "source".

    A folder, a stack, a video, or a row of single images is one run for --track. Images are taken by the numbers in
    their names, t2 before t10; where numbers lack, cells are followed over the missing frames, and you are told.
    Windows begin at whole multiples of their length in the time of acquisition, so a run's first and last are rarely
    full, and say so.

    `streamcount count film.tif --track --window 10s --csv windows.csv`
    """
    from rich.console import Console

    from streamcount.cli._counting import FileCounter, Outputs
    from streamcount.cli._inputs import find_recordings, input_options
    from streamcount.cli._options import tracker_config
    from streamcount.cli._scale import ScaleJudge
    from streamcount.cli._tables import count_table
    from streamcount.cli._windows import windows_csv, windows_table
    from streamcount.pipeline import Pipeline
    from streamcount.sinks.ctc import CtcWriter
    from streamcount.sinks.results import STDOUT, ResultWriter

    setup = _windows(window, csv, track, output)
    following = tracker_config(tracker or []) if track else None
    if tracker and not track:
        raise typer.BadParameter("give --track too: else no cell is followed", param_hint="--tracker")
    options = input_options(channel, plane, value_range, pixel_size_um)
    options = replace(options, keep_order=keep_order, labels=detector == "labels")
    asked = {
        "model": model,
        "form": form,
        "second_stage": second_stage,
        "cell_diameter_px": cell_diameter_px,
        "cell_diameter_um": cell_diameter_um,
    }
    built = _detector(detector, border, {key: value for key, value in asked.items() if value is not None})
    told = Console(stderr=True)
    recordings = find_recordings(paths, options)
    for recording in recordings:
        for remark in (recording.unheard, recording.order, recording.gaps if track else None):
            if remark is not None:
                told.print(remark, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if ctc is not None and not (track and len(recordings) == 1):
        raise typer.BadParameter(
            "give --track too, and one run: a folder, a stack, or images in a row", param_hint="--ctc"
        )
    with ExitStack() as stack:
        writer = None if output is None else stack.enter_context(ResultWriter(output))
        tracks = None if ctc is None else stack.enter_context(CtcWriter(ctc))
        pipeline = None if following is None else Pipeline(built, following.build(), windows=setup)
        counter = FileCounter(built, pipeline, Outputs(writer, overlay, masks, tracks), threads)
        judge = ScaleJudge(built, in_um=cell_diameter_um is not None)
        report = _run(recordings, counter, told, judge)
    console = told if STDOUT in (output, csv) else output_console()
    console.print(count_table(report.runs, built.model.class_names))
    if window is not None:
        console.print(windows_table(report.windows))
    if csv is not None:
        with ResultWriter(csv) as lines:
            lines.write(windows_csv(report.windows).rstrip(b"\n"))
    if report.errors:
        lost, counted = len(report.errors), report.frames
        told.print(f"{lost} not counted (see above), {counted} frames counted", style="red", markup=False)
        raise typer.Exit(ExitCode.INPUT)


def _run(recordings: list[Recording], counter: FileCounter, told: Console, judge: ScaleJudge) -> Report:
    """Count all, with a bar on a terminal, errors at once. Raises SourceError where nothing can be read."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    known = [recording.frame_count for recording in recordings]
    total = None if None in known else sum(number or 0 for number in known)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    quiet = not told.is_terminal or total == 1
    with Progress(*columns, console=told, transient=True, disable=quiet) as progress:
        task = progress.add_task("counting", total=total)
        errors = 0

        def done(seen: Seen) -> None:
            nonlocal errors
            progress.advance(task)
            remark = None if seen.frame is None else judge.remark(seen.frame)
            if remark is not None:
                words = f"{seen.shot.source}: {remark}"
                told.print(words, style="yellow", markup=False, highlight=False, soft_wrap=True)
            if seen.error is not None:
                errors += 1
                if errors <= _TOLD_ERRORS:
                    told.print(str(seen.error), style="red", markup=False, highlight=False, soft_wrap=True)
                elif errors == _TOLD_ERRORS + 1:
                    told.print("further errors are only counted", style="red")

        report = counter.count(recordings, done)
    if not report.frames:
        raise SourceError("nothing was counted: none of what was given can be read")
    return report


def _windows(window: str | None, csv: Path | None, track: bool, output: Path | None) -> WindowsSetup | None:
    """The windows that are asked for, under the name of their length."""
    from pydantic import ValidationError

    from streamcount.sinks.results import STDOUT
    from streamcount.windows import WindowConfig, WindowsSetup
    from streamcount.windows.config import NS_PER_S

    if csv is not None and window is None:
        raise typer.BadParameter("give --window too, such as --window 10s", param_hint="--csv")
    if csv == output == STDOUT:
        raise typer.BadParameter("standard output is taken by --output; name a file", param_hint="--csv")
    if window is None:
        return None
    if not track:
        raise typer.BadParameter(
            "give --track too: what happened is known of cells that are followed", param_hint="--window"
        )
    try:
        config = WindowConfig(length_s=duration_ns(window, "--window") / NS_PER_S)
    except ValidationError as error:
        raise typer.BadParameter("at most 366d", param_hint="--window") from error
    return WindowsSetup({window: config})


def _detector(kind: str | None, border: Border, asked: dict[str, Any]) -> Detector:
    """The detector that the options name; asked: of its settings, those that were given. Raises ModelError."""
    from streamcount.detection import LabelsConfig, TfliteConfig, WatershedConfig

    if kind not in (None, "tflite", "watershed", "labels"):
        raise typer.BadParameter("'watershed', 'tflite' or 'labels'", param_hint="--detector")
    if {"cell_diameter_px", "cell_diameter_um"} <= set(asked):
        raise typer.BadParameter(
            "it says what --cell-diameter-px says; leave one of both out", param_hint="--cell-diameter-um"
        )
    if kind in (None, "tflite"):
        return TfliteConfig.model_validate({"border": border.value, **asked}).build()
    for name in ("model", "form", "second_stage"):
        if name in asked:
            hint = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{kind} uses no model; leave one of both out", param_hint=hint)
    if border is not Border.all:
        raise typer.BadParameter(f"{kind} counts all; leave one of both out", param_hint="--border")
    px, um = asked.get("cell_diameter_px"), asked.get("cell_diameter_um")
    if kind == "labels":
        for name in asked:
            hint = f"--{name.replace('_', '-')}"
            raise typer.BadParameter("labels tell their sizes; leave it out", param_hint=hint)
        return LabelsConfig().build()
    if px is not None:
        return WatershedConfig(min_diameter_px=max(3.0, px / 2), max_diameter_px=2 * px).build()
    if um is not None:
        return WatershedConfig(min_diameter_um=um / 2, max_diameter_um=2 * um).build()
    return WatershedConfig().build()
