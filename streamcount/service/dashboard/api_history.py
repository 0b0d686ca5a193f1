"""The API of the past: counts, figures and events over time as JSON, CSV or Parquet, moments, and one cell's life."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import Response

from streamcount.errors import BrokerError, ConfigurationError, FrameError, SinkError, SourceError
from streamcount.service.dashboard.api import (
    LONGEST,
    NAME,
    NO_STORE,
    NOT_FOUND,
    CameraId,
    Dashboard,
    JsonBytes,
    Problem,
    health_of,
)
from streamcount.service.dashboard.health import latency_table
from streamcount.service.dashboard.history import MOST_ROWS, Span, Told
from streamcount.service.dashboard.lives import Family, snapshots_of
from streamcount.service.dashboard.moments import Moment
from streamcount.service.dashboard.past import MS
from streamcount.sinks.tables import Columns, Kind, csv_bytes, parquet_bytes

PARQUET = "application/vnd.apache.parquet"
_NOT_PLAIN = re.compile(r"[^\w.-]+", re.ASCII)
LAST_MS = 4_000_000_000_000
KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("camera", "run", "class_name", "window_name", "name", "zone", "unit", "reasons", "kind", "certainty"), "text"
    ),
    **dict.fromkeys(("mean", "value", "low", "high", "area_px", "area_um2", "y_px", "x_px"), "real"),
}  # fmt: skip

T = TypeVar("T")
Form = Annotated[Literal["json", "csv", "parquet"], Query(alias="format", description="of the answer")]
FromMs = Annotated[int, Query(ge=0, le=LAST_MS, description="from then on, ms since 1970 UTC")]
ToMs = Annotated[int, Query(ge=0, le=LAST_MS, description="before then")]
AtMs = Annotated[int, Query(ge=0, le=LAST_MS, description="when, ms since 1970 UTC")]
Run = Annotated[str, Query(pattern=NAME, description="which run of the camera")]
TrackId = Annotated[int, Path(ge=1, le=LONGEST, description="the cell's track id")]


class Table(msgspec.Struct, frozen=True):
    """Rows under named columns. source: "store", "server" (what it has heard, in its memory) or "kafka".

    truncated: there are more rows, of later times; ask for those from the last time told on, or in longer steps.
    """

    source: str
    columns: list[str]
    rows: list[list[Any]]
    truncated: bool


class Extent(msgspec.Struct, frozen=True):
    """How far back a camera's past is known, ms since 1970 UTC, null where nothing is. has_store: beyond memory."""

    from_ms: int | None
    to_ms: int | None
    has_store: bool


class Snapshot(msgspec.Struct, frozen=True):
    """A picture that was kept of an abnormal cell. reason: for which it was kept; path: where the API has it."""

    name: str
    at_ms: int
    reason: str
    path: str


ANSWERS: dict[tuple[str, str, str], Any] = {
    ("/cameras/{camera_id}/history", "get", "200"): Extent,
    ("/cameras/{camera_id}/history/counts", "get", "200"): Table,
    ("/cameras/{camera_id}/history/figures", "get", "200"): Table,
    ("/cameras/{camera_id}/history/events", "get", "200"): Table,
    ("/health/latencies", "get", "200"): Table,
    ("/cameras/{camera_id}/history/moment", "get", "200"): Moment,
    ("/cameras/{camera_id}/tracks/{track_id}/sizes", "get", "200"): Table,
    ("/cameras/{camera_id}/tracks/{track_id}/family", "get", "200"): Family,
    ("/cameras/{camera_id}/tracks/{track_id}/snapshots", "get", "200"): list[Snapshot],
}
UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "the store or Kafka cannot be asked now"}
}
TRUNCATED = "X-Streamcount-Truncated"
FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the table; a file's name ends in -truncated where it is",
        "content": {"text/csv": {}, PARQUET: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            TRUNCATED: {
                "description": f"1 where there are more rows, of later times; {MOST_ROWS} are told at most",
                "schema": {"type": "string", "enum": ["1"]},
            }
        },
    },
    501: {"model": Problem, "description": "Parquet needs pyarrow"},
    **NOT_FOUND,
    **UNAVAILABLE,
}


def add_history(router: APIRouter, dashboard: Dashboard) -> None:
    """Adds the routes of the past; `ANSWERS` are what they answer, for the API's description."""
    _add_tables(router, dashboard)
    _add_moments(router, dashboard)
    _add_cells(router, dashboard)


def _add_tables(router: APIRouter, dashboard: Dashboard) -> None:
    history = dashboard.history

    @router.get(
        "/cameras/{camera_id}/history",
        summary="How far back the past is known",
        responses={**NOT_FOUND, **UNAVAILABLE},
    )
    def extent(camera_id: CameraId) -> JsonBytes:
        first_ns, last_ns = _known(dashboard, camera_id)
        return JsonBytes(Extent(_ms(first_ns), _ms(last_ns), history.has_store))

    @router.get("/cameras/{camera_id}/history/counts", summary="Cells per frame over time", responses=FORMS)
    def counts(
        camera_id: CameraId,
        from_ms: FromMs = 0,
        to_ms: ToMs = LAST_MS,
        every_ms: Annotated[int, Query(ge=1, le=LAST_MS, description="step of time")] = 1000,
        form: Form = "json",
    ) -> Response:
        _known(dashboard, camera_id)
        told = _asked(lambda: history.counts(camera_id, _span(from_ms, to_ms), every_ms * MS))
        return table(told, form, f"{camera_id}-counts")

    @router.get(
        "/cameras/{camera_id}/history/figures",
        summary="Figures of windows over time, with their intervals",
        responses=FORMS,
    )
    def figures(
        camera_id: CameraId,
        from_ms: FromMs = 0,
        to_ms: ToMs = LAST_MS,
        figure: Annotated[str, Query(max_length=64, description="only this one, such as viability")] = "",
        window: Annotated[str, Query(max_length=64, description="only windows of this name")] = "",
        form: Form = "json",
    ) -> Response:
        _known(dashboard, camera_id)
        span = _span(from_ms, to_ms)
        told = _asked(lambda: history.figures(camera_id, span, figure or None, window or None))
        return table(told, form, f"{camera_id}-{figure or 'figures'}")

    @router.get("/cameras/{camera_id}/history/events", summary="What happened, by time", responses=FORMS)
    def events(
        camera_id: CameraId, from_ms: FromMs = 0, to_ms: ToMs = LAST_MS, form: Form = "json"
    ) -> Response:
        _known(dashboard, camera_id)
        told = _asked(lambda: history.events(camera_id, _span(from_ms, to_ms)))
        return table(told, form, f"{camera_id}-events")

    @router.get(
        "/health/latencies",
        summary="How long frames took in the last five minutes: frames by camera and bin",
        responses={status: FORMS[status] for status in (200, 501)},
    )
    def latencies(form: Form = "json") -> Response:
        return table(Told("server", latency_table(health_of(dashboard).cameras)), form, "latencies")


def _add_moments(router: APIRouter, dashboard: Dashboard) -> None:
    @router.get(
        "/cameras/{camera_id}/history/moment",
        summary="The camera at a time: count, cells, and whether the picture is still kept",
        responses={**NOT_FOUND, **UNAVAILABLE},
    )
    def moment(camera_id: CameraId, at_ms: AtMs) -> JsonBytes:
        _known(dashboard, camera_id)
        return JsonBytes(_asked(lambda: dashboard.moments.at(camera_id, at_ms * MS)))

    @router.get(
        "/cameras/{camera_id}/history/picture",
        summary="The picture of a frame of the past as JPEG, while Kafka keeps it",
        responses={200: {"content": {"image/jpeg": {}}}, **NOT_FOUND, **UNAVAILABLE},
    )
    def picture(
        camera_id: CameraId,
        run: Run,
        sequence: Annotated[int, Query(ge=0, le=LONGEST, description="which frame of the run")],
        at_ms: AtMs,
        width: Annotated[int, Query(ge=16, le=4096, description="about how wide, pixels")] = 1280,
    ) -> Response:
        _known(dashboard, camera_id)
        found = _asked(lambda: dashboard.moments.picture((camera_id, run, sequence), at_ms))
        if found is None:
            raise HTTPException(404, "there is no such picture, or Kafka no longer keeps it")
        try:
            data = dashboard.pictures.jpeg(camera_id, found, width)
        except FrameError as error:
            raise HTTPException(404, f"the frame cannot be shown: {error}") from error
        return Response(data, media_type="image/jpeg", headers=NO_STORE)


def _add_cells(router: APIRouter, dashboard: Dashboard) -> None:
    lives = dashboard.lives
    path = "/cameras/{camera_id}/tracks/{track_id}"

    @router.get(f"{path}/sizes", summary="A cell's size over time", responses=FORMS)
    def sizes(camera_id: CameraId, track_id: TrackId, run: Run, form: Form = "json") -> Response:
        _known(dashboard, camera_id)
        told = _asked(lambda: lives.sizes(camera_id, run, track_id))
        return table(told, form, f"{camera_id}-cell-{track_id}")

    @router.get(
        f"{path}/family", summary="A cell's ancestors and descendants", responses={**NOT_FOUND, **UNAVAILABLE}
    )
    def family(camera_id: CameraId, track_id: TrackId, run: Run) -> JsonBytes:
        _known(dashboard, camera_id)
        return JsonBytes(_asked(lambda: lives.family(camera_id, run, track_id)))

    @router.get(
        f"{path}/tree",
        summary="The family as a tree, SVG",
        responses={
            200: {"content": {"image/svg+xml": {}}},
            501: {"model": Problem, "description": "trees need matplotlib"},
            **NOT_FOUND,
            **UNAVAILABLE,
        },
    )
    def tree(camera_id: CameraId, track_id: TrackId, run: Run) -> Response:
        _known(dashboard, camera_id)
        data = _asked(lambda: lives.tree(camera_id, run, track_id))
        return Response(data, media_type="image/svg+xml", headers=NO_STORE)

    @router.get(
        f"{path}/snapshots",
        summary="Pictures that are kept of the cell where it was abnormal",
        responses={**NOT_FOUND, **UNAVAILABLE},
    )
    def snapshots(camera_id: CameraId, track_id: TrackId, run: Run) -> JsonBytes:
        _known(dashboard, camera_id)
        found = _asked(lambda: lives.snapshots(camera_id, run, track_id))
        base = f"/api/v1/cameras/{camera_id}/tracks/{track_id}/snapshot?run={run}&reason="
        return JsonBytes(
            [
                Snapshot(one.snapshot, one.happened_at_ns // MS, one.reason, base + one.reason)
                for one, kept in found
                if kept
            ]
        )

    @router.get(
        f"{path}/snapshot",
        summary="One of those pictures as JPEG",
        responses={200: {"content": {"image/jpeg": {}}}, **NOT_FOUND, **UNAVAILABLE},
    )
    def snapshot(
        camera_id: CameraId,
        track_id: TrackId,
        run: Run,
        reason: Annotated[str, Query(max_length=40, description="for which it was kept")],
    ) -> Response:
        _known(dashboard, camera_id)
        found = _asked(lambda: snapshots_of(lives.events(camera_id, run, track_id), track_id))
        event = next((one for one in found if one.reason == reason), None)
        data = None if event is None else _asked(lambda: dashboard.past.snapshot(event))
        if data is None:
            raise HTTPException(404, "no such picture was kept, or it is no longer in Kafka")
        return Response(data, media_type="image/jpeg", headers=NO_STORE)


def table(told: Told, form: str, name: str) -> Response:
    """The answer in the form that was asked for; files carry the name and a suffix."""
    answer = told.answer
    headers = {TRUNCATED: "1"} if answer.truncated else {}
    if form == "json":
        rows = [list(row) for row in answer.rows]
        return JsonBytes(Table(told.source, list(answer.columns), rows, answer.truncated), headers=headers)
    columns: Columns = {column: [row[i] for row in answer.rows] for i, column in enumerate(answer.columns)}
    try:
        data = csv_bytes(columns) if form == "csv" else parquet_bytes(columns, KINDS)
    except ConfigurationError as error:
        raise HTTPException(501, str(error)) from error
    # What is asked for is part of the name, and a header takes less than a question does.
    plain = _NOT_PLAIN.sub("-", f"{name}-truncated" if answer.truncated else name)
    headers |= {**NO_STORE, "Content-Disposition": f'attachment; filename="{plain}.{form}"'}
    return Response(data, media_type="text/csv" if form == "csv" else PARQUET, headers=headers)


def _known(dashboard: Dashboard, camera_id: str) -> tuple[int | None, int | None]:
    """From when to when the camera is known. Raises HTTPException 404 where nobody has heard of it."""
    extent = _asked(lambda: dashboard.history.extent_ns(camera_id))
    if extent is None and dashboard.model.look_any(camera_id, lambda one: True) is None:
        raise HTTPException(404, f"there is no camera {camera_id}")
    return extent or (None, None)


def _asked(what: Callable[[], T]) -> T:
    try:
        return what()
    except SourceError as error:
        raise HTTPException(404, str(error)) from error
    except ConfigurationError as error:
        raise HTTPException(501, str(error)) from error
    except (BrokerError, SinkError) as error:
        raise HTTPException(503, str(error)) from error


def _span(from_ms: int, to_ms: int) -> Span:
    return Span(from_ms * MS, to_ms * MS)


def _ms(time_ns: int | None) -> int | None:
    return None if time_ns is None else time_ns // MS
