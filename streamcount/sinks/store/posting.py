"""Posting to an address on the web, over one connection that is kept."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

from streamcount.errors import SinkError


def check_address(url: str) -> str:
    """The address as it is. Raises ValueError where it has no host, or a user or password."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password:
        raise ValueError("give an address such as https://example.org/events, without user or password")
    return url


class Poster:
    """Redirects are not followed."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = urlsplit(url)
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    @property
    def name(self) -> str:
        """The address without the query, which may hold a token."""
        return f"{self._url.scheme}://{self._url.netloc}{self._url.path}"

    def open(self) -> None:
        """Makes ready; it connects with the first post."""
        self.close()
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout_s)

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises SinkError where none comes."""
        if self._connection is None:
            raise SinkError(f"{self.name} is not open")
        target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            self._connection.request("POST", target, body, {"User-Agent": "streamcount", **headers})
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise SinkError(f"{self.name} cannot be reached: {error or type(error).__name__}") from error
        return answer.status

    def close(self) -> None:
        """Frees the connection. Closing twice is fine."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
