"""What the topics hold, for machines: JSON Schemas of the events, and an AsyncAPI 3.0 document of all topics.

Both are made from the very types that encode the records, so they cannot say anything else than what is sent.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np

from streamcount.types import FramesMissing
from streamcount.wire.arrays import DTYPES
from streamcount.wire.cloudevents import FRAME_TYPE, FRAMES_MISSING_TYPE, Envelope
from streamcount.wire.deadletters import PREFIX, REASON
from streamcount.wire.images import CONTENT_TYPES
from streamcount.wire.records import MSGPACK_TYPE, DetectionsRecord, TracksRecord

Schema: TypeAlias = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_VERSION = "3.0.0"
_REF = "#/components/schemas/{name}"
_JSON = "application/json"


@dataclass(frozen=True)
class _Channel:
    """One topic: whether the worker reads it ("receive") or writes it ("send"), and the messages in it."""

    action: str
    description: str
    messages: tuple[str, ...]


CHANNELS: dict[str, _Channel] = {
    "frames": _Channel("receive", "Encoded images, one a record, from cameras.", ("frame", "framesMissing")),
    "detections": _Channel(
        "send", "The cells of each frame, in the order of the frames.", ("detections", "detectionsMissing")
    ),
    "tracks": _Channel("send", "The cells that are being followed, after each frame.", ("tracks",)),
    "events": _Channel("send", "What happened to cells, and frames that are missing.", ("event",)),
    "counts": _Channel("send", "CountsUpdated, one for each counted frame.", ("event",)),
    "windows": _Channel(
        "send",
        "WindowClosed: figures of windows of time, of cameras and, from `streamcount groups run`, of groups.",
        ("event",),
    ),
    "alerts": _Channel(
        "send", "AlertRaised, AlertCleared and, from the page, AlertAcknowledged.", ("event",)
    ),
    "snapshots": _Channel(
        "send",
        "JPEGs of abnormal cells, by the name that the event tells, from `streamcount snapshots run`.",
        ("snapshot",),
    ),
    "dead-letters": _Channel(
        "send", "Records of frames that could not be counted, and why.", ("deadLetter",)
    ),
}


def schemas(topic_prefix: str = "streamcount", version: str = "0") -> dict[str, Schema]:
    """All published documents, by file name. version: of streamcount, told in the AsyncAPI document."""
    return {
        "event.schema.json": event_schema(),
        "frames-missing.schema.json": frames_missing_schema(),
        "asyncapi.json": asyncapi(topic_prefix, version),
    }


def event_schema() -> Schema:
    """JSON Schema (2020-12) of a record of the topics events, counts, windows and alerts."""
    return {
        "$schema": DRAFT,
        "title": "streamcount event",
        **_tidied(_narrowed(msgspec.json.schema(Envelope))),
    }


def frames_missing_schema() -> Schema:
    """JSON Schema (2020-12) of a camera's word, among its frames, that some of them will not come."""
    return {
        "$schema": DRAFT,
        "title": "streamcount frames missing",
        **_tidied(msgspec.json.schema(FramesMissing)),
    }


def asyncapi(topic_prefix: str = "streamcount", version: str = "0") -> Schema:
    """The AsyncAPI 3.0 document of the worker. topic_prefix: as topics.prefix in the configuration."""
    types = (Envelope, FramesMissing, DetectionsRecord, TracksRecord)
    _, components = msgspec.json.schema_components(types, schema_hook=_array_schema, ref_template=_REF)
    narrowed = _narrowed({"$defs": components})["$defs"]
    channels, operations = {}, {}
    for name, channel in CHANNELS.items():
        channels[name] = {
            "address": f"{topic_prefix}.{name}",
            "description": channel.description,
            "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in channel.messages},
        }
        operations[f"{channel.action}-{name}"] = {
            "action": channel.action,
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": channel.description,
        }
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "streamcount worker",
            "version": version,
            "description": "Counts living cells in microscope camera streams. Every record's key is the "
            "camera_id; delivery is at least once, and repeated events have equal ids.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "channels": channels,
        "operations": operations,
        "components": {"messages": _messages(), "schemas": _as_draft_07(_tidied(narrowed))},
    }


def _messages() -> Schema:
    def message(title: str, content_type: str, payload: Schema, headers: Schema | None = None) -> Schema:
        key = {"type": "string", "description": "the camera_id"}
        made: Schema = {
            "title": title,
            "contentType": content_type,
            "payload": payload,
            "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
        }
        return {**made, "headers": headers} if headers else made

    def ref(name: str) -> Schema:
        return {"$ref": _REF.format(name=name)}

    image = {"type": "string", "format": "binary", "description": "The encoded image, nothing around it."}
    dead = {"description": "What the camera had sent, byte for byte."}
    return {
        "frame": message("A frame", CONTENT_TYPES["jpeg"], image, frame_headers_schema()),
        "framesMissing": message(
            "Frames that a camera dropped",
            _JSON,
            ref("FramesMissing"),
            _headers({"ce_type": _const(FRAMES_MISSING_TYPE)}),
        ),
        "detections": message("The cells of one frame", MSGPACK_TYPE, ref("DetectionsRecord")),
        "detectionsMissing": message("Frames without detections", MSGPACK_TYPE, ref("FramesMissing")),
        "tracks": message("The cells that are followed", MSGPACK_TYPE, ref("TracksRecord")),
        "event": message(
            "An event, as structured CloudEvent", "application/cloudevents+json", ref("Envelope")
        ),
        "snapshot": message("The picture of one cell", CONTENT_TYPES["jpeg"], image, _snapshot_headers()),
        "deadLetter": message(
            "A record that could not be counted", "application/octet-stream", dead, _dead_headers()
        ),
    }


def frame_headers_schema() -> Schema:
    """JSON Schema of a frame's Kafka headers, each a UTF-8 text."""
    identifier = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
    number = {"type": "string", "pattern": r"^[0-9.eE+-]+$"}
    required = {
        "content-type": {"enum": list(CONTENT_TYPES.values())},
        "ce_time": {"type": "string", "format": "date-time", "description": "when the frame was exposed"},
        "ce_runid": {**identifier, "description": "one for each start of the camera"},
        "ce_sequence": {"type": "string", "pattern": "^[0-9]+$", "description": "from 0, without a hole"},
    }
    optional = {
        "ce_type": _const(FRAME_TYPE),
        "ce_specversion": _const("1.0"),
        "ce_id": {"type": "string"},
        "ce_source": {"type": "string"},
        "ce_pixelsizeum": {**number, "description": "edge of a pixel in the specimen, µm"},
        "ce_exposurems": {**number, "description": "exposure time, ms"},
        "ce_channel": {"type": "string", "description": "optical channel"},
    }
    return _headers(required, optional)


def _snapshot_headers() -> Schema:
    return _headers({"ce_id": {"type": "string", "description": "the snapshot's name"}})


def _dead_headers() -> Schema:
    names = (
        "topic",
        "partition",
        "offset",
        "connector.name",
        "stage",
        "exception.class.name",
        "exception.message",
    )
    return _headers({**{f"{PREFIX}{name}": {"type": "string"} for name in names}, REASON: {"type": "string"}})


def _headers(required: Schema, optional: Schema | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _const(value: str) -> Schema:
    return {"type": "string", "const": value}


def _array_schema(kind: type) -> Schema:
    if kind is not np.ndarray:
        raise TypeError(f"no schema for {kind}")
    return {
        "description": "An array: dtype, shape, and the numbers as bytes, little-endian, row by row.",
        "type": "array",
        "prefixItems": [
            {"enum": sorted(DTYPES)},
            {"type": "array", "items": {"type": "integer", "minimum": 0}},
            {"type": "string", "format": "binary"},
        ],
        "items": False,
        "minItems": 3,
        "maxItems": 3,
    }


def _narrowed(schema: Schema) -> Schema:
    """With what the envelope always says put into its schema, since a type `str` does not tell it."""
    envelope = schema["$defs"]["Envelope"]
    properties = {
        **envelope["properties"],
        "specversion": _const("1.0"),
        "datacontenttype": _const(_JSON),
        "time": {"type": "string", "format": "date-time"},
        "type": {"type": "string", "pattern": r"^org\.streamcount\.event\.[A-Za-z]+\.v1$"},
    }
    return {**schema, "$defs": {**schema["$defs"], "Envelope": {**envelope, "properties": properties}}}


def _tidied(value: Any) -> Any:
    """Without OpenAPI's `discriminator`, which JSON Schema does not know; descriptions unindented."""
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: inspect.cleandoc(item) if key == "description" and isinstance(item, str) else _tidied(item)
        for key, item in value.items()
        if not (key == "discriminator" and "propertyName" in item)
    }


def _as_draft_07(value: Any) -> Any:
    """With tuples in the older words, since AsyncAPI's own schemas are a superset of JSON Schema draft 7."""
    if isinstance(value, list):
        return [_as_draft_07(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _as_draft_07(item) for key, item in value.items()}
    if "prefixItems" in made:
        made["items"], made["additionalItems"] = made.pop("prefixItems"), False
    return made
