"""The page's scripts and styles: deflated once, served from memory, and ready before the first browser comes."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# NiceGUI's own files, and our components: their addresses tell their version, and they never change.
ASSETS = "/_nicegui/"
NAMED = re.compile(rf'"({ASSETS}[^"\s]+\.(?:m?js|css))"')
FOREVER = b"immutable"
MOST_BYTES = 16 * 2**20
# Who asks for a part of a file, or whether it has changed, is answered by NiceGUI.
CONDITIONS = frozenset((b"range", b"if-none-match", b"if-modified-since"))


@dataclass(frozen=True, slots=True)
class _Asset:
    start: Message
    body: bytes


class Assets:
    """ASGI middleware that keeps each asset as it was first answered, deflated or not.

    NiceGUI deflates every file anew for every browser. When the server starts, the page at `first` is made once for
    nobody, and its assets are asked for: whoever comes first waits for none of that.
    """

    def __init__(self, app: ASGIApp, first: str = "/") -> None:
        self._app = app
        self._first = first
        self._kept: dict[tuple[str, bool], _Asset] = {}
        self._bytes = 0
        self._warming: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._starting(send))
        elif scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(ASSETS):
            await self._asset(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _asset(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if scope["query_string"] or CONDITIONS & headers.keys():
            await self._app(scope, receive, send)
            return
        key = (scope["path"], b"gzip" in headers.get(b"accept-encoding", b""))
        kept = self._kept.get(key)
        if kept is None:
            kept = await _answer(self._app, scope)
            headers = dict(kept.start.get("headers", ()))
            lasting = kept.start["status"] == 200 and FOREVER in headers.get(b"cache-control", b"")
            if lasting and key not in self._kept and self._bytes + len(kept.body) <= MOST_BYTES:
                self._kept[key] = kept
                self._bytes += len(kept.body)
        await send(kept.start)
        await send({"type": "http.response.body", "body": kept.body})

    def _starting(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._warming = asyncio.create_task(self._warm())

        return sending

    async def _warm(self) -> None:
        """Makes the first page for nobody, and asks for all that it names."""
        page = await _answer(self._app, _scope(self._first))
        for path in dict.fromkeys(NAMED.findall(page.body.decode())):
            await self._asset(_scope(path, (b"accept-encoding", b"gzip")), _waiting, _nowhere)


async def _answer(app: ASGIApp, scope: Scope) -> _Asset:
    """The whole of an application's answer to a request without a body."""
    start: Message = {}
    parts: list[bytes] = []

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            return await _waiting()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, take)
    return _Asset(start, b"".join(parts))


async def _waiting() -> Message:
    """A browser that says no more."""
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


async def _nowhere(message: Message) -> None:
    pass


def _scope(path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": None, "server": None,
        "headers": [(b"host", b"localhost"), *headers],
    }  # fmt: skip
