"""Sinks that keep all events, each once: SQLite, PostgreSQL, Parquet, JSON lines, and a webhook."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from streamcount.sinks.base import EventSink
from streamcount.sinks.store.jsonl import JsonLinesConfig
from streamcount.sinks.store.parquet import ParquetConfig
from streamcount.sinks.store.postgres import PostgresConfig
from streamcount.sinks.store.sqlite import SqliteConfig
from streamcount.sinks.store.webhook import WebhookConfig

SinkConfig: TypeAlias = Annotated[
    SqliteConfig | PostgresConfig | ParquetConfig | JsonLinesConfig | WebhookConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "EventSink",
    "JsonLinesConfig",
    "ParquetConfig",
    "PostgresConfig",
    "SinkConfig",
    "SqliteConfig",
    "WebhookConfig",
]
