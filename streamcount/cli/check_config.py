"""`streamcount check-config`: is the configuration right, what applies, and what could be set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from streamcount.config import Settings


def check_config(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="Settings; without it ./streamcount.toml, else defaults."
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every key with its default, bounds and meaning.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Print a commented configuration file to begin with.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As --explain, as a page for the manual.")
    ] = False,
) -> None:
    """Validate the configuration and show every setting that applies.

    Classes that rules, zones and lines name, and the figures of rules, are held against what the cameras' models can
    tell, where these can be read.

    A mistake is told with the key's name and what to write instead. What the file sets is bright, and
    defaults dim. Begin with `streamcount check-config --example > streamcount.toml`.

    Exit code 0: the configuration is right. 4: it is not. 6: a model that it names is missing or damaged.
    """
    from rich.console import Console

    from streamcount.config import explain as explained
    from streamcount.config import load_settings

    if sum((explain, example, markdown)) > 1:
        raise typer.BadParameter("choose one of --explain, --example and --markdown.")
    console = Console(highlight=False)
    if example:
        typer.echo(explained.example(), nl=False)
    elif markdown:
        typer.echo(explained.markdown(), nl=False)
    elif explain:
        _print_keys(console)
    else:
        _print_settings(console, load_settings(config))


def _print_settings(console: Console, settings: Settings) -> None:
    import os

    from rich.markup import escape
    from rich.table import Table

    from streamcount.config.classes import check_classes
    from streamcount.config.explain import effective

    table = Table(title="Settings that apply", title_justify="left")
    for column in ("key", "value", "from"):
        table.add_column(column, overflow="fold")
    for one in effective(settings, os.environ):
        style = "dim" if one.origin == "default" else "bold"
        table.add_row(escape(one.path), escape(one.value), one.origin, style=style)
    console.print(table)
    for words in check_classes(settings):
        console.print(escape(words))
    console.print("The configuration is right.")


def _print_keys(console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from streamcount.config.explain import tables

    for section in tables():
        kind = f", kind {section.kind}" if section.kind else ""
        table = Table(
            title=escape(f"[{section.path}]{kind}: {section.meaning}"), title_justify="left", expand=False
        )
        for column in ("key", "form", "default", "meaning"):
            table.add_column(column, overflow="fold")
        for key in section.keys:
            default = "must be set" if key.required else key.default or "not set"
            table.add_row(escape(key.name), escape(key.form), escape(default), escape(key.meaning))
        console.print(table)
        console.print()
