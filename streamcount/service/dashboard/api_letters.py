"""The API's routes of dead letters: their pictures, and sending them again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from streamcount.errors import BrokerError, FrameError
from streamcount.service.dashboard.api import LONGEST, NO_STORE, POSTED, Dashboard, JsonBytes, Problem
from streamcount.service.dashboard.bodies import body_of
from streamcount.service.dashboard.pictures import scaled_jpeg
from streamcount.service.dead_letters import DeadLetter, letter_image

MOST_LETTERS = 50
MOST_PARTITION = 2**31 - 1

Partition = Annotated[int, Path(ge=0, le=MOST_PARTITION, description="of the topic dead-letters")]
Offset = Annotated[int, Path(ge=0, le=LONGEST, description="in that partition")]


class LetterPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a dead letter lies, as /health tells it."""

    partition: Annotated[int, msgspec.Meta(ge=0, le=MOST_PARTITION)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=LONGEST)]


class ReplayAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters that are to be counted again, under their camera's name with .replay behind it."""

    letters: Annotated[tuple[LetterPlace, ...], msgspec.Meta(min_length=1, max_length=MOST_LETTERS)]


class ReplayTold(msgspec.Struct, frozen=True, kw_only=True):
    """sent: how many were sent again. gone: Kafka no longer has them. passed_over: how many, by the reason."""

    sent: int
    gone: int
    passed_over: dict[str, int]


UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "no such dead letter, or it is no picture"},
    503: {"model": Problem, "description": "Kafka does not do what is asked"},
}


def add_letters(router: APIRouter, dashboard: Dashboard) -> None:
    """Adds the routes."""

    @router.get(
        "/dead-letters/{partition}/{offset}/picture",
        summary="The picture of a frame that could not be counted, where it can be decoded, as JPEG",
        responses={200: {"content": {"image/jpeg": {}}}, **UNKNOWN},
    )
    def picture(
        partition: Partition,
        offset: Offset,
        width: Annotated[int, Query(ge=16, le=4096, description="about how wide, pixels")] = 640,
    ) -> Response:
        letter = _letter(dashboard, partition, offset)
        try:
            data = scaled_jpeg(letter_image(letter, dashboard.settings.limits.frame_pixels), width)
        except FrameError as error:
            raise HTTPException(404, f"it is no picture: {error}") from error
        return Response(data, media_type="image/jpeg", headers=NO_STORE)

    @router.post(
        "/dead-letters/replay",
        summary="Sends dead letters to the workers again, once the cause is mended",
        responses={503: UNKNOWN[503], **POSTED},
    )
    async def replay(request: Request) -> JsonBytes:
        asked = await body_of(request, ReplayAsked)
        places = [(one.partition, one.offset) for one in asked.letters]
        try:
            done = await run_in_threadpool(dashboard.on_demand.replay, places)
        except BrokerError as error:
            raise HTTPException(503, str(error)) from error
        return JsonBytes(ReplayTold(sent=done.sent, gone=done.gone, passed_over=done.passed_over))


ANSWERS: dict[tuple[str, str, str], Any] = {("/dead-letters/replay", "post", "200"): ReplayTold}
BODIES: dict[str, Any] = {"/dead-letters/replay": ReplayAsked}


def _letter(dashboard: Dashboard, partition: int, offset: int) -> DeadLetter:
    try:
        letter = dashboard.on_demand.dead_letter(partition, offset)
    except BrokerError as error:
        raise HTTPException(503, str(error)) from error
    if letter is None:
        raise HTTPException(404, "there is no such dead letter, or Kafka no longer has it")
    return letter
