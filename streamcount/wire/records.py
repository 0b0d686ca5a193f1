"""Detections, tracks and states as bytes."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamcount.errors import FrameError
from streamcount.pipeline import PipelineState, RunPosition
from streamcount.types import Detections, FramesMissing, Tracks
from streamcount.wire import arrays

MSGPACK_TYPE = "application/msgpack"

# Raised whenever PipelineState changes its form: a state of another form is refused, never misread.
STATE_VERSION = 8
OTHER_VERSION = "other-version"


class DetectionsRecord(msgspec.Struct, frozen=True, tag_field="kind", tag="Detections"):
    """What one frame's detection said, or with `FramesMissing` beside it, that there was nothing to detect."""

    detections: Detections


class TracksRecord(msgspec.Struct, frozen=True):
    """A frame's tracks with the names of the classes that `class_ids` count through."""

    kind: Literal["Tracks"]
    class_names: tuple[str, ...]
    tracks: Tracks


def encode_detections(value: Detections | FramesMissing) -> bytes:
    """A record of the topic detections; a label image stays behind, for its size."""
    if isinstance(value, FramesMissing):
        return arrays.encode(value)
    if value.labels is not None:
        value = msgspec.structs.replace(value, labels=None)
    return arrays.encode(DetectionsRecord(value))


def decode_detections(data: bytes) -> Detections | FramesMissing:
    """What `encode_detections` wrote. Raises FrameError ("bad-record")."""
    record: DetectionsRecord | FramesMissing = arrays.decode(data, DetectionsRecord | FramesMissing)  # type: ignore[arg-type]
    return record if isinstance(record, FramesMissing) else record.detections


def encode_tracks(tracks: Tracks, class_names: tuple[str, ...]) -> bytes:
    """A record of the topic tracks."""
    return arrays.encode(TracksRecord("Tracks", class_names, tracks))


def decode_tracks(data: bytes) -> TracksRecord:
    """What `encode_tracks` wrote. Raises FrameError ("bad-record")."""
    return arrays.decode(data, TracksRecord)


def encode_state(state: PipelineState) -> bytes:
    """All that must survive a crash of one camera's run."""
    return bytes([STATE_VERSION]) + arrays.encode(state, packed=True)


def decode_state(data: bytes) -> PipelineState:
    """What `encode_state` wrote. Raises FrameError (`OTHER_VERSION`) where another version wrote it."""
    if not data or data[0] != STATE_VERSION:
        raise FrameError(OTHER_VERSION, "the stored state is of another version of streamcount")
    return arrays.decode(data[1:], PipelineState)


def decode_position(data: bytes) -> RunPosition:
    """Of a state of another version, how far the camera was counted. Raises FrameError where it does not tell."""
    return arrays.decode(data[1:], RunPosition)
