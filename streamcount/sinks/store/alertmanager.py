"""Alerts to Prometheus' Alertmanager, by its API v2, which then groups, silences and sends them on.

It forgets an alert at its `endsAt`, and all of them when it is started anew, so those that are active are sent again
and again (https://prometheus.io/docs/alerting/latest/alerts_api/).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import Field, field_validator

from streamcount.errors import SinkError
from streamcount.sinks.base import SinkOptions, secret_of
from streamcount.sinks.store.posting import Poster, check_address
from streamcount.sinks.store.sqlite import transaction
from streamcount.types import AlertCleared, AlertRaised, AnyEvent
from streamcount.wire.cloudevents import format_time

PATH = "/api/v2/alerts"
# Of `resend_s`: an alert outlives two posts that fail.
LIFETIMES = 3
# Ends are sent again for so long, as Prometheus does it, lest a restart of Alertmanager swallows one.
ENDED_S = 900.0
# After this, a repeat of an alert that has ended is no more known as one.
FORGET_S = 30 * 86_400.0
_TABLE = """CREATE TABLE IF NOT EXISTS alerts (
    camera TEXT NOT NULL, rule TEXT NOT NULL, raised_at_ns INTEGER NOT NULL, starts_s REAL NOT NULL, ends_s REAL,
    json BLOB NOT NULL, PRIMARY KEY (camera, rule, raised_at_ns))"""


class AlertmanagerConfig(SinkOptions):
    """Alerts sent to Prometheus' Alertmanager, those that are active again and again."""

    kind: Literal["alertmanager"] = Field(description="posts to Alertmanager")
    url: str = Field(
        default="http://127.0.0.1:9093", pattern=r"^https?://", description="its address, without /api"
    )
    token_env: str | None = Field(
        default=None, description="environment variable with a bearer token to show to it"
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="labels to add, beside alertname, camera and severity"
    )
    resend_s: float = Field(
        default=60.0, ge=0.5, le=3600, description="an active alert is sent again after so long, s"
    )
    timeout_s: float = Field(default=10.0, gt=0, le=300, description="longest wait for an answer, s")
    topics: tuple[Literal["alerts"], ...] = Field(
        default=("alerts",), min_length=1, description="which topics it is given"
    )
    path: Path = Field(
        default=Path("streamcount-data/alertmanager.sqlite"),
        description="file in which it notes what is active; one for each sink",
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        return check_address(url)

    @field_validator("labels")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not name.isascii() or not name.isidentifier() or name in ("alertname", "camera", "severity"):
                raise ValueError(f"{name!r} is no name for a label of your own; take letters, digits and _")
        return labels

    def build(self) -> AlertmanagerSink:
        """The sink, not open yet. Raises ConfigurationError where the token is not set."""
        return AlertmanagerSink(self, secret_of(self.token_env))


class AlertmanagerSink:
    """What is active is noted in a file of SQLite first, then posted, so that it outlives both processes.

    Alertmanager tells repeats by the labels, so that sending again doubles nothing.
    """

    def __init__(self, config: AlertmanagerConfig, token: str | None) -> None:
        self._config = config
        self._token = token
        self._poster = Poster(config.url.rstrip("/") + PATH, config.timeout_s)
        self._db: sqlite3.Connection | None = None
        self._posted_s = 0.0

    def open(self) -> None:
        self.close()
        try:
            self._config.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._config.path, isolation_level=None, timeout=5.0)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(_TABLE)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise SinkError(f"{self._config.path} cannot be opened: {error}") from error
        self._poster.open()

    def write(self, events: Sequence[AnyEvent]) -> int:
        db = self._opened()
        now_s = time.time()
        try:
            with transaction(db):
                new = sum(self._note(db, event, now_s) for event in events)
                db.execute("DELETE FROM alerts WHERE ends_s < ?", (now_s - FORGET_S,))
            self._post(db, now_s)
        except sqlite3.Error as error:
            raise SinkError(f"{self._config.path} cannot be written: {error}") from error
        return new

    def refresh(self) -> None:
        # By the monotonic clock: one that is set back would stop the sending.
        if time.monotonic() - self._posted_s >= self._config.resend_s or not self._posted_s:
            self._post(self._opened(), time.time())

    def close(self) -> None:
        self._poster.close()
        db, self._db = self._db, None
        self._posted_s = 0.0
        if db is not None:
            db.close()

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise SinkError(f"{self._config.path} is not open")
        return self._db

    def _note(self, db: sqlite3.Connection, event: AnyEvent, now_s: float) -> int:
        if isinstance(event, AlertRaised):
            # It refuses an alert that begins after it ends, as one from a camera whose clock is ahead would.
            starts_s = min(event.decided_at_ns / 1e9, now_s)
            row = (event.camera_id, event.rule, event.decided_at_ns, starts_s, msgspec.json.encode(event))
            return db.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, NULL, ?)", row).rowcount
        if isinstance(event, AlertCleared):
            return db.execute(
                "UPDATE alerts SET ends_s = ? "
                "WHERE camera = ? AND rule = ? AND raised_at_ns = ? AND ends_s IS NULL",
                (now_s, event.camera_id, event.rule, event.raised_at_ns),
            ).rowcount
        return 0

    def _post(self, db: sqlite3.Connection, now_s: float) -> None:
        body = [
            self._alert(raised, starts_s, ends_s, now_s)
            for raised, starts_s, ends_s in _to_send(db, now_s - ENDED_S)
        ]
        if body:
            headers = {"Content-Type": "application/json"}
            if self._token is not None:
                headers["Authorization"] = f"Bearer {self._token}"
            status = self._poster.post(msgspec.json.encode(body), headers)
            if not 200 <= status < 300:
                raise SinkError(f"{self._poster.name} answers {status}")
        self._posted_s = time.monotonic()

    def _alert(
        self, raised: AlertRaised, starts_s: float, ends_s: float | None, now_s: float
    ) -> dict[str, object]:
        if ends_s is None:
            ends_s = now_s + LIFETIMES * self._config.resend_s
        named = {"alertname": raised.rule, "camera": raised.camera_id, "severity": raised.severity}
        return {
            "labels": {**self._config.labels, **named},
            "annotations": {"summary": raised.reason, "run": raised.run_id, "figure": raised.figure},
            "startsAt": format_time(int(starts_s * 1e9)),
            "endsAt": format_time(int(ends_s * 1e9)),
        }


def _to_send(
    db: sqlite3.Connection, ended_after_s: float
) -> Iterator[tuple[AlertRaised, float, float | None]]:
    """Of each rule and camera the newest alert, unless it has ended long ago: older ones have the same labels."""
    rows = db.execute(
        "SELECT json, starts_s, ends_s, MAX(raised_at_ns) FROM alerts GROUP BY camera, rule "
        "HAVING ends_s IS NULL OR ends_s > ?",
        (ended_after_s,),
    )
    for data, starts_s, ends_s, _ in rows:
        yield msgspec.json.decode(data, type=AlertRaised), starts_s, ends_s
