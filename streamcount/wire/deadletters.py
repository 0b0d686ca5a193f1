"""Dead letters: what could not be counted, kept with key, value, headers and the reason.

Headers follow Kafka Connect's error reporter (`__connect.errors.*`), so that its tools read them.
"""

from __future__ import annotations

from streamcount.errors import FrameError
from streamcount.wire.cloudevents import Headers

PREFIX = "__connect.errors."
REASON = "streamcount.reason"
# Why a frame is not counted, as docs/wire.md explains.
REASONS = frozenset(
    {
        "missing-headers", "bad-headers", "bad-metadata", "bad-record", "empty", "too-many-bytes", "too-many-pixels",
        "unknown-content-type", "undecodable", "lossy-labels", "bad-image", "too-small", "too-large",
        "too-many-cells", "model-error", "stale-sequence",
    }
)  # fmt: skip
# A message may quote what was wrong, and that may be megabytes.
MESSAGE_LENGTH = 1000
# The headers that are added must find room beside a record that was as large as its topic allowed.
ROOM_BYTES = 2**20


def dead_letter_headers(
    original: Headers, error: FrameError, *, topic: str, partition: int, offset: int, stage: str
) -> Headers:
    """The original headers, and beside them where the record lay and why it could not be counted."""
    added = {
        f"{PREFIX}topic": topic,
        f"{PREFIX}partition": str(partition),
        f"{PREFIX}offset": str(offset),
        f"{PREFIX}connector.name": "streamcount",
        f"{PREFIX}stage": stage,
        f"{PREFIX}exception.class.name": type(error).__name__,
        f"{PREFIX}exception.message": str(error)[:MESSAGE_LENGTH],
        REASON: error.reason,
    }
    kept = [(name, value) for name, value in original if name not in added]
    return kept + [(name, value.encode()) for name, value in added.items()]


def original_headers(headers: Headers) -> Headers:
    """What the camera had sent, without what the dead-letter queue added; for replaying."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX) and name != REASON]
