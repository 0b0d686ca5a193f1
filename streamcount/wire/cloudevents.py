"""CloudEvents 1.0 as streamcount speaks them: frames in binary mode, events in structured mode.

Binary mode: the record's value is the image and its attributes are Kafka headers named `ce_...`, so a camera in
any language needs a Kafka client and nothing else. See docs/wire.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from streamcount.errors import FrameError
from streamcount.types import AnyEvent, FrameMetadata, FramesMissing

FRAME_TYPE = "org.streamcount.frame.v1"
FRAMES_MISSING_TYPE = "org.streamcount.frames-missing.v1"
EVENT_TYPE_PREFIX = "org.streamcount.event."

Headers = list[tuple[str, bytes]]

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC with all nine digits of the nanoseconds, so that no frame's time is rounded."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 UTC of an RFC 3339 time. Raises ValueError where it is none."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-01-31T12:00:00.000000000Z")
    moment, fraction, zone = match.groups()
    seconds = datetime.fromisoformat(moment + zone.replace("Z", "+00:00"))
    return int(seconds.timestamp()) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def frame_headers(metadata: FrameMetadata, content_type: str) -> Headers:
    """Kafka headers of a frame's record; the record's key is the camera_id, its value the encoded image."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"{metadata.camera_id}/{metadata.run_id}/{metadata.sequence}",
        "ce_source": f"/cameras/{metadata.camera_id}",
        "ce_type": FRAME_TYPE,
        "ce_time": format_time(metadata.acquired_at_ns),
        "content-type": content_type,
        "ce_sequence": str(metadata.sequence),
        "ce_runid": metadata.run_id,
    }
    if metadata.pixel_size_um is not None:
        headers["ce_pixelsizeum"] = repr(metadata.pixel_size_um)
    if metadata.exposure_ms is not None:
        headers["ce_exposurems"] = repr(metadata.exposure_ms)
    if metadata.channel:
        headers["ce_channel"] = metadata.channel
    return [(name, value.encode()) for name, value in headers.items()]


def missing_headers(event: FramesMissing) -> Headers:
    """Kafka headers of a camera's own word, among its frames, that some of them will never come."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.event_id.encode()),
        ("ce_source", f"/cameras/{event.camera_id}".encode()),
        ("ce_type", FRAMES_MISSING_TYPE.encode()),
        ("ce_time", format_time(event.decided_at_ns).encode()),
        ("content-type", b"application/json"),
    ]


def header_map(headers: Iterable[tuple[str, bytes | None]] | Mapping[str, bytes] | None) -> dict[str, str]:
    """Headers as text, the last of a name winning. Raises FrameError ("bad-headers") where one is not UTF-8."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    try:
        return {name: (value or b"").decode("utf-8") for name, value in pairs}
    except UnicodeDecodeError as error:
        raise FrameError("bad-headers", f"a header is not UTF-8: {error}") from error


def frame_metadata(key: bytes | None, headers: Mapping[str, str]) -> FrameMetadata:
    """The metadata in a frame's key and headers.

    Raises FrameError ("missing-headers", "bad-headers", "bad-metadata").
    """
    camera_id = record_key(key)
    absent = [
        name for name in ("ce_sequence", "ce_runid", "ce_time", "content-type") if not headers.get(name)
    ]
    if absent:
        raise FrameError("missing-headers", f"headers missing: {', '.join(absent)} (see docs/wire.md)")
    try:
        return FrameMetadata(
            camera_id=camera_id,
            run_id=headers["ce_runid"],
            sequence=int(headers["ce_sequence"]),
            acquired_at_ns=parse_time(headers["ce_time"]),
            pixel_size_um=_number(headers, "ce_pixelsizeum"),
            exposure_ms=_number(headers, "ce_exposurems"),
            channel=headers.get("ce_channel", ""),
        )
    except (ValueError, OverflowError) as error:
        raise FrameError("bad-headers", f"a header cannot be read: {error}") from error


def record_key(key: bytes | None) -> str:
    """The camera_id that a record's key is. Raises FrameError ("bad-headers")."""
    if not key:
        raise FrameError("missing-headers", "the record has no key; its key is the camera_id")
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FrameError("bad-headers", "the record's key is not UTF-8; its key is the camera_id") from error


def decode_missing(key: bytes | None, value: bytes | None) -> FramesMissing:
    """A camera's FramesMissing. Raises FrameError ("bad-record", "bad-metadata")."""
    try:
        event = _MISSING.decode(value or b"")
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError("bad-record", f"not a FramesMissing record: {error}") from error
    if event.camera_id != record_key(key) or not event.sequence <= event.last_sequence:
        raise FrameError("bad-record", "a FramesMissing record's key or range of sequences is wrong")
    for sequence, time_ns in (
        (event.sequence, event.happened_at_ns),
        (event.last_sequence, event.decided_at_ns),
    ):
        # The same rules as a frame's own, for these names and numbers go into ids and states as well.
        FrameMetadata(
            camera_id=event.camera_id, run_id=event.run_id, sequence=sequence, acquired_at_ns=time_ns
        )
    return event


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A structured CloudEvent: what an event on the topics events, counts and alerts looks like.

    subject: a track's id, a rule's name; left out where there is none, as CloudEvents has it.
    """

    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str
    data: AnyEvent
    subject: str = ""


def encode_event(event: AnyEvent) -> bytes:
    """The event as a structured CloudEvent, JSON; equal events give equal bytes."""
    return msgspec.json.encode(
        Envelope(
            specversion="1.0",
            id=event.event_id,
            source=f"/cameras/{event.camera_id}/runs/{event.run_id}",
            type=f"{EVENT_TYPE_PREFIX}{event.kind}.v1",
            time=format_time(event.happened_at_ns),
            datacontenttype="application/json",
            subject=event.subject(),
            data=event,
        )
    )


def decode_event(value: bytes) -> AnyEvent:
    """The event in a structured CloudEvent. Raises FrameError ("bad-record")."""
    try:
        return _EVENTS.decode(value).data
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError("bad-record", f"not one of streamcount's events: {error}") from error


def event_or_none(value: bytes | None) -> AnyEvent | None:
    """The event in a record's value, for readers who pass over what they cannot read; None for such."""
    try:
        return decode_event(value or b"")
    except FrameError:
        return None


# Made here and not at first use: two threads that looked into a type at once have ended the process.
_EVENTS, _MISSING = msgspec.json.Decoder(Envelope), msgspec.json.Decoder(FramesMissing)


def _number(headers: Mapping[str, str], name: str) -> float | None:
    text = headers.get(name)
    return float(text) if text else None
