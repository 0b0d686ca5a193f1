"""What is posted: JSON of a known form and a bounded length, or an answer that says why not."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError

MOST_BYTES = 2 * 2**20

T = TypeVar("T")


def _number(text: str) -> int | float:
    """JSON Schema takes 3.0 for a whole number, and so do the programs that go by it."""
    value = float(text)
    return int(value) if value.is_integer() else value


_JSON = msgspec.json.Decoder(float_hook=_number)


async def body_of(request: Request, kind: type[T]) -> T:
    """The body as a struct. Raises HTTPException (413, 415) and RequestValidationError."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        # A form of another site's page can say anything but this without being asked first.
        raise HTTPException(415, "send application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES} bytes")
    try:
        return msgspec.convert(_JSON.decode(body), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # In the form that FastAPI gives to all others of its kind.
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("body",), "msg": str(error)}]
        ) from error
