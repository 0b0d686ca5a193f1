"""Sinks that keep all events, each once (SQLite, PostgreSQL, Parquet, JSON lines), and that tell others of them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from streamcount.sinks.base import EventSink
from streamcount.sinks.store.alertmanager import AlertmanagerConfig
from streamcount.sinks.store.jsonl import JsonLinesConfig
from streamcount.sinks.store.parquet import ParquetConfig
from streamcount.sinks.store.postgres import PostgresConfig
from streamcount.sinks.store.smtp import SmtpConfig
from streamcount.sinks.store.sqlite import SqliteConfig
from streamcount.sinks.store.webhook import WebhookConfig

SinkConfig: TypeAlias = Annotated[
    SqliteConfig
    | PostgresConfig
    | ParquetConfig
    | JsonLinesConfig
    | WebhookConfig
    | SmtpConfig
    | AlertmanagerConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "AlertmanagerConfig",
    "EventSink",
    "JsonLinesConfig",
    "ParquetConfig",
    "PostgresConfig",
    "SinkConfig",
    "SmtpConfig",
    "SqliteConfig",
    "WebhookConfig",
]
