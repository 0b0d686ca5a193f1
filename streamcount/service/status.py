"""A small HTTP server that tells how a process does: /metrics, /livez and /readyz."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streamcount.errors import ConfigurationError

log = logging.getLogger(__name__)

# True or False, and what a person needs to know of why.
Check: TypeAlias = Callable[[], tuple[bool, Mapping[str, Any]]]


class StatusServer:
    """Serves a process's state on its own thread, so that it answers while the process is busy or stuck.

    `/metrics` is the registry in Prometheus' text form (OpenMetrics where asked for). `/livez` and `/readyz`
    answer 200 where their check says True and 503 where it says False or raises; the body is JSON,
    `{"ok": ..., **details}`.

    port: 0 for any free one, known as `port` after `start`.
    port_key: how the port is set, named in the error where it is taken.
    Checks run on the server's threads: they may only read what is safe to read from there, and must be quick.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        live: Check,
        ready: Check,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        port_key: str = "worker.port",
    ) -> None:
        self._registry = registry
        self._checks: dict[str, Check] = {"/livez": live, "/readyz": ready}
        self._host = host
        self._wanted_port = port
        self._port_key = port_key
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is served; the wanted one before `start`."""
        return self._server.server_address[1] if self._server is not None else self._wanted_port

    @property
    def url(self) -> str:
        """Where it serves, such as http://127.0.0.1:9464."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def start(self) -> StatusServer:
        """Binds and serves. Raises ConfigurationError naming the key where the address cannot be bound."""
        if self._server is not None:
            return self
        try:
            self._server = _Server((self._host, self._wanted_port), self)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken" if taken else f"cannot be bound ({error.strerror or error})"
            raise ConfigurationError(
                f"{self._host}:{self._wanted_port} for /metrics {why}; "
                f"set {self._port_key} to a free port, or to 0 for any"
            ) from error
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.1,), name="status", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stops serving and frees the port. Closing twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        self._wanted_port = server.server_address[1]
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> StatusServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """(status, content type, body) for a path."""
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(self._registry)
        check = self._checks.get(path)
        if check is None:
            known = "streamcount serves /metrics, /livez and /readyz\n"
            return (HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND), "text/plain", known.encode()
        try:
            ok, details = check()
        except Exception as error:
            # A check that fails is a process that is not well; the prober must hear so.
            log.exception("the check behind %s failed", path)
            ok, details = False, {"error": f"{type(error).__name__}: {error}"}
        body = msgspec.json.encode({"ok": ok, **details}, enc_hook=str) + b"\n"
        return (HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE), "application/json", body


@contextmanager
def serving_status(
    registry: CollectorRegistry, live: Check, ready: Check, host: str, port: int | None
) -> Iterator[None]:
    """Serves while a command with --host and --port runs. port: None for no server."""
    if port is None:
        yield
        return
    with StatusServer(registry, live, ready, host=host, port=port, port_key="--port") as status:
        log.info("metrics at %s/metrics", status.url)
        yield


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A prober that holds its connection open must not hold up the process's end.
    block_on_close = False

    def __init__(self, address: tuple[str, int], status: StatusServer) -> None:
        self.status = status
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service who we are: seconds, on a laptop away from home.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    # Half-open connections end here instead of keeping a thread for ever.
    timeout = 10

    server: _Server
    server_version = "streamcount"
    sys_version = ""

    def do_GET(self) -> None:
        self._send(with_body=True)

    def do_HEAD(self) -> None:
        self._send(with_body=False)

    def _send(self, with_body: bool) -> None:
        path = self.path.partition("?")[0].rstrip("/") or "/"
        status, content_type, body = self.server.status.answer(path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s %s", self.address_string(), format % args)
