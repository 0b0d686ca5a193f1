"""A group's state as one record: what was decided, up to which offsets, and what is to be told of it."""

from __future__ import annotations

import zlib

import msgspec

from streamcount.errors import FrameError
from streamcount.pipeline import GroupRunState
from streamcount.wire import arrays
from streamcount.wire.records import OTHER_VERSION

# Raised whenever GroupRunState, or what is in it, changes its form.
VERSION = 3


class Telling(msgspec.Struct, frozen=True):
    """An event to be sent. topic: its short name. timestamp_ms: of the record that led to it."""

    topic: str
    value: bytes
    timestamp_ms: int


class StoredGroup(msgspec.Struct, frozen=True):
    """offsets: by partition of the topic of windows, the next one to be read. outbox: told after this is stored."""

    offsets: dict[int, int]
    state: GroupRunState
    outbox: tuple[Telling, ...] = ()


def encode_stored(stored: StoredGroup) -> bytes:
    """The record's value."""
    return bytes([VERSION]) + zlib.compress(arrays.encode(stored), 1)


def decode_stored(data: bytes) -> StoredGroup:
    """What `encode_stored` wrote. Raises FrameError, with `OTHER_VERSION` where another version wrote it."""
    if not data or data[0] != VERSION:
        raise FrameError(OTHER_VERSION, "the stored state is of another version of streamcount")
    try:
        plain = zlib.decompress(data[1:])
    except zlib.error as error:
        raise FrameError("bad-record", f"{len(data)} bytes are no stored group: {error}") from error
    return arrays.decode(plain, StoredGroup)
