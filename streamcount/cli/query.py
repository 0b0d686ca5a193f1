"""`streamcount query`: questions to the store, answered as a table, CSV or a plot."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcount.cli._options import ConfigFile, duration_ns

if TYPE_CHECKING:
    from streamcount.sinks.store.postgres import PostgresConfig
    from streamcount.sinks.store.questions import Answer, Store, Wanted
    from streamcount.sinks.store.sqlite import SqliteConfig


class Question(StrEnum):
    """What can be asked."""

    cameras = "cameras"
    counts = "counts"
    figures = "figures"
    events = "events"
    alerts = "alerts"
    lineage = "lineage"


def query(
    question: Annotated[Question, typer.Argument(help="What to ask.", show_default=False)],
    sink: Annotated[
        str | None, typer.Option(help="Which of [sinks].", show_default="the first that is a database")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="A SQLite file, in place of --sink.")] = None,
    config: ConfigFile = None,
    camera: Annotated[str | None, typer.Option(help="Only this camera.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run; for lineage, the last by default.")] = None,
    track: Annotated[int | None, typer.Option(help="For lineage: the cell's track id.")] = None,
    cell_class: Annotated[str | None, typer.Option("--class", help="Only this class.")] = None,
    figure: Annotated[str | None, typer.Option(help="For figures: only this one, such as viability.")] = None,
    window: Annotated[str | None, typer.Option(help="For figures: only windows of this name.")] = None,
    zone: Annotated[str | None, typer.Option(help="For figures: only this zone.")] = None,
    kind: Annotated[str | None, typer.Option(help="For events: only this kind, such as CellDied.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From then on: 2026-01-31 or 2026-01-31T12:00Z."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before then.")] = None,
    every: Annotated[
        str, typer.Option(metavar="STEP", help="For counts: step of time: 10s, 5m, 1h, 1d.")
    ] = "1m",
    limit: Annotated[int, typer.Option(min=0, help="Most rows; 0 for all.")] = 0,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, times in nanoseconds since 1970 UTC.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="FILE.svg or .png: counts or figures over time.", dir_okay=False)
    ] = None,
) -> None:
    """Asks the store what was counted: a table, or --csv, or --plot. It reads, and changes nothing.

    Times without a zone are UTC. Plots show means with the band from least to most (counts), or the confidence
    interval (figures), and need the extra `streamcount[lineage]`.

    `streamcount query counts --camera scope-1 --every 10m --plot counts.svg`

    `streamcount query figures --figure viability --csv`

    `streamcount query lineage --camera scope-1 --track 12`
    """
    from streamcount.cli._query import draw, print_csv, print_table
    from streamcount.sinks.store.questions import Wanted, open_store

    if plot is not None and question not in (Question.counts, Question.figures):
        raise typer.BadParameter("only counts and figures can be drawn", param_hint="--plot")
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise typer.BadParameter("name a file that ends in .svg or .png", param_hint="--plot")
    if question is Question.lineage and (camera is None or track is None):
        raise typer.BadParameter("lineage needs --camera and --track", param_hint="QUESTION")
    equal = {"name": figure, "window_name": window, "zone": zone} if question is Question.figures else {}
    if question is Question.events:
        equal = {"kind": kind}
    wanted = Wanted(camera, run, cell_class, _time(since, "--from"), _time(until, "--to"), limit, dict(equal))
    step_ns = duration_ns(every, "--every")
    opened = open_store(database(config, sink, store))
    try:
        answer = _ask(opened, question, wanted, step_ns, track)
    finally:
        opened.close()
    if plot is not None:
        draw(answer, plot, question.value)
    if csv:
        print_csv(answer)
    elif plot is None:
        print_table(answer)


def _ask(store: Store, question: Question, wanted: Wanted, step_ns: int, track: int | None) -> Answer:
    from streamcount.sinks.store import questions

    if question is Question.cameras:
        return questions.cameras(store)
    if question is Question.counts:
        return questions.counts(store, wanted, step_ns)
    if question is Question.lineage:
        return questions.lineage(store, wanted.camera or "", track or 0, wanted.run)
    asked = {Question.figures: questions.figures, Question.events: questions.events}
    return asked.get(question, questions.alerts)(store, wanted)


def database(config: Path | None, name: str | None, file: Path | None) -> SqliteConfig | PostgresConfig:
    """Which database is meant: the file, the sink of this name, or the first one. Raises ConfigurationError."""
    from streamcount.config import load_settings
    from streamcount.errors import ConfigurationError
    from streamcount.sinks.store.postgres import PostgresConfig
    from streamcount.sinks.store.sqlite import SqliteConfig

    if file is not None:
        return SqliteConfig(path=file)
    sinks = load_settings(config).sinks
    found = {
        key: one
        for key, one in sinks.items()
        if isinstance(one, SqliteConfig | PostgresConfig) and name in (None, key)
    }
    if found:
        return next(iter(found.values()))
    if name is None and not sinks:
        return SqliteConfig()
    raise ConfigurationError(
        f"[sinks] has no database {name or ''}".strip() + "; only sqlite and postgres can be asked"
    )


def _time(text: str | None, option: str) -> int | None:
    from datetime import UTC, datetime

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("such as 2026-01-31 or 2026-01-31T12:00Z", param_hint=option) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000) * 10**6
