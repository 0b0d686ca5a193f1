"""Who may look: a token beyond loopback, no other site's pages, no names pointed at us, no outside assets."""

from __future__ import annotations

import hmac
import html
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamcount.errors import ConfigurationError

TOKEN_VARIABLE = "STREAMCOUNT_DASHBOARD_TOKEN"
LEAST_TOKEN_LENGTH = 16
COOKIE = "streamcount_session"
SESSION_S = 12 * 3600.0
MOST_SESSIONS = 200
LOGIN_BYTES = 4096
LOGIN_PATH = "/login"
# NiceGUI compiles its templates in the browser, which needs 'unsafe-eval', and writes its elements into the page as a
# script, which needs 'unsafe-inline'; all else, and every address but our own, is forbidden.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # With no-referrer a browser says "Origin: null" when it sends the login, as a page of another site would.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)

LOGIN_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>streamcount</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark }} body {{ font: 16px system-ui, sans-serif; display: grid; place-items: center;
min-height: 90vh; margin: 0 }} form {{ display: grid; gap: 12px; width: min(320px, 90vw) }}
input, button {{ font: inherit; padding: 10px }}</style></head><body><main><form method="post" action="/login">
<h1>streamcount</h1><label for="token">Access token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Open the page</button><p role="alert">{message}</p></form></main></body></html>"""


def is_loopback(host: str) -> bool:
    """Whether an address to serve on can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(host: str, environment: Mapping[str, str]) -> str:
    """The token to ask for, "" for none. Raises ConfigurationError where one is needed and not set, or is short."""
    token = environment.get(TOKEN_VARIABLE, "").strip()
    if not token and not is_loopback(host):
        raise ConfigurationError(
            f"to serve the page at {host}, which other machines reach, set a token in {TOKEN_VARIABLE}: "
            'python -c "import secrets; print(secrets.token_urlsafe(32))" makes one'
        )
    if token and len(token) < LEAST_TOKEN_LENGTH:
        raise ConfigurationError(
            f"{TOKEN_VARIABLE} has fewer than {LEAST_TOKEN_LENGTH} characters; use a longer one"
        )
    return token


def made_token(environment: MutableMapping[str, str]) -> str:
    """A new token, put where `token_for` looks for it; "" where one is set."""
    if environment.get(TOKEN_VARIABLE, "").strip():
        return ""
    environment[TOKEN_VARIABLE] = secrets.token_urlsafe(32)
    return environment[TOKEN_VARIABLE]


class Guard:
    """ASGI middleware around all of the server, WebSockets included.

    A request is served only where its Host is an address, localhost or one of `names` (else a name that was pointed
    at us, DNS rebinding, could read the page), where its Origin, if it says one, is that host, where the browser says
    of no change that another site sent it, and where it brings the token, as `Authorization: Bearer` or as the cookie
    that the login gives. token: "" to ask for none.
    """

    def __init__(self, app: ASGIApp, token: str = "", names: Iterable[str] = ()) -> None:
        self._app = app
        self._token = token
        self._names = {"localhost", *(name.lower() for name in names)}
        self._sessions: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope, receive)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, _with_headers(send))

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        headers = _headers(scope)
        if not self._is_our_host(headers.get("host", "")):
            return _error(400, "this name is not served: start the dashboard with --name NAME to allow it")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
            return _error(403, "requests from other sites are refused")
        changes = scope.get("method", "GET") not in ("GET", "HEAD", "OPTIONS")
        if changes and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _error(403, "requests from other sites are refused")
        if not self._token:
            return None
        path = scope.get("path", "")
        if path == LOGIN_PATH and scope["type"] == "http":
            return await self._login(Request(scope, receive))
        if self._is_known(headers):
            return None
        if scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse(LOGIN_PATH, 303)
        response = _error(401, f"a token is needed: Authorization: Bearer, as in {TOKEN_VARIABLE}")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _is_our_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_known(self, headers: Mapping[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(given.strip()):
            return True
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and self._sessions.get(morsel.value, 0.0) > time.monotonic()

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(LOGIN_PAGE.format(message=""), headers={"Cache-Control": "no-store"})
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LOGIN_BYTES:
                return _error(413, "a login is shorter")
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not self._is_token(given):
            page = LOGIN_PAGE.format(message=html.escape("That is not the token."))
            return HTMLResponse(page, 403, headers={"Cache-Control": "no-store"})
        session = secrets.token_urlsafe(32)
        self._sessions[session] = time.monotonic() + SESSION_S
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        response = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, session, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=secure
        )
        return response


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _error(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status, headers={"Cache-Control": "no-store"})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", ())}
            added = [one for one in SECURITY_HEADERS if one[0] not in given]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending
