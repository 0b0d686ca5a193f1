"""A camera's past in figures: from the server's own memory as far as that goes back, else from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from streamcount.errors import SinkError
from streamcount.service.dashboard.camera import CameraLive, CountPoint, Memory
from streamcount.service.dashboard.model import LiveModel
from streamcount.sinks.store import PostgresConfig, SqliteConfig, questions
from streamcount.sinks.store.questions import Answer, Store, Wanted, open_store
from streamcount.types import AnyEvent, CellEvent, WindowClosed
from streamcount.wire import decode_event

# Most rows that a store is asked for.
MOST_ROWS = 20_000

Database = SqliteConfig | PostgresConfig
T = TypeVar("T")

COUNTS = ("camera", "class_name", "start_ns", "mean", "low", "high", "frames")
FIGURES = (
    "camera", "window_name", "window_start_ns", "window_end_ns", "name", "zone", "class_name", "value", "low", "high",
    "unit", "final", "complete", "reasons",
)  # fmt: skip
EVENTS = ("camera", "run", "sequence", "happened_at_ns", "kind", "certainty", "track_id", "class_name")


@dataclass(frozen=True)
class Span:
    """A time, half-open, in nanoseconds since 1970 UTC."""

    from_ns: int
    to_ns: int


@dataclass(frozen=True)
class Told:
    """An answer and who gave it: "server" or "store"."""

    source: str
    answer: Answer


@dataclass(frozen=True)
class Counted:
    """A frame that was counted. counts: cells per class."""

    run_id: str
    sequence: int
    at_ns: int
    total: int
    counts: dict[str, int]


class History:
    """Answers in the columns of `streamcount query`. All methods raise SinkError where the store cannot be asked.

    The store tells MOST_ROWS at most, the first by time; an answer that was cut there says so.

    database: None where there is no store; then the past is what the server has heard.
    """

    def __init__(self, model: LiveModel, database: Database | None = None) -> None:
        self._model = model
        self._database = database

    @property
    def has_store(self) -> bool:
        """Whether the past goes back further than the server's memory."""
        return self._database is not None

    def extent_ns(self, camera_id: str) -> tuple[int, int] | None:
        """Times of the first and the last count that are known; None where there is none."""
        held = self._look(camera_id, lambda one: [point.at_ns for point in one.counts]) or []
        stored = (
            None if self._database is None else self._stored(lambda one: questions.extent(one, camera_id))
        )
        ends = [*held[:1], *held[-1:], *(stored or ())]
        return (min(ends), max(ends)) if ends else None

    def counts(self, camera_id: str, span: Span, every_ns: int) -> Told:
        """Cells per frame in steps of time, as `questions.counts`. The server's memory has one frame a second."""
        held = self._look(camera_id, lambda one: list(one.counts)) or []
        if self._holds(camera_id, "counts", span):
            return Told("server", Answer(COUNTS, _steps(camera_id, held, span, every_ns)))
        wanted = Wanted(camera=camera_id, from_ns=span.from_ns, to_ns=span.to_ns, limit=MOST_ROWS)
        found = self._stored(lambda one: questions.counts(one, wanted, every_ns))
        return Told("store", _whole_times(found, "start_ns"))

    def figures(self, camera_id: str, span: Span, name: str | None = None, window: str | None = None) -> Told:
        """Figures of windows that begin within the span, as `questions.figures`."""
        held = self._look(camera_id, lambda one: [*one.windows, *one.current_windows.values()]) or []
        if self._holds(camera_id, "windows", span):
            rows = _figure_rows(camera_id, held, span, name, window)
            return Told("server", Answer(FIGURES, rows))
        equal: dict[str, Any] = {"name": name, "window_name": window}
        wanted = Wanted(
            camera=camera_id, from_ns=span.from_ns, to_ns=span.to_ns, limit=MOST_ROWS, equal=equal
        )
        found = self._stored(lambda one: questions.figures(one, wanted))
        return Told("store", _whole_times(found, "window_start_ns"))

    def events(self, camera_id: str, span: Span, latest: int = 0) -> Told:
        """Events, each as it was told last, as `questions.events`. latest: so many, the last ones; 0 for all."""
        held = self._look(camera_id, lambda one: list(one.events)) or []
        if self._holds(camera_id, "events", span):
            rows = tuple(_event_row(camera_id, one) for one in _last(held, span)[-latest:])
            return Told("server", Answer(EVENTS, rows))
        limit = latest or MOST_ROWS
        wanted = Wanted(camera_id, from_ns=span.from_ns, to_ns=span.to_ns, limit=limit, latest=latest > 0)
        found = self._stored(lambda one: questions.events(one, wanted))
        return Told("store", found if latest else _whole_times(found, "happened_at_ns"))

    def counted_at(self, camera_id: str, time_ns: int) -> Counted | None:
        """The last frame that is known to have been counted at or before a time."""
        found = self._look(camera_id, lambda one: _at(one, time_ns))
        if found is not None or self._database is None:
            return found
        rows = self._stored(lambda one: questions.counted_at(one, camera_id, time_ns)).rows
        if not rows:
            return None
        run_id, sequence, at_ns = rows[0][:3]
        by_class = {row[3]: int(row[4]) for row in rows if row[:2] == rows[0][:2]}
        return Counted(str(run_id), int(sequence), int(at_ns), by_class.pop("", 0), by_class)

    def family_events(self, camera_id: str, run_id: str, track_id: int) -> list[AnyEvent] | None:
        """Events of a cell and its family from the store; None where it does not know the cell, or there is none."""
        if self._database is None:
            return None
        try:
            rows = self._stored(lambda one: questions.family_events(one, camera_id, track_id, run_id)).rows
        except SinkError:
            return None
        return [decode_event(str(row[0]).encode()) for row in rows]

    def _look(self, camera_id: str, what: Callable[[CameraLive], T]) -> T | None:
        # Groups have figures and alerts over time, as cameras do.
        return self._model.look_any(camera_id, what)

    def _holds(self, camera_id: str, memory: Memory, span: Span) -> bool:
        """To be asked after the memory was looked at: what is dropped meanwhile is then no longer held."""
        # What is remembered first tells nothing: a window of a day begins long before those of minutes beside it,
        # and an alert is remembered for longer than what happened to cells.
        if self._database is None:
            return True
        since_ns = self._model.remembers_since_ns(camera_id, memory)
        return since_ns is not None and since_ns <= span.from_ns

    def _stored(self, ask: Callable[[Store], T]) -> T:
        with opened(self._database) as store:
            return ask(store)


@contextmanager
def opened(database: Database | None) -> Iterator[Store]:
    """The store, for as long as the block lasts. Raises SinkError where there is none, or it cannot be opened."""
    # A connection belongs to the thread that opened it, and requests come on any.
    if database is None:
        raise SinkError("no store was given; start the dashboard with --store or --sink")
    store = open_store(database)
    try:
        yield store
    finally:
        store.close()


def _whole_times(answer: Answer, time: str) -> Answer:
    """An answer that was cut ends with a time of which all rows are there: so all classes end alike."""
    if not answer.truncated:
        return answer
    at = answer.columns.index(time)
    last = max(row[at] for row in answer.rows)
    # Where all is of one time, a part is more than nothing.
    return replace(answer, rows=tuple(row for row in answer.rows if row[at] < last) or answer.rows)


def _at(camera: CameraLive, time_ns: int) -> Counted | None:
    point = next((one for one in reversed(camera.counts) if one.at_ns <= time_ns), None)
    if point is None:
        return None
    return Counted(point.run_id, point.sequence, point.at_ns, point.total, dict(point.counts))


def _steps(
    camera_id: str, points: list[CountPoint], span: Span, every_ns: int
) -> tuple[tuple[Any, ...], ...]:
    cells: dict[tuple[str, int], list[int]] = {}
    for point in points:
        if span.from_ns <= point.at_ns < span.to_ns:
            start_ns = point.at_ns - point.at_ns % every_ns
            for name, count in {**point.counts, "": point.total}.items():
                cells.setdefault((name, start_ns), []).append(count)
    return tuple(
        (camera_id, name, start_ns, sum(found) / len(found), min(found), max(found), len(found))
        for (name, start_ns), found in sorted(cells.items())
    )


def _last_words(windows: list[WindowClosed]) -> list[WindowClosed]:
    """The final word on each window, else the figures so far.

    Of a window in which a run or the settings changed there are several, one for each part.
    """
    final = {one.event_id: one for one in windows if one.final}
    closed = {(one.window, one.window_start_ns, one.run_id) for one in final.values()}
    so_far = {(one.window, one.window_start_ns, one.run_id): one for one in windows if not one.final}
    return [*final.values(), *(one for key, one in so_far.items() if key not in closed)]


def _figure_rows(
    camera_id: str, windows: list[WindowClosed], span: Span, name: str | None, window: str | None
) -> tuple[tuple[Any, ...], ...]:
    last = _last_words(windows)
    rows = [
        (
            camera_id, one.window, one.window_start_ns, one.window_end_ns, figure.name, figure.zone,
            figure.class_name, figure.value, figure.low, figure.high, figure.unit, int(one.final), int(one.complete),
            ",".join(one.reasons),
        )
        for one in last
        if span.from_ns <= one.window_start_ns < span.to_ns and window in (None, one.window)
        for figure in one.figures
        if name in (None, figure.name)
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (row[1], row[4], row[5], row[6], row[2])))


def _last(events: list[AnyEvent], span: Span) -> list[AnyEvent]:
    told = {one.event_id: one for one in events if span.from_ns <= one.happened_at_ns < span.to_ns}
    return sorted(told.values(), key=lambda one: (one.happened_at_ns, one.event_id))


def _event_row(camera_id: str, event: AnyEvent) -> tuple[Any, ...]:
    row = (camera_id, event.run_id, event.sequence, event.happened_at_ns, event.kind)
    if isinstance(event, CellEvent):
        return (*row, event.certainty, event.track_id, event.class_name)
    return (*row, "confirmed", None, None)
