"""The server of the page and its API: one process, one port, ended by Ctrl-C or SIGTERM."""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from streamcount.config import Settings
from streamcount.errors import ConfigurationError
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.assets import Assets
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.guard import Guard, token_for
from streamcount.service.dashboard.history import Database
from streamcount.service.dashboard.last_words import LastWords
from streamcount.service.dashboard.live import add_live
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.writing import Writing

log = logging.getLogger(__name__)

# Browsers hold their connections; the end does not wait for them.
END_S = 2


@dataclass(frozen=True)
class Address:
    """Where the page is served. names: host names, beside addresses and localhost, by which it may be asked for."""

    host: str = "127.0.0.1"
    port: int = 8765
    names: Sequence[str] = ()

    def url(self, port: int) -> str:
        """What to open in a browser, `port` being the one that was bound."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{host}:{port}/"


def make_app(dashboard: Dashboard, token: str = "", names: Sequence[str] = ()) -> ASGIApp:
    """The page, its API, and the guard around both."""
    from streamcount.service.dashboard.page import add_pages

    api = make_api(dashboard)
    add_live(api, dashboard)
    add_pages(api, dashboard)
    return Guard(Assets(api), token, names)


def run_dashboard(
    settings: Settings,
    address: Address,
    say: Callable[[str], None] = lambda url: None,
    writing: Writing | None = None,
    database: Database | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM. say: told the page's URL once its port is bound. writing: nothing by default.
    database: of the past.

    Raises ConfigurationError where the address cannot be bound, or needs a token and has none.
    """
    token = token_for(address.host, os.environ)
    listening = _bind(address)
    model = LiveModel()
    with (
        Feed(settings, model) as feed,
        closing(Dashboard(settings, feed, model, writing, database)) as dashboard,
        LastWords(settings, feed, model, dashboard.history),
    ):
        app = make_app(dashboard, token, address.names)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            # A proxy's word of who asks is nobody's here: it would be anybody's.
            proxy_headers=False,
            timeout_graceful_shutdown=END_S,
            ws="websockets-sansio",
            # What is large is JPEG: deflating it costs time and saves nothing.
            ws_per_message_deflate=False,
        )
        # What was loaded by now stays until the end. To look it all through for what is no longer used takes the
        # collector tenths of a second each time, in which nothing is served.
        gc.collect()
        gc.freeze()
        say(address.url(listening.getsockname()[1]))
        uvicorn.Server(config).run(sockets=[listening])


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
        # Who opens the page at once waits for it, and is not refused.
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"the page cannot be served at {address.host}:{address.port} ({error.strerror or error}); "
            "give another --port, or 0 for any"
        ) from error
    return listening
