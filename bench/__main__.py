"""`make bench`: all measures of speed and memory, in one run, as figures and as ratios to a peer in the same run."""

from __future__ import annotations

import typer

from bench import (
    abnormal,
    chamber,
    confluence,
    figures,
    imports,
    intervals,
    kafka_path,
    models,
    novelty,
    outlines,
    page,
    page_libraries,
    page_workers,
    quality,
    sinks,
    stages,
    tracking,
)
from streamcount.cli._console import output_console

PARTS = {
    "imports": imports.run,
    "stages": stages.run,
    "tracking": tracking.run,
    "models": models.run,
    "quality": quality.run,
    "intervals": intervals.run,
    "chamber": chamber.run,
    "confluence": confluence.run,
    "abnormal": abnormal.run,
    "novelty": novelty.run,
    "outlines": outlines.run,
    "figures": figures.run,
    "sinks": sinks.run,
    "kafka": kafka_path.run,
    "page": page.run,
    "page-workers": page_workers.run,
    "page-libraries": page_libraries.run,
}


def main(
    parts: list[str] = typer.Argument(None, help=f"Which of {', '.join(PARTS)}; all by default."),
) -> None:
    """Measures and prints."""
    console = output_console()
    for name in parts or PARTS:
        console.rule(name)
        PARTS[name](console)


if __name__ == "__main__":
    typer.run(main)
