"""`streamcount topics`: make all topics, or check them and say what differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcount.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from streamcount.service.topics import Difference


def topics(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="Settings; without it ./streamcount.toml, else defaults."
        ),
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT[,...]", help="Which Kafka, in place of kafka.bootstrap_servers."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 3 if something differs.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Also set what differs on existing topics. Lower retention deletes records."
        ),
    ] = False,
) -> None:
    """Make the topics that streamcount needs, or check them and say what differs.

    Missing topics are made with the partitions, retention, message size and compression of the
    configuration's [topics] section. Existing ones are compared with it, and a table shows each setting that
    differs; they are only changed with --update, and their number of partitions never is, since cameras
    would move away from their state. Running it again changes nothing.

    Exit code 0: all topics are as wanted. 3: something differs. 7: no Kafka answers, or it refuses.
    """
    from rich.console import Console

    from streamcount.config import load_settings
    from streamcount.service.topics import check_topics, make_topics, topic_specs

    if check and update:
        raise typer.BadParameter("--check changes nothing and --update does; choose one.")
    settings = load_settings(config)
    servers = bootstrap_servers or settings.kafka.bootstrap_servers
    specs = topic_specs(settings)
    copies = settings.topics.replication_factor
    console = Console(highlight=False)
    if check:
        differences = check_topics(specs, replication_factor=copies, bootstrap_servers=servers)
    else:
        report = make_topics(specs, replication_factor=copies, bootstrap_servers=servers, update=update)
        for name in report.made:
            console.print(f"made {name} ({settings.topics.partitions} partitions, {copies} replicas)")
        for change in report.updated:
            console.print(f"set {change.topic}: {change.setting} {change.found} -> {change.wanted}")
        differences = report.differences
    if differences:
        console.print(differences_table(differences))
        raise typer.Exit(ExitCode.DIFFERS)
    console.print(f"{len(specs)} topics at {servers} are as wanted")


def differences_table(differences: Sequence[Difference]) -> Table:
    """One row for each setting that is not as wanted, and below it what can be done, each remedy once."""
    from rich.markup import escape
    from rich.table import Table

    remedies = list(dict.fromkeys(f"{d.setting}: {d.remedy}" for d in differences if d.remedy))
    table = Table(
        title="Topics that differ",
        title_justify="left",
        caption=escape("\n".join(remedies)),
        caption_justify="left",
    )
    for column in ("topic", "setting", "wanted", "found"):
        table.add_column(column, overflow="fold")
    for d in differences:
        table.add_row(d.topic, d.setting, d.wanted, d.found)
    return table
