"""`streamcount query`: questions to the store, answered as a table, CSV or a plot."""

from __future__ import annotations

from collections.abc import Mapping
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


_OF_ROWS = frozenset({"--camera", "--run", "--from", "--to", "--limit"})
# Which options go with which question; --sink, --store, --config and --csv go with all.
OPTIONS = {
    Question.cameras: frozenset[str](),
    Question.counts: _OF_ROWS | {"--class", "--every", "--plot"},
    Question.figures: _OF_ROWS | {"--class", "--figure", "--window", "--zone", "--plot"},
    Question.events: _OF_ROWS | {"--class", "--kind", "--track"},
    Question.alerts: _OF_ROWS | {"--figure", "--plot"},
    Question.lineage: frozenset({"--camera", "--run", "--track", "--plot"}),
}


def query(
    question: Annotated[Question, typer.Argument(help="What to ask.", show_default=False)],
    sink: Annotated[
        str | None, typer.Option(help="Which of [sinks].", show_default="the first that is a database")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="A SQLite file, in place of --sink.")] = None,
    config: ConfigFile = None,
    camera: Annotated[str | None, typer.Option(help="Only this camera.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run; for lineage, the last by default.")] = None,
    track: Annotated[int | None, typer.Option(help="For lineage and events: the cell's track id.")] = None,
    cell_class: Annotated[
        str | None, typer.Option("--class", help="For counts, figures and events: only this class.")
    ] = None,
    figure: Annotated[
        str | None, typer.Option(help="For figures and alerts: only this one, such as viability.")
    ] = None,
    window: Annotated[str | None, typer.Option(help="For figures: only windows of this name.")] = None,
    zone: Annotated[str | None, typer.Option(help="For figures: only this zone.")] = None,
    kind: Annotated[str | None, typer.Option(help="For events: only this kind, such as CellDied.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From then on: 2026-01-31 or 2026-01-31T12:00Z."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before then.")] = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="For counts: step of time: 10s, 5m, 1h, 1d.", show_default="1m"),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows; 0 for all.")] = 0,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, times in nanoseconds since 1970 UTC.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="FILE.svg or .png: counts, figures or alerts over time, or the tree of a lineage.",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Asks the store what was counted: a table, or --csv, or --plot. It reads, and changes nothing.

    Times without a zone are UTC. Plots show means with the band from least to most (counts), a panel a figure with
    its confidence interval (figures), when each rule was raised (alerts), or the cell's whole family as a tree
    (lineage), and need the extra `streamcount[lineage]`. An option that does not go with the question is refused.

    `streamcount query counts --camera scope-1 --every 10m --plot counts.svg`

    `streamcount query figures --figure viability --csv`

    `streamcount query lineage --camera scope-1 --track 12 --plot family.svg`
    """
    from streamcount.cli._query import print_csv, print_table, require_names
    from streamcount.sinks.store import questions

    given = {
        "--camera": camera, "--run": run, "--track": track, "--class": cell_class, "--figure": figure,
        "--window": window, "--zone": zone, "--kind": kind, "--from": since, "--to": until, "--every": every,
        "--limit": limit or None, "--plot": plot,
    }  # fmt: skip
    _check_options(question, given)
    equal = {"window_name": window, "zone": zone, "kind": kind, "track_id": track}
    equal["figure" if question is Question.alerts else "name"] = figure
    wanted = questions.Wanted(
        camera, run, cell_class, _time(since, "--from"), _time(until, "--to"), limit, dict(equal)
    )
    step_ns = duration_ns(every or "1m", "--every")
    opened = questions.open_store(database(config, sink, store))
    try:
        answer = _ask(opened, question, wanted, step_ns)
        if not answer.rows:
            if camera is not None:
                questions.require_camera(opened, camera)
            require_names(opened, given, camera)
        if plot is not None:
            _draw(opened, question, wanted, answer, plot)
            typer.echo(f"{plot}: the picture of {question} is written", err=True)
    finally:
        opened.close()
    if csv:
        print_csv(answer)
    elif plot is None:
        print_table(answer, questions.DETAILS if question is Question.events else ())


def _check_options(question: Question, given: Mapping[str, object]) -> None:
    """Raises BadParameter where an option would be left unheard, or one is missing."""
    for option, value in given.items():
        if value is not None and option not in OPTIONS[question]:
            known = ", ".join(sorted(OPTIONS[question])) or "only --sink, --store, --config and --csv"
            raise typer.BadParameter(
                f"does not go with the question {question}, which takes {known}", param_hint=option
            )
    plot = given["--plot"]
    if isinstance(plot, Path) and plot.suffix not in (".svg", ".png"):
        raise typer.BadParameter("name a file that ends in .svg or .png", param_hint="--plot")
    if question is Question.lineage and None in (given["--camera"], given["--track"]):
        raise typer.BadParameter("lineage needs --camera and --track", param_hint="QUESTION")


def _ask(store: Store, question: Question, wanted: Wanted, step_ns: int) -> Answer:
    from streamcount.sinks.store import questions

    if question is Question.cameras:
        return questions.cameras(store)
    if question is Question.counts:
        return questions.counts(store, wanted, step_ns)
    if question is Question.lineage:
        return questions.lineage(store, wanted.camera or "", _track(wanted), wanted.run)
    asked = {Question.figures: questions.figures, Question.events: questions.detailed_events}
    return asked.get(question, questions.alerts)(store, wanted)


def _draw(store: Store, question: Question, wanted: Wanted, answer: Answer, path: Path) -> None:
    from streamcount.cli import _plots
    from streamcount.sinks.store import questions

    if question is Question.lineage:
        from streamcount.lineage.choices import Axis
        from streamcount.lineage.model import family_of
        from streamcount.lineage.stored import read_stored
        from streamcount.lineage.tree import write_tree

        run = read_stored(store, wanted.camera or "", _track(wanted), wanted.run)
        write_tree(run, [family_of(run, _track(wanted))], path, Axis.time)
    elif question is Question.alerts:
        cameras = {row[answer.columns.index("camera")] for row in answer.rows}
        extents = {camera: questions.extent(store, camera) for camera in cameras}
        last_ns = {camera: extent[1] for camera, extent in extents.items() if extent}
        _plots.draw_alerts(answer, last_ns, path)
    else:
        _plots.draw_lines(answer, path)


def _track(wanted: Wanted) -> int:
    return int(wanted.equal["track_id"] or 0)


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
