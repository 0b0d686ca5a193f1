"""What was told in the past: alerts from their topic, windows of a run from wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from streamcount.alerts import AlertSpan, spans
from streamcount.config import Settings
from streamcount.errors import FrameError, SourceError
from streamcount.service.reading import read_topic
from streamcount.sinks.store import PostgresConfig, SqliteConfig
from streamcount.sinks.store.questions import open_store
from streamcount.types import AlertAcknowledged, AlertCleared, AlertRaised, AnyEvent, Event, WindowClosed
from streamcount.wire import decode_event, event_or_none

CLIENT = "streamcount-alerts-past"
# A month of one-minute windows of some six cameras; more would fill the memory.
MOST_WINDOWS = 250_000
_STORES = (".sqlite", ".sqlite3", ".db")
_FILES = (*_STORES, ".jsonl")
# Far cheaper to look for than to decode what is none.
_MARK = b"WindowClosed"


class _Line(msgspec.Struct):
    """Any of the forms in which a line of JSON can hold a window."""

    specversion: str | None = None
    kind: str | None = None
    events: list[msgspec.Raw] | None = None


_LINES, _PLAIN = msgspec.json.Decoder(_Line), msgspec.json.Decoder(AnyEvent)


def told_alerts(settings: Settings) -> tuple[AlertSpan, ...]:
    """All alerts that the topic holds, with their ends. Raises BrokerError."""
    found: list[Event] = []
    for record in read_topic(settings, settings.topics.name("alerts"), client_id=CLIENT):
        event = event_or_none(record.value)
        if isinstance(event, AlertRaised | AlertCleared | AlertAcknowledged):
            found.append(event)
    return spans(found)


def past_windows(settings: Settings, run: str, camera: str | None = None) -> tuple[WindowClosed, ...]:
    """The final windows of a run, each once, in the order in which they were told.

    run: a file of JSON lines (of `streamcount count --output`, of a sink, or events as they are), a folder of such
    files, a SQLite store, or the run_id of a run on the topic `windows`. camera: only this one. Raises SourceError
    where there is no such file or window, SinkError and BrokerError where the store or Kafka cannot be read.
    """
    path, camera = Path(run), camera or ""
    if path.is_dir():
        return _final((one for file in sorted(path.glob("*.jsonl")) for one in _in_lines(file)), camera, path)
    if path.suffix in _STORES and path.exists():
        return stored_windows(SqliteConfig(path=path), "", camera)
    if path.is_file():
        return _final(_in_lines(path), camera, path)
    # A run's name has no slash.
    if path.name != run or path.suffix in _FILES:
        raise SourceError(
            f"{run}: there is no such file or folder; name JSON lines, a SQLite store, or the run_id of a run"
        )
    return topic_windows(settings, run, camera)


def topic_windows(settings: Settings, run: str = "", camera: str = "") -> tuple[WindowClosed, ...]:
    """The final windows that the topic holds, as `past_windows`; of the newest `MOST_WINDOWS` where it holds more.

    run, camera: only these; "" for all.
    """
    found = (one for one in _on_topic(settings) if run in ("", one.run_id))
    return _final(found, camera, f"{run or 'any run'} on {settings.topics.name('windows')}")


def stored_windows(
    database: SqliteConfig | PostgresConfig, run: str = "", camera: str = ""
) -> tuple[WindowClosed, ...]:
    """The final windows of a store, as `topic_windows`."""
    return _final(_in_store(database, run, camera), camera, where_is(database))


def where_is(database: SqliteConfig | PostgresConfig) -> str:
    """Where a store lies, without a password."""
    return str(database.path) if isinstance(database, SqliteConfig) else database.url


def _final(source: Iterable[WindowClosed], camera: str, where: Path | str) -> tuple[WindowClosed, ...]:
    once: dict[str, WindowClosed] = {}
    for one in source:
        if one.final and camera in ("", one.camera_id):
            once[one.event_id] = one
            if len(once) > MOST_WINDOWS:
                del once[next(iter(once))]
    if not once:
        of_whom = f" of camera {camera}" if camera else ""
        raise SourceError(
            f"{where}: no final window{of_whom}; name a file or folder with JSON lines, a SQLite store, or a run "
            "that the topic of windows holds"
        )
    return tuple(sorted(once.values(), key=_order))


def _order(closed: WindowClosed) -> tuple[str, int, int, str]:
    return closed.camera_id, closed.decided_at_ns, closed.window_end_ns, closed.window


def _in_lines(path: Path) -> Iterator[WindowClosed]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if _MARK not in line:
                    continue
                try:
                    yield from _windows(line)
                except (msgspec.DecodeError, FrameError) as error:
                    raise SourceError(f"{path}: line {number} is no line of events: {error}") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}); name another file") from error


def _windows(line: bytes) -> Iterator[WindowClosed]:
    form = _LINES.decode(line)
    events: list[AnyEvent]
    if form.events is not None:
        events = [decode_event(bytes(one)) for one in form.events if _MARK in bytes(one)]
    else:
        events = [decode_event(line) if form.specversion is not None else _PLAIN.decode(line)]
    yield from (one for one in events if isinstance(one, WindowClosed))


def _in_store(database: SqliteConfig | PostgresConfig, run: str, camera: str) -> Iterator[WindowClosed]:
    store = open_store(database)
    try:
        # Of the events, which are many, only those that the far smaller table of windows names.
        newest = (
            "SELECT e.json FROM windows w JOIN events e ON e.message_id = w.message_id "
            "AND e.happened_at_ns = w.happened_at_ns WHERE w.final = 1 AND ? IN ('', w.run) AND ? IN ('', w.camera) "
            "ORDER BY w.decided_at_ns DESC LIMIT ?"
        )
        for (text,) in reversed(store.ask(newest, (run, camera, MOST_WINDOWS)).rows):
            event = decode_event(text.encode())
            if isinstance(event, WindowClosed):
                yield event
    finally:
        store.close()


def _on_topic(settings: Settings) -> Iterator[WindowClosed]:
    for record in read_topic(settings, settings.topics.name("windows"), client_id=CLIENT):
        event = event_or_none(record.value)
        if isinstance(event, WindowClosed):
            yield event
