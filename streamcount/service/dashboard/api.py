"""The REST API under /api/v1, and its stream of events; OpenAPI at /api/v1/openapi.json."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, FastAPI, HTTPException, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from streamcount.alerts import AlertSpan
from streamcount.config import Settings
from streamcount.errors import FrameError, SinkError
from streamcount.service.dashboard.camera import CameraLive, CountPoint, Picture
from streamcount.service.dashboard.cells import Cells, cells_of
from streamcount.service.dashboard.corrections import Corrections
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.groups import GroupSummary, groups_of
from streamcount.service.dashboard.health import Health, camera_health
from streamcount.service.dashboard.history import Database, History
from streamcount.service.dashboard.lives import Lives
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.moments import Moments
from streamcount.service.dashboard.on_demand import OnDemand
from streamcount.service.dashboard.past import Past
from streamcount.service.dashboard.past_alerts import PastAlerts
from streamcount.service.dashboard.pictures import ScaledPictures
from streamcount.service.dashboard.views import CameraSummary, clocks, event_row, summary
from streamcount.service.dashboard.writing import Writing
from streamcount.types import AlertRaised

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
LONGEST = 2**63 - 1
STREAM_EVERY_S = 0.2
BEAT_EVERY_S = 15.0

CameraId = Annotated[str, Path(pattern=NAME, description="the camera's name")]


class Problem(BaseModel):
    """Why a request was not served."""

    detail: str = Field(description="what is wrong, in words")


class Dashboard:
    """What all parts of the page share: the model, the feed that fills it, the pictures made of it, and the past.

    database: the store that the past is read from, None where the server's memory must do.
    """

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        model: LiveModel,
        writing: Writing | None = None,
        database: Database | None = None,
    ) -> None:
        self.writing = writing or Writing()
        self.corrections = Corrections(self.writing.corrections, settings.limits.frame_pixels)
        self.settings = settings
        # Messages are numbered anew in each process; with this before it, a number says whose it is.
        self.process = str(time.time_ns() // 10**6)
        self.feed = feed
        self.model = model
        self.pictures = ScaledPictures(settings.limits.frame_pixels)
        # A thread a core: more make no more pictures, and each keeps memory of its own.
        self.making = ThreadPoolExecutor(os.cpu_count() or 1, "pictures")
        self.on_demand = OnDemand(settings, lambda: feed.trouble)
        self.history = History(model, database)
        self.database = database
        self.past_alerts = PastAlerts(database)
        self.past = Past(settings, lambda: feed.wait_until_following(0))
        self.moments = Moments(model, self.history, self.past)
        self.lives = Lives(settings, model, self.history, self.past)

    def close(self) -> None:
        """Ends connections that were opened because somebody asked; not the feed."""
        self.making.shutdown(cancel_futures=True)
        self.on_demand.close()
        self.past.close()

    def shown(self, camera_id: str) -> Picture | None:
        """The picture of a camera that is to be shown now."""
        return self.model.look(camera_id, lambda camera: camera.shown_picture(clocks()[0]))


class JsonBytes(JSONResponse):
    """JSON by msgspec: rows of many cells take FastAPI's own encoder ten times as long."""

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else msgspec.json.encode(content)


def make_api(dashboard: Dashboard) -> FastAPI:
    """The API's application, to be mounted beside the page."""
    # They build on this module.
    from streamcount.service.dashboard import api_alerts, api_corrections, api_history, api_letters

    api = FastAPI(
        title="streamcount",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        description="What the cameras see and what is counted, now. Times are RFC 3339 in UTC.",
    )
    router = APIRouter(prefix="/api/v1", default_response_class=JsonBytes)
    _add_words(router, dashboard)
    _add_pictures(router, dashboard)
    _add_stream(router, dashboard)
    api_corrections.add_corrections(router, dashboard)
    api_alerts.add_alerts(router, dashboard)
    api_letters.add_letters(router, dashboard)
    api_history.add_history(router, dashboard)
    api.include_router(router)
    parts = (api_corrections, api_alerts, api_letters)
    answers = {**ANSWERS, **api_history.ANSWERS}
    bodies: dict[str, Any] = {}
    for part in parts:
        answers |= part.ANSWERS
        bodies |= part.BODIES
    latest: dict[str, Any] = {}

    def described() -> dict[str, Any]:
        # FastAPI makes it anew after routes were added, as those of the page are.
        nonlocal latest
        document = FastAPI.openapi(api)
        if document is not latest:
            _describe(document, answers, bodies)
            latest = document
        return document

    api.openapi = described  # type: ignore[method-assign]
    return api


Answers: TypeAlias = dict[tuple[str, str, str], Any]


# What the answers are; rows of events are described by the schemas of the topics.
ANSWERS: Answers = {
    ("/cameras", "get", "200"): list[CameraSummary],
    ("/cameras/{camera_id}", "get", "200"): CameraSummary,
    ("/cameras/{camera_id}/counts", "get", "200"): list[CountPoint],
    ("/cameras/{camera_id}/events", "get", "200"): list[dict[str, Any]],
    ("/cameras/{camera_id}/windows", "get", "200"): list[dict[str, Any]],
    ("/cameras/{camera_id}/cells", "get", "200"): Cells,
    ("/alerts", "get", "200"): list[dict[str, Any]],
    ("/groups", "get", "200"): list[GroupSummary],
    ("/health", "get", "200"): Health,
}


def _describe(document: dict[str, Any], answers: Answers, bodies: dict[str, Any]) -> None:
    """Puts into an OpenAPI document what routes answer, by (path, method, status), and take, by path.

    Both come of the structs that are sent.
    """
    template = "#/components/schemas/{name}"
    types = (*answers.values(), *bodies.values())
    schemas, components = msgspec.json.schema_components(types, ref_template=template)
    document["components"]["schemas"].update(components)
    for (path, method, status), schema in zip(answers, schemas, strict=False):
        answer = document["paths"][f"/api/v1{path}"][method]["responses"][status]
        answer.setdefault("content", {})["application/json"] = {"schema": schema}
    for path, schema in zip(bodies, schemas[len(answers) :], strict=True):
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        document["paths"][f"/api/v1{path}"]["post"]["requestBody"] = body


NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "no such camera or picture, or none that can be read"}
}
STORE_AWAY: dict[str, Any] = {"model": Problem, "description": "the store cannot be asked now"}
POSTED: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "too long"},
    415: {"model": Problem, "description": "the body is not application/json"},
    422: {
        "description": "the body is not of the form that is asked for",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}},
    },
}
NO_STORE = {"Cache-Control": "no-store"}


def _add_words(router: APIRouter, dashboard: Dashboard) -> None:
    @router.get("/cameras", summary="All cameras, now")
    def cameras() -> JsonBytes:
        with dashboard.model.reading() as found:
            return JsonBytes([summary(camera, *clocks()) for camera in found.values()])

    @router.get("/cameras/{camera_id}", summary="One camera, now", responses=NOT_FOUND)
    def camera(camera_id: CameraId) -> JsonBytes:
        return JsonBytes(_look(dashboard, camera_id, lambda one: summary(one, *clocks())))

    @router.get(
        "/cameras/{camera_id}/counts", summary="Counts of the last hour, one a second", responses=NOT_FOUND
    )
    def counts(camera_id: CameraId) -> JsonBytes:
        return JsonBytes(_look(dashboard, camera_id, lambda one: msgspec.json.encode(list(one.counts))))

    @router.get("/cameras/{camera_id}/windows", summary="Figures of the last windows", responses=NOT_FOUND)
    def windows(camera_id: CameraId) -> JsonBytes:
        return JsonBytes(
            _look(dashboard, camera_id, lambda one: [event_row(window) for window in one.windows])
        )

    @router.get("/cameras/{camera_id}/events", summary="The newest events, oldest first", responses=NOT_FOUND)
    def events(
        camera_id: CameraId,
        limit: Annotated[int, Query(ge=1, le=500, description="how many at most")] = 100,
    ) -> JsonBytes:
        return JsonBytes(
            _look(dashboard, camera_id, lambda one: [event_row(event) for event in list(one.events)[-limit:]])
        )

    @router.get(
        "/alerts", summary="Alerts of all cameras and groups, active or past", responses={503: STORE_AWAY}
    )
    def alerts(
        state: Annotated[Literal["active", "past"], Query(description="which")] = "active",
    ) -> JsonBytes:
        with dashboard.model.reading_all() as found:
            rows = [row for camera in found.values() for row in alert_rows(camera, state)]
        try:
            return JsonBytes(with_stored(rows, dashboard.past_alerts.newest()) if state == "past" else rows)
        except SinkError as error:
            raise HTTPException(503, str(error)) from error

    @router.get("/groups", summary="All groups of cameras, each with its last windows")
    def groups() -> JsonBytes:
        return JsonBytes(groups_of(dashboard.settings, dashboard.model))

    @router.get("/health", summary="Whether the figures can be trusted: Kafka, lag, frames, dead letters")
    def health() -> JsonBytes:
        return JsonBytes(health_of(dashboard))


def _add_pictures(router: APIRouter, dashboard: Dashboard) -> None:
    responses: dict[int | str, dict[str, Any]] = {
        200: {"content": {"image/jpeg": {}}},
        **NOT_FOUND,
    }

    @router.get("/cameras/{camera_id}/picture", summary="A picture as JPEG", responses=responses)
    async def picture(
        camera_id: CameraId,
        width: Annotated[int, Query(ge=16, le=4096, description="about how wide, pixels")] = 640,
        run: Annotated[str, Query(pattern=NAME, description="which run; with sequence")] | None = None,
        sequence: Annotated[int, Query(ge=0, le=LONGEST, description="which frame of it, while it is kept")]
        | None = None,
    ) -> Response:
        if run is not None and sequence is not None:
            found = dashboard.corrections.picture(camera_id, run, sequence) or _look(
                dashboard, camera_id, lambda one: one.picture(run, sequence)
            )
        else:
            found = dashboard.shown(camera_id)
        if found is None:
            raise HTTPException(404, "there is no such picture, or it is no longer kept")
        try:
            data = await run_in_threadpool(dashboard.pictures.jpeg, camera_id, found, width)
        except FrameError as error:
            raise HTTPException(404, f"the frame cannot be shown: {error}") from error
        return Response(
            data, media_type="image/jpeg", headers={**NO_STORE, "X-Sequence": str(found.sequence)}
        )

    @router.get(
        "/cameras/{camera_id}/cells",
        summary="The cells of the picture shown now",
        responses={**NOT_FOUND, 204: {"description": "the picture is the one that is known already"}},
    )
    async def cells(
        camera_id: CameraId,
        after: Annotated[str, Query(max_length=100, description="RUN/SEQUENCE that is known already")] = "",
    ) -> Response:
        shown = dashboard.shown(camera_id)
        if shown is None:
            raise HTTPException(404, "there is no picture of this camera")
        if after == f"{shown.run_id}/{shown.sequence}":
            return Response(status_code=204, headers=NO_STORE)
        return JsonBytes(await run_in_threadpool(shown_cells, dashboard, camera_id, shown))


def _add_stream(router: APIRouter, dashboard: Dashboard) -> None:
    @router.get(
        "/stream",
        summary="Events and alerts as they come (server-sent events); Last-Event-ID goes on where it was",
        description="An id is PROCESS-NUMBER. With one of a server that has ended, or that is none, all that is kept "
        "(2000 messages) is told from the beginning; what was heard before is known by its event's id. Without any, "
        "only what is new is told.",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def stream(request: Request) -> StreamingResponse:
        last = _last_heard(dashboard, request.headers.get("last-event-id", ""))
        return StreamingResponse(
            _messages(dashboard, request, last), media_type="text/event-stream", headers=NO_STORE
        )


def _last_heard(dashboard: Dashboard, known: str) -> int:
    """The number of the message that a client has heard last, by its Last-Event-ID."""
    newest = dashboard.model.last_message
    if not known:
        return newest
    process, _, number = known.partition("-")
    if process != dashboard.process or not (number.isascii() and number.isdigit() and len(number) < 19):
        return 0
    # A number that was not given yet is nobody's: who waited for it would miss all before.
    return int(number) if int(number) <= newest else 0


async def _messages(dashboard: Dashboard, request: Request, last: int) -> AsyncIterator[str]:
    quiet_s = 0.0
    yield ": streamcount\n\n"
    while not await request.is_disconnected():
        found = dashboard.model.messages_after(last)
        for last, event in found:
            body = msgspec.json.encode(event_row(event)).decode()
            yield f"id: {dashboard.process}-{last}\nevent: {event.kind}\ndata: {body}\n\n"
        quiet_s = 0.0 if found else quiet_s + STREAM_EVERY_S
        if quiet_s >= BEAT_EVERY_S:
            # A proxy ends what is silent for too long.
            yield ": still here\n\n"
            quiet_s = 0.0
        await asyncio.sleep(STREAM_EVERY_S)


def shown_cells(dashboard: Dashboard, camera_id: str, shown: Picture) -> Cells:
    """The cells of a picture, of what is kept of tracks and detections."""
    key = (shown.run_id, shown.sequence)
    records = dashboard.model.look(camera_id, lambda one: (one.tracks.get(key), one.detections.get(key)))
    return cells_of(*key, shown.captured_at_ms, records or (None, None))


def alert_rows(camera: CameraLive, state: str) -> list[dict[str, Any]]:
    """A camera's alerts, newest first, each with who has seen it."""

    def row(raised: AlertRaised) -> dict[str, Any]:
        seen = [event_row(one) for one in camera.acknowledged_of(raised)]
        return {**event_row(raised), "acknowledged": seen}

    if state == "active":
        return [row(alert) for alert in reversed(camera.active_alerts.values())]
    return [{**row(past.raised), "cleared": event_row(past.cleared)} for past in reversed(camera.past_alerts)]


def with_stored(rows: list[dict[str, Any]], stored: Iterable[AlertSpan]) -> list[dict[str, Any]]:
    """Rows of past alerts, with those that the store alone still knows, the newest first."""
    known = {row["id"] for row in rows}
    more = [
        {
            **event_row(one.raised),
            "acknowledged": [event_row(seen) for seen in one.acknowledged],
            "cleared": event_row(one.cleared),
        }
        for one in stored
        if one.cleared is not None and one.raised.event_id not in known
    ]
    return sorted([*rows, *more], key=lambda row: -row["decided_at_ns"])


def health_of(dashboard: Dashboard) -> Health:
    """Whether what is shown can be trusted, and what is not well."""
    with dashboard.model.reading() as found:
        cameras = [camera_health(camera, *clocks()) for camera in found.values()]
    return Health(
        kafka=dashboard.feed.address,
        trouble=dashboard.feed.trouble,
        lag=dashboard.feed.lag.lag,
        unreadable_records=dashboard.model.unreadable,
        workers=dashboard.feed.lag.members,
        workers_state=dashboard.feed.lag.state,
        cameras=cameras,
    )


def _look(dashboard: Dashboard, camera_id: str, what: Callable[[CameraLive], Any]) -> Any:
    absent = object()
    found = dashboard.model.look(camera_id, lambda camera: (what(camera), absent))
    if found is None:
        raise HTTPException(404, f"there is no camera {camera_id}")
    return found[0]
