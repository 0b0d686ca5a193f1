"""What a sink of events is: something that keeps them, each once, however often it is given them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from streamcount.errors import ConfigurationError
from streamcount.types import AnyEvent


class EventSink(Protocol):
    """Keeps events. It belongs to one thread, from `open` to `close`."""

    def open(self) -> None:
        """Makes ready, and mends what a crash left behind; after an error it may be called again.

        Raises SinkError.
        """

    def write(self, events: Sequence[AnyEvent]) -> int:
        """Keeps the events whose `message_id` is not there yet, and returns how many those were.

        When it returns they are lasting: a process killed or a computer without power does not lose them. Raises
        SinkError: none of them, some of them or all may be stored then, and giving them again is right.
        """

    def close(self) -> None:
        """Frees what it holds. Closing twice is fine."""


@runtime_checkable
class RefreshingSink(EventSink, Protocol):
    """A sink that has something to do while no event comes."""

    def refresh(self) -> None:
        """Called about twice a second while it is open, and must return at once where nothing is due.

        Raises SinkError as `write` does.
        """


StoredTopic: TypeAlias = Literal["events", "counts", "windows", "alerts"]
STORED_TOPICS: tuple[StoredTopic, ...] = ("events", "counts", "windows", "alerts")


class SinkOptions(BaseModel):
    """What all sinks share."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    batch_events: int = Field(
        default=2000, ge=1, le=100_000, description="most events that are written at once"
    )
    topics: tuple[StoredTopic, ...] = Field(
        default=STORED_TOPICS, min_length=1, description="which topics it is given"
    )
    begin: Literal["beginning", "end"] = Field(
        default="beginning",
        description="where it begins when it has never run: with all that the topics hold, or with what comes next",
    )
    refused_folder: Path = Field(
        default=Path("streamcount-data/refused"),
        description="where NAME.jsonl holds the records that can never be stored",
    )


def secret_of(variable: str | None) -> str | None:
    """What the environment variable holds, None where none is named. Raises ConfigurationError where it is unset."""
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise ConfigurationError(
            f"the environment variable {variable} is not set; a sink's secret belongs there"
        )
    return value
