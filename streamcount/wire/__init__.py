"""Bytes: how frames, detections, tracks, events and states look outside the process."""

from streamcount.wire.cloudevents import decode_event, encode_event, event_or_none
from streamcount.wire.images import decode_image, encode_image
from streamcount.wire.records import (
    decode_detections,
    decode_state,
    decode_tracks,
    encode_detections,
    encode_state,
    encode_tracks,
)

__all__ = [
    "decode_detections",
    "decode_event",
    "decode_image",
    "decode_state",
    "decode_tracks",
    "encode_detections",
    "encode_event",
    "encode_image",
    "encode_state",
    "encode_tracks",
    "event_or_none",
]
