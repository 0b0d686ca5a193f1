"""What a rule would have told of a past run, for the page: windows come from Kafka or a store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec

from streamcount.alerts import (
    AlertSpan,
    JumpRule,
    LimitRule,
    judged_figures,
    rule_over_windows,
    trial_summary,
    watched_cameras,
    would_have_told,
)
from streamcount.config import Settings
from streamcount.config.load import parse_rule
from streamcount.errors import ConfigurationError
from streamcount.service.alerts.past import stored_windows, topic_windows, where_is
from streamcount.service.dashboard.history import Database
from streamcount.service.dashboard.views import rfc3339
from streamcount.sinks.store import PostgresConfig, SqliteConfig
from streamcount.sinks.store.questions import Answer
from streamcount.types import WindowClosed

TOPIC = "topic"
LAST_NS = 2**63 - 1
GIVEN = "store"
STORE = "store:"
LONGEST_RULE = 10_000
# A year of windows in memory once is enough.
_ONE = threading.Lock()
# What a browser draws without pause; beyond it every second, every third and so on is left out of the drawing alone.
MOST_POINTS = 2000


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The figure that the rule watches, in one window. at: the window's end. low, high: its interval."""

    at: str
    value: float | None
    low: float | None
    high: float | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that the rule would have raised. cleared_at: null where it would still last."""

    camera_id: str
    raised_at: str
    cleared_at: str | None
    value: float | None
    limit: float | None
    reason: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """limit: a fixed one; null where it follows the figure. figures: by camera, at most `MOST_POINTS` of each."""

    rule: str
    summary: list[str]
    alerts: list[Told]
    figure: str
    unit: str
    limit: float | None
    figures: dict[str, list[Point]]


def sources(settings: Settings, database: Database | None) -> dict[str, str]:
    """What windows may be taken from, by the word for it: the topic, the page's store, each database of [sinks]."""
    found = {TOPIC: f"Kafka, topic {settings.topics.name('windows')}"}
    stores = {
        name: sink for name, sink in settings.sinks.items() if isinstance(sink, SqliteConfig | PostgresConfig)
    }
    if database is not None and database not in stores.values():
        found[GIVEN] = f"this page's store ({where_is(database)})"
    return {
        **found,
        **{f"{STORE}{name}": f"store {name} ({where_is(sink)})" for name, sink in stores.items()},
    }


TABLE = (
    "camera", "run", "window_name", "window_start_ns", "window_end_ns", "name", "zone", "class_name", "value", "low",
    "high", "unit", "raised",
)  # fmt: skip


def try_rule(
    settings: Settings, database: Database | None, text: str, source: str, camera: str, run: str
) -> Trial:
    """Judges past windows by a rule, TOML; nothing is sent and nothing kept. camera, run: only these; "" for all.
    database: the page's store.

    Raises ConfigurationError naming what is wrong with the rule, SourceError where there are no such windows,
    BrokerError and SinkError where Kafka or the store cannot be read.
    """
    name, rule, windows, told = _judged(settings, database, text, source, camera, run)
    cameras = watched_cameras(rule, windows)
    return Trial(
        rule=name,
        summary=list(trial_summary(name, rule, windows, told)),
        alerts=[
            Told(
                camera_id=one.raised.camera_id,
                raised_at=rfc3339(one.raised.decided_at_ns),
                cleared_at=None if one.cleared is None else rfc3339(one.cleared.decided_at_ns),
                value=one.raised.value,
                limit=one.raised.limit,
                reason=one.raised.reason,
            )
            for one in told
        ],
        figure=rule.figure,
        unit=next((one.unit for _, one in judged_figures(rule, windows, cameras[0]) if one.unit), ""),
        limit=rule.limit if isinstance(rule, LimitRule) else None,
        figures={one: list(_points(rule, windows, one)) for one in cameras},
    )


def trial_table(
    settings: Settings, database: Database | None, text: str, source: str, camera: str, run: str
) -> Answer:
    """As `try_rule`, a row a window: the figure that the rule watches, and 1 where it would have been raised."""
    _, rule, windows, told = _judged(settings, database, text, source, camera, run)
    rows: list[tuple[Any, ...]] = []
    for one in watched_cameras(rule, windows):
        lasted = [
            (alert.raised.decided_at_ns, alert.end_ns(LAST_NS))
            for alert in told
            if alert.raised.camera_id == one
        ]
        for closed, figure in judged_figures(rule, windows, one):
            raised = any(begin <= closed.decided_at_ns < end for begin, end in lasted)
            rows.append(
                (
                    one, closed.run_id, closed.window, closed.window_start_ns, closed.window_end_ns, figure.name,
                    figure.zone, figure.class_name, figure.value, figure.low, figure.high, figure.unit, int(raised),
                )
            )  # fmt: skip
    return Answer(TABLE, tuple(rows))


def _judged(
    settings: Settings, database: Database | None, text: str, source: str, camera: str, run: str
) -> tuple[str, LimitRule | JumpRule, tuple[WindowClosed, ...], tuple[AlertSpan, ...]]:
    if len(text) > LONGEST_RULE:
        raise ConfigurationError(f"the rule is longer than {LONGEST_RULE} characters")
    name, rules = parse_rule(text, settings.alerts)
    rule = rule_over_windows(name, rules)
    with _ONE:
        windows = _windows(settings, database, source, camera, run)
    return name, rule, windows, would_have_told(name, rules, windows)


def _windows(
    settings: Settings, database: Database | None, source: str, camera: str, run: str
) -> tuple[WindowClosed, ...]:
    if source == TOPIC:
        return topic_windows(settings, run, camera)
    known = sources(settings, database)
    sink = database if source == GIVEN else settings.sinks.get(source.removeprefix(STORE))
    if source not in known or not isinstance(sink, SqliteConfig | PostgresConfig):
        raise ConfigurationError(f"source {source!r} is not known; there are: {', '.join(known)}")
    return stored_windows(sink, run, camera)


def _points(rule: LimitRule | JumpRule, windows: tuple[WindowClosed, ...], camera: str) -> Iterator[Point]:
    found = list(judged_figures(rule, windows, camera))
    for closed, figure in found[:: -(-len(found) // MOST_POINTS) or 1]:
        at = rfc3339(closed.window_end_ns)
        yield Point(at=at, value=figure.value, low=figure.low, high=figure.high)
