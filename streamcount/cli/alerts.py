"""`streamcount alerts`: watches cameras, lists what was raised, and tries rules on what is past."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcount.cli._options import ConfigFile, StatusHost, StatusPort, run_until_stopped

if TYPE_CHECKING:
    from streamcount.alerts import AlertSpan
    from streamcount.sinks.store.questions import Answer

alerts = typer.Typer(
    name="alerts",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Alerts: watch cameras, list what was raised, try rules on what is past.

The rules are the tables `[alerts.NAME]` of the configuration; docs/alerts.md explains them. Workers judge those over
windows, `streamcount alerts run` those over silence and latency, and `streamcount sink` tells of both by e-mail,
webhook and Alertmanager.""",
)

Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, times in nanoseconds since 1970 UTC.")]


@alerts.command("run")
def run_watcher(
    config: ConfigFile = None,
    port: StatusPort = None,
    host: StatusHost = "127.0.0.1",
) -> None:
    """Watches for cameras that are silent or late: rules of the kinds `silent` and `latency`.

    It tells them to the topics `alerts` and `events`, once each, also when it is killed and started again. Several
    share the cameras. SIGTERM or Ctrl-C ends it with exit code 0.
    """
    from streamcount.config import load_settings
    from streamcount.service.alerts.run import run_alerts, watched_rules
    from streamcount.service.processes import set_up_logging

    set_up_logging()
    settings = load_settings(config)
    watched_rules(settings)
    run_until_stopped(settings, lambda stop: run_alerts(settings, stop, host, port))


@alerts.command("list")
def list_alerts(
    config: ConfigFile = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that are not cleared.")] = False,
    camera: Annotated[str | None, typer.Option(help="Only this camera.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Read this SQLite file, in place of the topic of alerts.")
    ] = None,
    sink: Annotated[
        str | None, typer.Option(help="Read this one of [sinks], in place of the topic of alerts.")
    ] = None,
    csv: Csv = False,
) -> None:
    """Lists alerts, active and past, with when they were cleared.

    The topic holds them for `topics.events_retention_ms`, a store for ever.
    """
    from streamcount.cli._query import print_csv, print_table
    from streamcount.cli.query import database
    from streamcount.config import load_settings
    from streamcount.service.alerts.past import told_alerts
    from streamcount.sinks.store import questions

    if store is not None or sink is not None:
        opened = questions.open_store(database(config, sink, store))
        try:
            answer = questions.alerts(opened, questions.Wanted(camera=camera))
        finally:
            opened.close()
    else:
        answer = with_acknowledgements(told_alerts(load_settings(config)))
    answer = _only(answer, camera, rule, active)
    if csv:
        print_csv(answer)
    else:
        print_table(answer)


@alerts.command("test")
def try_rule(
    rule: Annotated[str, typer.Argument(help="Its name in [alerts].", show_default=False)],
    replay: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="A file or folder of JSON lines, a SQLite store, or the run_id of a run on the topic of windows.",
            show_default=False,
        ),
    ],
    config: ConfigFile = None,
    camera: Annotated[str | None, typer.Option(help="Only this camera.")] = None,
    csv: Csv = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="FILE.svg or .png: the figure over time, the limit, and when it is raised.", dir_okay=False
        ),
    ] = None,
) -> None:
    """Shows when a rule would have been raised and cleared by the windows of a past run.

    Windows are judged as a worker would, and nothing is sent. Rules that hold this one back are judged with it.

    `streamcount alerts test crowded --replay streamcount-data/store.sqlite --camera scope-1 --plot crowded.svg`
    """
    from rich.console import Console

    from streamcount.alerts import rule_over_windows, trial_summary, would_have_told
    from streamcount.cli._alerts import draw_trial
    from streamcount.cli._query import print_csv, print_table
    from streamcount.config import load_settings
    from streamcount.service.alerts.past import past_windows

    settings = load_settings(config)
    chosen = rule_over_windows(rule, settings.alerts)
    windows = past_windows(settings, replay, camera)
    told = would_have_told(rule, settings.alerts, windows)
    if plot is not None:
        draw_trial(rule, chosen, windows, told, plot)
    if csv:
        print_csv(as_answer(told))
        return
    if told:
        print_table(as_answer(told))
    for line in trial_summary(rule, chosen, windows, told):
        Console(highlight=False, soft_wrap=True).print(line, markup=False)


COLUMNS = (
    "camera", "rule", "severity", "raised_at_ns", "cleared_at_ns", "figure", "value", "limit_value", "reason",
)  # fmt: skip


def as_answer(told: tuple[AlertSpan, ...]) -> Answer:
    """Alerts with the columns that a store answers with."""
    from streamcount.sinks.store.questions import Answer

    rows = [
        (
            one.camera_id,
            one.rule,
            one.severity,
            one.decided_at_ns,
            None if end is None else end.decided_at_ns,
            one.figure,
            one.value,
            one.limit,
            one.reason,
        )
        for one, end, _ in told
    ]
    return Answer(COLUMNS, tuple(rows))


def with_acknowledgements(told: tuple[AlertSpan, ...]) -> Answer:
    """The same, and who has said of each that it was seen."""
    from streamcount.sinks.store.questions import Answer

    answer = as_answer(told)
    seen = ["; ".join(f"{one.who}: {one.remark}".rstrip(": ") for one in span.acknowledged) for span in told]
    rows = tuple((*row, words) for row, words in zip(answer.rows, seen, strict=True))
    return Answer((*answer.columns, "acknowledged"), rows)


def _only(answer: Answer, camera: str | None, rule: str | None, active: bool) -> Answer:
    from streamcount.sinks.store.questions import Answer

    place = {name: answer.columns.index(name) for name in ("camera", "rule", "cleared_at_ns")}
    rows = (
        row
        for row in answer.rows
        if camera in (None, row[place["camera"]])
        and rule in (None, row[place["rule"]])
        and not (active and row[place["cleared_at_ns"]] is not None)
    )
    return Answer(answer.columns, tuple(rows))
