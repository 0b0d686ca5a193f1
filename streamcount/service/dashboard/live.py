"""Pictures with their cells for browsers, over one WebSocket a page.

A tile asks for what comes after the picture that it has, and is answered once there is something newer. So it waits
for no poll, and nothing queues up behind a slow browser, for it asks again only when it has drawn.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from statistics import median
from typing import Annotated

import msgspec
from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect

from streamcount.errors import FrameError
from streamcount.service.dashboard.api import NAME, Dashboard, shown_cells
from streamcount.service.dashboard.camera import Picture
from streamcount.service.dashboard.cells import Cells
from streamcount.service.dashboard.model import NAMELESS

LOOK_EVERY_S = 0.01
# Which picture is to be shown can change though nothing was heard: cells are not waited for without end.
LOOK_ANYWAY_S = 1.0
MOST_VIEWS = 512
# A cell of fewer pixels in its view is sent without its outline, which makes half of what is sent of it.
LEAST_OUTLINED_PX = 8.0
UNREADABLE = 1007
WORDS_BYTES = 4
# What has no name has a tile as well, though never a picture.
CAMERA = rf"{NAME}|^{re.escape(NAMELESS)}$"


class Want(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a view in a browser wants: the picture after `known` (RUN/SEQUENCE), about `width` pixels wide."""

    view: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    camera: Annotated[str, msgspec.Meta(pattern=CAMERA)]
    width: Annotated[int, msgspec.Meta(ge=16, le=4096)]
    known: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Words(msgspec.Struct, frozen=True):
    """What stands before the JPEG in an answer. problem: why there is no JPEG, "" where there is one."""

    view: int
    shown: Cells
    problem: str


_WANT = msgspec.json.Decoder(Want)


def add_live(app: FastAPI, dashboard: Dashboard) -> None:
    """Adds the socket `/api/v1/live`. A text message is a `Want`; an answer is binary, see `packed`."""

    @app.websocket("/api/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        viewer = _Viewer(dashboard, socket)
        tasks = {asyncio.create_task(viewer.listen()), asyncio.create_task(viewer.answer())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in done:
            # A fault ends the connection, and the page opens another: it must not wait in vain.
            task.result()


def packed(words: Words, jpeg: bytes) -> bytes:
    """An answer: the length of the words (4 bytes, little-endian), the words as JSON, the JPEG."""
    text = msgspec.json.encode(words)
    return len(text).to_bytes(WORDS_BYTES, "little") + text + jpeg


class _Viewer:
    """One browser's page, and what its views wait for."""

    def __init__(self, dashboard: Dashboard, socket: WebSocket) -> None:
        self._dashboard = dashboard
        self._socket = socket
        self._wants: dict[int, Want] = {}
        self._asked = False

    async def listen(self) -> None:
        """Takes in what is wanted until the browser is gone, or sends what cannot be read."""
        try:
            while True:
                want = _WANT.decode(await self._socket.receive_text())
                if want.view not in self._wants and len(self._wants) >= MOST_VIEWS:
                    break
                self._wants[want.view] = want
                self._asked = True
        except WebSocketDisconnect:
            return
        except (msgspec.DecodeError, KeyError):
            pass
        await self._socket.close(UNREADABLE)

    async def answer(self) -> None:
        """Sends what is wanted as soon as it is there, until the browser is gone."""
        with suppress(WebSocketDisconnect):
            await self._answer()

    async def _answer(self) -> None:
        version, looked_s = -1, 0.0
        while True:
            now_s = time.monotonic()
            if self._asked or self._dashboard.model.version != version or now_s - looked_s > LOOK_ANYWAY_S:
                version, looked_s, self._asked = self._dashboard.model.version, now_s, False
                making = self._dashboard.making
                due = [
                    asyncio.get_running_loop().run_in_executor(making, self._message, want, shown)
                    for want, shown in self._due()
                ]
                for made in asyncio.as_completed(due):
                    await self._socket.send_bytes(await made)
            await asyncio.sleep(LOOK_EVERY_S)

    def _due(self) -> list[tuple[Want, Picture]]:
        due = []
        for want in list(self._wants.values()):
            shown = self._dashboard.shown(want.camera)
            if shown is not None and want.known != f"{shown.run_id}/{shown.sequence}":
                del self._wants[want.view]
                due.append((want, shown))
        return due

    def _message(self, want: Want, shown: Picture) -> bytes:
        jpeg, problem = b"", ""
        try:
            jpeg = self._dashboard.pictures.jpeg(want.camera, shown, want.width)
        except FrameError as error:
            problem = f"the frame cannot be shown: {error}"
        cells = legible(shown_cells(self._dashboard, want.camera, shown), want.width)
        return packed(Words(want.view, cells, problem), jpeg)


def legible(shown: Cells, width: int) -> Cells:
    """The cells for a view of so many pixels across: without outlines where nobody could tell them from ellipses."""
    cells = shown.cells
    if cells is None or cells.outlines is None or not cells.ids:
        return shown
    side_px = median(max(y1 - y0, x1 - x0) for y0, x0, y1, x1 in cells.boxes_px)
    if side_px * width >= LEAST_OUTLINED_PX * cells.width_px:
        return shown
    return msgspec.structs.replace(shown, cells=msgspec.structs.replace(cells, outlines=None))
