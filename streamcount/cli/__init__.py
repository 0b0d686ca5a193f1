"""The command line: each command is one file, registered here; heavy libraries load only when a command runs."""

from __future__ import annotations

import sys

import typer

from streamcount.cli.alerts import alerts
from streamcount.cli.broker import broker
from streamcount.cli.camera import camera
from streamcount.cli.check_config import check_config
from streamcount.cli.count import count
from streamcount.cli.dashboard import dashboard
from streamcount.cli.data import data
from streamcount.cli.dead_letters import dead_letters
from streamcount.cli.demo import demo
from streamcount.cli.evaluate import evaluate
from streamcount.cli.export import export
from streamcount.cli.groups import groups
from streamcount.cli.lineage import lineage
from streamcount.cli.model import model
from streamcount.cli.query import query
from streamcount.cli.schema import schema
from streamcount.cli.score import score
from streamcount.cli.sink import sink
from streamcount.cli.snapshots import snapshots
from streamcount.cli.topics import topics
from streamcount.cli.train import train
from streamcount.cli.watch import watch
from streamcount.cli.worker import worker
from streamcount.errors import StreamcountError

app = typer.Typer(
    name="streamcount",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""Counts living cells in microscope pictures: in files at once, or in camera streams over Apache Kafka.

**Try it:** `streamcount demo` runs two cameras, a broker and a worker, and shows the counts.

**Count pictures:** `streamcount count smear.jpg --overlay out/`

**Run it:** `streamcount broker`, `streamcount topics`, `streamcount worker`, `streamcount camera`, each in its own
terminal or as a service; `streamcount watch` shows what they do. All read `streamcount.toml`
(`streamcount check-config` explains it).

Exit codes: 0 fine, 1 unforeseen fault, 2 wrong usage, 3 something differs from what is wanted, 4 configuration,
5 input, 6 model, 7 Kafka, 8 training data, 9 a store.""",
)

for command, panel in (
    (demo, "Begin here"),
    (count, "Begin here"),
    (lineage, "Begin here"),
    (camera, "The service"),
    (worker, "The service"),
    (watch, "The service"),
    (dashboard, "The service"),
    (sink, "The service"),
    (query, "The service"),
    (broker, "Kafka"),
    (topics, "Kafka"),
    (dead_letters, "Kafka"),
    (train, "Models"),
    (evaluate, "Models"),
    (score, "Models"),
    (export, "Models"),
    (check_config, "Reference"),
    (schema, "Reference"),
):
    app.command(
        rich_help_panel=panel,
        no_args_is_help=command in (train, evaluate, score, export, count, lineage, query),
    )(command)

for group, name, panel in (
    (alerts, "alerts", "The service"),
    (groups, "groups", "The service"),
    (snapshots, "snapshots", "The service"),
    (model, "model", "Models"),
    (data, "data", "Models"),
):
    app.add_typer(group, name=name, rich_help_panel=panel)


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(installed_version("streamcount"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Entry point of the `streamcount` command: an error made on purpose is one line and an exit code."""
    try:
        app(prog_name="streamcount")
    except StreamcountError as error:
        typer.secho(f"streamcount: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
