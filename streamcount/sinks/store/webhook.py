"""Events sent to an address on the web, many at once, signed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from streamcount.errors import SinkError
from streamcount.sinks.base import SinkOptions, secret_of
from streamcount.sinks.store.posting import Poster, check_address
from streamcount.types import AnyEvent
from streamcount.wire.cloudevents import encode_event
from streamcount.wire.signing import HEADER, sign

CONTENT_TYPE = "application/cloudevents-batch+json"
# That these events are wrong; any other answer may be another one tomorrow.
_NEVER = {400, 413, 422}


class WebhookConfig(SinkOptions):
    """Events posted as a batch of CloudEvents."""

    kind: Literal["webhook"] = Field(description="posts to a web address")
    url: str = Field(pattern=r"^https?://", description="http:// or https:// address; without a secret in it")
    secret_env: str | None = Field(
        default=None, description="environment variable with the secret that signs each batch"
    )
    timeout_s: float = Field(default=10.0, gt=0, le=300, description="longest wait for an answer, s")
    batch_events: int = Field(default=100, ge=1, le=10_000, description="most events in one request")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        return check_address(url)

    def build(self) -> WebhookSink:
        """The sink, not open yet. Raises ConfigurationError where the secret is not set."""
        secret = secret_of(self.secret_env)
        return WebhookSink(self.url, None if secret is None else secret.encode(), self.timeout_s)


class WebhookSink:
    """One POST a batch: a JSON array of CloudEvents. Any 2xx says that the receiver keeps them.

    It keeps nothing itself, so a batch whose answer is lost is sent again: the receiver tells repeats by each event's
    `id` and `data.certainty`. Redirects are not followed.
    """

    def __init__(self, url: str, secret: bytes | None, timeout_s: float = 10.0) -> None:
        self._poster = Poster(url, timeout_s)
        self._secret = secret

    def open(self) -> None:
        self._poster.open()

    def write(self, events: Sequence[AnyEvent]) -> int:
        once = {event.message_id: event for event in events}
        if not once:
            return 0
        body = b"[" + b",".join(encode_event(event) for event in once.values()) + b"]"
        key = hashlib.sha256("\n".join(once).encode()).hexdigest()
        headers = {"Content-Type": CONTENT_TYPE, "Idempotency-Key": key}
        if self._secret is not None:
            headers[HEADER] = sign(body, self._secret, int(time.time()))
        status = self._poster.post(body, headers)
        if not 200 <= status < 300:
            raise SinkError(f"{self._poster.name} answers {status}", retry=status not in _NEVER)
        return len(once)

    def close(self) -> None:
        self._poster.close()
