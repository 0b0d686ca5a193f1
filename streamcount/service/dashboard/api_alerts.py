"""The API's routes of one alert, of acknowledging it, and of trying a rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from streamcount.errors import BrokerError, ConfigurationError, FrameError, SinkError, SourceError
from streamcount.service.dashboard.alerting import (
    LONGEST_NAME,
    LONGEST_REMARK,
    AlertDetail,
    Known,
    acknowledge,
    cells_of_alert,
    detail,
    find_alert,
    find_stored,
    picture_of,
)
from streamcount.service.dashboard.api import NO_STORE, POSTED, Dashboard, JsonBytes, Problem
from streamcount.service.dashboard.api_history import FORMS, Form, Table, table
from streamcount.service.dashboard.bodies import body_of
from streamcount.service.dashboard.cells import Cells
from streamcount.service.dashboard.history import Told
from streamcount.service.dashboard.trial import LONGEST_RULE, TOPIC, Trial, trial_table, try_rule
from streamcount.service.dashboard.views import event_row

LONGEST_ID = 400
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
TextQuery = Annotated[str, Query(max_length=LONGEST_NAME, description="as it is posted")]

AlertId = Annotated[str, Query(min_length=1, max_length=LONGEST_ID, description="the alert's `id`")]


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody has seen an alert. alert: its `id`. who: a name. remark: what is done about it."""

    alert: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID)]
    who: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME, pattern=r"\S")]
    remark: Annotated[str, msgspec.Meta(max_length=LONGEST_REMARK)] = ""


class RuleTried(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and the windows that it is to be tried on.

    rule: TOML, one table [alerts.NAME]. source: "topic", "store" for the one that the page was started with, or
    "store:NAME" for a database of [sinks]. camera, run: only these; "" for all.
    """

    rule: Annotated[str, msgspec.Meta(max_length=LONGEST_RULE)]
    source: Text = TOPIC
    camera: Text = ""
    run: Text = ""


NO_ALERT: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "no such alert, or it is no longer kept; or no picture of it"},
    503: {"model": Problem, "description": "Kafka or the store does not do what is asked"},
}


def add_alerts(router: APIRouter, dashboard: Dashboard) -> None:
    """Adds the routes."""

    @router.get("/alerts/one", summary="One alert with its rule and figures", responses=NO_ALERT)
    def one(alert: AlertId) -> JsonBytes:
        with _told_why():
            return JsonBytes(detail(dashboard, _known(dashboard, alert)))

    @router.get(
        "/alerts/picture",
        summary="The frame at which an alert was raised, as JPEG, while Kafka has it",
        responses={200: {"content": {"image/jpeg": {}}}, **NO_ALERT},
    )
    def picture(
        alert: AlertId,
        width: Annotated[int, Query(ge=16, le=4096, description="about how wide, pixels")] = 640,
    ) -> Response:
        known = _known(dashboard, alert)
        try:
            data = picture_of(dashboard, known, width)
        except (FrameError, SourceError) as error:
            raise HTTPException(404, f"there is no picture: {error}") from error
        except BrokerError as error:
            raise HTTPException(503, str(error)) from error
        return Response(data, media_type="image/jpeg", headers=NO_STORE)

    @router.get(
        "/alerts/cells",
        summary="The cells of the frame at which an alert was raised, while Kafka has them",
        responses=NO_ALERT,
    )
    def cells(alert: AlertId) -> JsonBytes:
        try:
            found = cells_of_alert(dashboard, _known(dashboard, alert))
        except BrokerError as error:
            raise HTTPException(503, str(error)) from error
        if found is None:
            raise HTTPException(404, "the alert is of no one frame")
        return JsonBytes(found)

    @router.post(
        "/alerts/acknowledgements",
        summary="Says that somebody has seen an alert; it changes neither the alert nor what clears it",
        status_code=201,
        responses={**NO_ALERT, **POSTED},
    )
    async def acknowledged(request: Request) -> JsonBytes:
        told = await body_of(request, Acknowledgement)
        known = await run_in_threadpool(_known, dashboard, told.alert)
        try:
            said = await run_in_threadpool(
                acknowledge, dashboard, known, told.who.strip(), told.remark.strip()
            )
        except BrokerError as error:
            raise HTTPException(503, str(error)) from error
        return JsonBytes(event_row(said), status_code=201)

    @router.post(
        "/alerts/trial",
        summary="What a rule would have told of a past run; nothing is sent",
        responses={
            404: {"model": Problem, "description": "there are no such windows"},
            409: {"model": Problem, "description": "the rule is not right"},
            503: NO_ALERT[503],
            **POSTED,
        },
    )
    async def trial(request: Request) -> JsonBytes:
        told = await body_of(request, RuleTried)
        asked = (told.rule, told.source, told.camera, told.run)
        with _told_why():
            return JsonBytes(
                await run_in_threadpool(try_rule, dashboard.settings, dashboard.database, *asked)
            )

    @router.get(
        "/alerts/trial/figures",
        summary="The same as a table: the figure that the rule watches in each window, and where it is raised",
        responses={**FORMS, 409: {"model": Problem, "description": "the rule is not right"}},
    )
    def trial_figures(
        rule: Annotated[str, Query(max_length=LONGEST_RULE, description="TOML, one table [alerts.NAME]")],
        source: TextQuery = TOPIC,
        camera: TextQuery = "",
        run: TextQuery = "",
        form: Form = "json",
    ) -> Response:
        with _told_why():
            answer = trial_table(dashboard.settings, dashboard.database, rule, source, camera, run)
        return table(Told("kafka" if source == TOPIC else "store", answer), form, "trial")


# What the routes answer, and what is posted to them.
ANSWERS: dict[tuple[str, str, str], Any] = {
    ("/alerts/one", "get", "200"): AlertDetail,
    ("/alerts/cells", "get", "200"): Cells,
    ("/alerts/acknowledgements", "post", "201"): dict[str, Any],
    ("/alerts/trial", "post", "200"): Trial,
    ("/alerts/trial/figures", "get", "200"): Table,
}
BODIES: dict[str, Any] = {"/alerts/acknowledgements": Acknowledgement, "/alerts/trial": RuleTried}


@contextmanager
def _told_why() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise HTTPException(409, str(error)) from error
    except SourceError as error:
        raise HTTPException(404, str(error)) from error
    except (BrokerError, SinkError) as error:
        raise HTTPException(503, str(error)) from error


def _known(dashboard: Dashboard, alert_id: str) -> Known:
    try:
        known = find_alert(dashboard, alert_id) or find_stored(dashboard, alert_id)
    except SinkError as error:
        raise HTTPException(503, str(error)) from error
    if known is None:
        raise HTTPException(404, "there is no such alert, or it is no longer kept")
    return known
