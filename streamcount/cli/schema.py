"""`streamcount schema`: what the topics hold, for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schema(
    name: Annotated[
        str, typer.Argument(help="`asyncapi.json`, `event.schema.json` or `frames-missing.schema.json`.")
    ] = "asyncapi.json",
    write: Annotated[
        Path | None, typer.Option("--write", metavar="DIR", help="Write all of them into a folder instead.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="Settings, for the topics' names; without it the defaults."
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of the events, or the AsyncAPI document of all topics.

    With them, programs in other languages generate their types and check what they read.
    """
    from importlib.metadata import version

    import msgspec

    from streamcount.config import Settings, load_settings
    from streamcount.wire.schema import schemas

    settings = load_settings(config) if config else Settings()
    documents = schemas(settings.topics.prefix, version("streamcount"))
    texts = {
        key: msgspec.json.format(msgspec.json.encode(value)).decode() for key, value in documents.items()
    }
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        for key, text in texts.items():
            (write / key).write_text(f"{text}\n", "utf-8")
            typer.echo(write / key)
        return
    if name not in texts:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(texts)}.")
    typer.echo(texts[name])
