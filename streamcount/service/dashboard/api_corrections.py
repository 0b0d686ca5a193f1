"""The API's routes of corrections: a frame with its cells held still, what is said of it, what was saved."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool

from streamcount.errors import CorrectionError
from streamcount.service.dashboard.api import LONGEST, NAME, POSTED, CameraId, Dashboard, JsonBytes, Problem
from streamcount.service.dashboard.bodies import body_of
from streamcount.service.dashboard.corrections import (
    MOST_NEW_CLASSES,
    OFF,
    HeldFrame,
    NoSuchFrameError,
    counted,
)
from streamcount.types.corrections import (
    LONGEST_REMARK,
    MOST_CORRECTIONS,
    ClassWord,
    CorrectedModel,
    Correction,
    Identifier,
    LabelledCell,
    Saving,
    Sha256,
)

MOST_SAVED = 200


class FrameLabels(msgspec.Struct, frozen=True, kw_only=True):
    """A frame and its cells as they are corrected so far.

    savings: how often its corrections were saved; to be sent with the next. checked: the last said that all else is
    right. new_classes: classes beside the model's that somebody has named.
    """

    camera_id: str
    run: str
    sequence: int
    frame_sha256: str
    width_px: int
    height_px: int
    model: CorrectedModel
    cells: tuple[LabelledCell, ...]
    savings: int
    checked: bool
    new_classes: tuple[str, ...]


class NewCorrections(msgspec.Struct, frozen=True, kw_only=True):
    """Corrections of one frame, in order; docs/dashboard.md tells what they mean.

    savings: as the frame's labels told it, so that nobody corrects what he has not seen. new_classes: more classes,
    beside the model's and those that the labels tell.
    """

    run: Identifier
    sequence: Annotated[int, msgspec.Meta(ge=0, le=LONGEST)]
    frame_sha256: Sha256
    savings: Annotated[int, msgspec.Meta(ge=0, le=10**6)]
    corrections: Annotated[tuple[Correction, ...], msgspec.Meta(max_length=MOST_CORRECTIONS)]
    checked: bool
    remark: Annotated[str, msgspec.Meta(max_length=LONGEST_REMARK)] = ""
    new_classes: Annotated[tuple[ClassWord, ...], msgspec.Meta(max_length=MOST_NEW_CLASSES)] = ()


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A saving in short. counts: corrections of each kind; saved_at_ns: wall time."""

    camera_id: str
    run: str
    sequence: int
    frame_sha256: str
    model: CorrectedModel
    number: int
    saved_at_ns: int
    counts: dict[str, int]
    checked: bool
    remark: str


def add_corrections(router: APIRouter, dashboard: Dashboard) -> None:
    """Adds the routes."""
    problems: dict[int | str, dict[str, Any]] = {
        403: {"model": Problem, "description": "this page keeps no corrections"},
        404: {"model": Problem, "description": "no such frame, or its cells are not known"},
        409: {
            "model": Problem,
            "description": "what is kept, or is to be, cannot be read, written, or does not fit",
        },
    }

    @router.get("/cameras/{camera_id}/labels", summary="A frame to be corrected", responses=problems)
    async def labels(
        camera_id: CameraId,
        run: Annotated[str, Query(pattern=NAME, description="which run; with sequence")] | None = None,
        sequence: Annotated[int, Query(ge=0, le=LONGEST, description="which frame of it")] | None = None,
    ) -> JsonBytes:
        """It is held still: it can be corrected long after Kafka's newest frames went by."""
        frame = None if run is None or sequence is None else (run, sequence)
        return JsonBytes(labels_of(camera_id, await run_in_threadpool(_hold, dashboard, camera_id, frame)))

    @router.post("/cameras/{camera_id}/corrections", summary="Keeps corrections of a frame", status_code=201,
                 responses={**problems, **POSTED})  # fmt: skip
    async def save(camera_id: CameraId, request: Request) -> JsonBytes:
        """Relabels cells, strikes false ones, draws missed ones. What was counted does not change."""
        told = await body_of(request, NewCorrections)
        saving = await run_in_threadpool(_save, dashboard, camera_id, told)
        return JsonBytes(saved(saving), status_code=201)

    @router.get(
        "/corrections", summary="What was corrected last, newest first", responses={409: problems[409]}
    )
    def newest(
        limit: Annotated[int, Query(ge=1, le=MOST_SAVED, description="how many at most")] = 20,
    ) -> JsonBytes:
        try:
            return JsonBytes([saved(one) for one in dashboard.corrections.newest(limit)])
        except CorrectionError as error:
            raise HTTPException(409, str(error)) from error


ANSWERS: dict[tuple[str, str, str], Any] = {
    ("/cameras/{camera_id}/labels", "get", "200"): FrameLabels,
    ("/cameras/{camera_id}/corrections", "post", "201"): Saved,
    ("/corrections", "get", "200"): list[Saved],
}
BODIES: dict[str, Any] = {"/cameras/{camera_id}/corrections": NewCorrections}


def labels_of(camera_id: str, held: HeldFrame) -> FrameLabels:
    """What the API tells of a held frame."""
    facts = held.facts
    return FrameLabels(
        camera_id=camera_id,
        run=held.picture.run_id,
        sequence=held.picture.sequence,
        frame_sha256=facts.frame_sha256,
        width_px=facts.width_px,
        height_px=facts.height_px,
        model=facts.model,
        cells=held.cells(),
        savings=len(held.saved),
        checked=held.checked,
        new_classes=held.new_classes,
    )


def saved(saving: Saving) -> Saved:
    """What the API tells of a saving."""
    frame = saving.frame
    return Saved(
        camera_id=frame.camera_id,
        run=frame.run_id,
        sequence=frame.sequence,
        frame_sha256=frame.frame_sha256,
        model=frame.model,
        number=saving.number,
        saved_at_ns=saving.saved_at_ns,
        counts=counted(saving),
        checked=saving.checked,
        remark=saving.remark,
    )


def _hold(dashboard: Dashboard, camera_id: str, frame: tuple[str, int] | None) -> HeldFrame:
    if not dashboard.corrections.enabled:
        raise HTTPException(403, OFF)
    try:
        return dashboard.corrections.hold(dashboard.model, camera_id, frame)
    except NoSuchFrameError as error:
        raise HTTPException(404, str(error)) from error
    except CorrectionError as error:
        raise HTTPException(409, str(error)) from error


def _save(dashboard: Dashboard, camera_id: str, told: NewCorrections) -> Saving:
    held = _hold(dashboard, camera_id, (told.run, told.sequence))
    if held.facts.frame_sha256 != told.frame_sha256:
        raise HTTPException(409, f"frame {told.run}/{told.sequence} is another: {held.facts.frame_sha256}")
    if len(held.saved) != told.savings:
        raise HTTPException(409, "somebody else corrected this frame meanwhile; ask for its labels anew")
    try:
        return dashboard.corrections.save(held, told.corrections, told.checked, told.remark, told.new_classes)
    except CorrectionError as error:
        raise HTTPException(409, str(error)) from error
