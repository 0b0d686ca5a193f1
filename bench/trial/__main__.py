"""`make score`: fifteen simulated films, followed on their true masks with faults put in, and scored.

python -m bench.trial                       all films, true masks with 2 % missed and 1 % clutter
python -m bench.trial --own                 on what the service's own detectors find in the pictures
python -m bench.trial --intensities         on true masks with faults, and the brightness that the pictures give them
python -m bench.trial --distance-only       what is called a division if only distance counts
python -m bench.trial --only fluorescence-1 --frames 60
python -m bench.trial --interval 1200       films of one frame in twenty minutes
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.trial.film import RUN, Faults, Figures, run_film
from bench.trial.scenarios import FRAMES, SECONDS_PER_FRAME, Scenario, scenarios
from streamcount.cli._console import output_console
from streamcount.detection import Detector, TfliteConfig, WatershedConfig
from streamcount.tracking import KalmanConfig

# What the trial asks of linking on true masks.
LEAST_LNK, LEAST_DIVISION_F1, MOST_BIRTHS, LEAST_DEATH_F1 = 0.99, 0.92, 1.05, 0.90
# Any cost will do: two cells near a mother are her daughters.
DISTANCE_ONLY = 1000.0


# A command's arguments are its options.
def main(  # noqa: PLR0913
    only: Annotated[list[str] | None, typer.Option(help="Films by name; may be repeated.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of each film.", min=20)] = FRAMES,
    interval: Annotated[
        float, typer.Option(help="Seconds from one frame to the next.", min=1)
    ] = SECONDS_PER_FRAME,
    own: Annotated[
        bool, typer.Option(help="Detect cells in the pictures instead of the true masks.")
    ] = False,
    intensities: Annotated[
        bool, typer.Option(help="Measure the brightness of what the masks show in the pictures.")
    ] = False,
    distance_only: Annotated[bool, typer.Option(help="Call every near pair of cells a division.")] = False,
    faults: Annotated[bool, typer.Option(help="Leave out 2 % of the cells and put 1 % clutter in.")] = True,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = os.cpu_count() or 1,
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    check: Annotated[bool, typer.Option(help="Exit with 1 where a bar is missed.")] = False,
) -> None:
    """Follows and scores the films, and prints the figures beside the bars."""
    films = [film for film in scenarios(frames, interval) if not only or film.name in only]
    if not films:
        raise typer.BadParameter(
            f"take some of {', '.join(film.name for film in scenarios())}", param_hint="--only"
        )
    tracker = KalmanConfig(division_max_cost=DISTANCE_ONLY) if distance_only else KalmanConfig()
    console = output_console()
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(jobs) as pool:
        work = partial(
            _run,
            tracker=tracker,
            faults=Faults() if faults else Faults(0.0, 0.0),
            folder=Path(folder),
            own=own,
            intensities=intensities,
        )
        told = list(track(pool.map(work, films), "films", len(films), console=Console(stderr=True)))
    console.print(_table(told, own))
    if output is not None:
        output.write_text(json.dumps([one.as_json() for one in told], indent=1) + "\n", encoding="utf-8")
    if check and not all(_bars(told).values()):
        raise typer.Exit(1)


def _run(
    scenario: Scenario, tracker: KalmanConfig, faults: Faults, folder: Path, own: bool, intensities: bool
) -> Figures:
    detector = _detector(scenario) if own else None
    return run_film(scenario, tracker, faults, folder / scenario.name, detector, intensities)


def _detector(scenario: Scenario) -> Detector:
    """The service's own; the models are told how large cells are: the mean side of their boxes in the first frame."""
    models = {"fluorescence": "nuclei", "phase-contrast": "phase-contrast"}
    if scenario.config.modality not in models:
        return WatershedConfig().build()
    _, truth = next(iter(scenario.config.build().truths(RUN)))
    usual_px = float((truth.boxes_px[:, 2:] - truth.boxes_px[:, :2]).mean())
    return TfliteConfig(model=models[scenario.config.modality], cell_diameter_px=usual_px).build()


def _f1(counts: tuple[int, int, int]) -> float:
    true, found, matched = counts
    return 2 * matched / (true + found) if true + found else 1.0


def _sum(told: list[Figures], kind: str) -> tuple[int, int, int]:
    true, found, matched = (sum(getattr(one, kind)[i] for one in told) for i in range(3))
    return true, found, matched


def _mean(told: list[Figures], name: str) -> float:
    return statistics.fmean(one.measures[name] or 0.0 for one in told)


def _bars(told: list[Figures]) -> dict[str, bool]:
    births = _sum(told, "births")
    return {
        "LNK": _mean(told, "LNK") >= LEAST_LNK,
        "division F1": _f1(_sum(told, "divisions")) >= LEAST_DIVISION_F1,
        "births found / true": births[1] <= MOST_BIRTHS * births[0],
        "death F1": _f1(_sum(told, "deaths")) >= LEAST_DEATH_F1,
    }


def _table(told: list[Figures], own: bool) -> Table:
    table = Table(title="on the service's own detections" if own else "on true masks with faults")
    heads = (
        "film", "cells", "LNK", "followed", "TRA", "CT", "TF", "CHOTA", "division F1", "births found / true",
        "death F1", "retracted", "advance ms",
    )  # fmt: skip
    for head in heads:
        table.add_column(head, justify="left" if head == "film" else "right")
    for one in told:
        table.add_row(one.name, str(one.cells), *_figures([one]))
    table.add_section()
    table.add_row("all", str(sum(one.cells for one in told)), *_figures(told), style="bold")
    met = _bars(told)
    table.add_row("bar", "", *(_mark(met, head) for head in heads[2:]))
    return table


def _mark(met: dict[str, bool], head: str) -> str:
    bars = {"LNK": f">= {LEAST_LNK}", "division F1": f">= {LEAST_DIVISION_F1}",
            "births found / true": f"<= {MOST_BIRTHS} x", "death F1": f">= {LEAST_DEATH_F1}"}  # fmt: skip
    return f"{bars[head]} {'met' if met[head] else 'MISSED'}" if head in met else ""


def _figures(told: list[Figures]) -> list[str]:
    births = _sum(told, "births")
    found, made = (sum(one.followed[i] for one in told) for i in range(2))
    return [
        f"{_mean(told, 'LNK'):.4f}",
        f"{made / max(found, 1):.4f}",
        *(f"{_mean(told, name):.4f}" for name in ("TRA", "CT", "TF", "CHOTA")),
        f"{_f1(_sum(told, 'divisions')):.3f}",
        f"{births[1]} / {births[0]}",
        f"{_f1(_sum(told, 'deaths')):.3f}",
        str(sum(one.retracted for one in told)),
        f"{statistics.median(one.advance_ms for one in told):.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
