"""Frames' headers and events as CloudEvents, and back."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcount.errors import FrameError
from streamcount.types import AnyEvent, CellDivided, CountsUpdated, FrameMetadata, FramesMissing
from streamcount.wire.cloudevents import (
    FRAME_TYPE,
    decode_event,
    decode_missing,
    encode_event,
    format_time,
    frame_headers,
    frame_metadata,
    header_map,
    missing_headers,
    parse_time,
)

METADATA = FrameMetadata(
    camera_id="scope-1",
    run_id="r.1",
    sequence=7,
    acquired_at_ns=1_700_000_000_123_456_789,
    pixel_size_um=0.17,
    exposure_ms=5.0,
    channel="GFP µ",
)
# The last second of the year 9999 is beyond a signed 64-bit count of nanoseconds, so the count is the bound.
times_ns = st.integers(0, 2**63 - 1)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
metadatas = st.builds(
    FrameMetadata,
    camera_id=names,
    run_id=names,
    sequence=st.integers(0, 2**63 - 1),
    acquired_at_ns=times_ns,
    pixel_size_um=st.none() | st.floats(1e-3, 1e3),
    exposure_ms=st.none() | st.floats(0, 1e7),
    channel=st.text(max_size=20),
)


def sent(**changes: str | None) -> dict[str, str]:
    """A frame's headers with some changed, or left out where None."""
    headers = {**header_map(frame_headers(METADATA, "image/png")), **changes}
    return {name: value for name, value in headers.items() if value is not None}


def reason(key: bytes | None, headers: dict[str, str]) -> str:
    with pytest.raises(FrameError) as raised:
        frame_metadata(key, headers)
    return raised.value.reason


@given(metadatas)
def test_metadata_survives_the_headers_to_the_last_bit(metadata):
    headers = frame_headers(metadata, "image/jpeg")
    assert frame_metadata(metadata.camera_id.encode(), header_map(headers)) == metadata


@given(times_ns)
def test_times_keep_every_nanosecond(time_ns):
    assert parse_time(format_time(time_ns)) == time_ns


@given(times_ns, st.integers(-14 * 60, 14 * 60))
def test_times_of_any_zone_are_the_same_moment(time_ns, minutes):
    seconds = time_ns // 10**9
    moment = datetime.fromtimestamp(seconds, UTC) + timedelta(minutes=minutes)
    sign, offset = "-" if minutes < 0 else "+", abs(minutes)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{offset // 60:02}:{offset % 60:02}"
    assert parse_time(text) == seconds * 10**9


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.5Z", 500_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("2026-01-31T12:00:00.120Z", 1_769_860_800_120_000_000),
    ],
)
def test_times_that_others_write_are_read(text, time_ns):
    assert parse_time(text) == time_ns


def test_headers_are_those_of_the_manual():
    assert dict(frame_headers(METADATA, "image/png")) == {
        "ce_specversion": b"1.0",
        "ce_id": b"scope-1/r.1/7",
        "ce_source": b"/cameras/scope-1",
        "ce_type": FRAME_TYPE.encode(),
        "ce_time": b"2023-11-14T22:13:20.123456789Z",
        "content-type": b"image/png",
        "ce_sequence": b"7",
        "ce_runid": b"r.1",
        "ce_pixelsizeum": b"0.17",
        "ce_exposurems": b"5.0",
        "ce_channel": "GFP µ".encode(),
    }


def test_what_is_not_known_is_not_sent():
    bare = FrameMetadata(camera_id="a", run_id="b", sequence=0, acquired_at_ns=0)
    optional = {"ce_pixelsizeum", "ce_exposurems", "ce_channel"}
    assert optional.isdisjoint(dict(frame_headers(bare, "image/png")))
    assert frame_metadata(b"a", sent(**dict.fromkeys(optional))).pixel_size_um is None


@pytest.mark.parametrize("name", ["ce_sequence", "ce_runid", "ce_time", "content-type"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_header_is_named(name, value):
    with pytest.raises(FrameError, match=name) as raised:
        frame_metadata(b"scope-1", sent(**{name: value}))
    assert raised.value.reason == "missing-headers"


@pytest.mark.parametrize("key", [None, b""])
def test_a_record_without_a_key_is_refused(key):
    assert reason(key, sent()) == "missing-headers"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_sequence", "seven"),
        ("ce_sequence", "7.5"),
        ("ce_sequence", "9" * 5000),
        ("ce_time", "yesterday"),
        ("ce_time", "2026-01-31"),
        ("ce_time", "2026-01-31T12:00:00"),
        ("ce_time", "2026-02-30T12:00:00Z"),
        ("ce_time", "2026-01-31T25:00:00Z"),
        ("ce_time", "2026-01-31T12:00:00.1234567890Z"),
        ("ce_pixelsizeum", "small"),
        ("ce_exposurems", "5 ms"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused(name, value):
    assert reason(b"scope-1", sent(**{name: value})) == "bad-headers"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_sequence", "-1"),
        ("ce_sequence", str(2**63)),
        ("ce_runid", "with/slash"),
        ("ce_runid", "x" * 65),
        ("ce_runid", "-begins-so"),
        ("ce_time", "1969-12-31T23:59:59Z"),
        ("ce_pixelsizeum", "0"),
        ("ce_pixelsizeum", "-1"),
        ("ce_pixelsizeum", "nan"),
        ("ce_pixelsizeum", "inf"),
        ("ce_exposurems", "-0.1"),
        ("ce_exposurems", "nan"),
    ],
)
def test_a_header_that_says_nonsense_is_refused(name, value):
    assert reason(b"scope-1", sent(**{name: value})) == "bad-metadata"


@pytest.mark.parametrize(
    ("key", "expected"), [(b"a/b", "bad-metadata"), (b"\xff", "bad-headers"), (b" ", "bad-metadata")]
)
def test_a_key_that_is_no_camera_is_refused(key, expected):
    assert reason(key, sent()) == expected


def test_headers_that_are_not_utf8_are_refused():
    with pytest.raises(FrameError) as raised:
        header_map([("ce_runid", b"\xff\xfe")])
    assert raised.value.reason == "bad-headers"


def test_header_map_takes_what_clients_give():
    assert header_map(None) == {}
    assert header_map({"a": b"1"}) == {"a": "1"}
    assert header_map([("a", b"1"), ("a", b"2"), ("b", None)]) == {"a": "2", "b": ""}


@given(st.dictionaries(st.sampled_from(list(sent())), st.text(max_size=30)), st.binary(max_size=70))
def test_any_headers_give_metadata_or_a_frame_error(changes, key):
    try:
        outcome = frame_metadata(key, sent(**changes)).camera_id.encode()
    except FrameError as error:
        outcome = error.reason
    assert outcome in {key, "missing-headers", "bad-headers", "bad-metadata"}


def test_frames_missing_is_a_record_among_the_frames():
    event = FramesMissing(
        camera_id="a",
        run_id="r",
        sequence=3,
        happened_at_ns=10,
        decided_at_ns=20,
        last_sequence=9,
        reason="dropped",
    )
    assert decode_missing(b"a", msgspec.json.encode(event)) == event
    headers = dict(missing_headers(event))
    assert headers["ce_type"] == b"org.streamcount.frames-missing.v1"
    assert headers["content-type"] == b"application/json"
    assert event.frames == 7


@pytest.mark.parametrize(
    ("key", "changes", "reason"),
    [
        (b"other", {}, "bad-record"),
        (b"a", {"sequence": -1}, "bad-metadata"),
        (b"a", {"last_sequence": 2}, "bad-record"),
        (b"a", {"last_sequence": 2**64 - 1}, "bad-metadata"),
        (b"a", {"run_id": "a/b"}, "bad-metadata"),
        (b"a", {"kind": "CellLeft"}, "bad-record"),
        (b"a", {"reason": 5}, "bad-record"),
    ],
)
def test_a_foolish_frames_missing_is_refused(key, changes, reason):
    good = {
        "kind": "FramesMissing", "camera_id": "a", "run_id": "r", "sequence": 3, "happened_at_ns": 1,
        "decided_at_ns": 1, "last_sequence": 9, "reason": "dropped",
    }  # fmt: skip
    assert decode_missing(b"a", json.dumps(good).encode()).sequence == 3
    with pytest.raises(FrameError) as raised:
        decode_missing(key, json.dumps({**good, **changes}).encode())
    assert raised.value.reason == reason


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[]", b"\xff", b"{"])
def test_what_is_no_record_is_refused(value):
    with pytest.raises(FrameError) as raised:
        decode_missing(b"a", value)
    assert raised.value.reason == "bad-record"
    with pytest.raises(FrameError) as raised:
        decode_event(value or b"")
    assert raised.value.reason == "bad-record"


@given(st.from_type(AnyEvent))
def test_every_event_survives_its_json(event):
    assume_finite(event)
    back = decode_event(encode_event(event))
    assert back == event
    assert back.event_id == event.event_id
    assert encode_event(back) == encode_event(event)


def floats_of(value):
    """All of them, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [number for one in value for number in floats_of(one)]
    return [value] if isinstance(value, float) else []


def assume_finite(event) -> None:
    """JSON has no NaN and no infinity, and no figure and no coordinate of a cell is either."""
    from hypothesis import assume

    assume(all(math.isfinite(number) for number in floats_of(msgspec.to_builtins(event))))
    assume(0 <= event.happened_at_ns < 2**63)
    integers = [value for value in msgspec.structs.asdict(event).values() if isinstance(value, int)]
    assume(all(-(2**63) <= value < 2**63 for value in integers))


def test_an_event_looks_as_in_the_manual():
    event = CountsUpdated(
        camera_id="scope-1",
        run_id="r1",
        sequence=7,
        happened_at_ns=1_700_000_000_000_000_000,
        decided_at_ns=1_700_000_000_000_000_000,
        counts={"red": 3, "white": 0},
        total=3,
        confirmed_tracks=2,
        cells_seen=5,
    )
    assert json.loads(encode_event(event)) == {
        "specversion": "1.0",
        "id": "scope-1/r1/7/CountsUpdated",
        "source": "/cameras/scope-1/runs/r1",
        "type": "org.streamcount.event.CountsUpdated.v1",
        "time": "2023-11-14T22:13:20.000000000Z",
        "datacontenttype": "application/json",
        "data": {
            "kind": "CountsUpdated",
            "camera_id": "scope-1",
            "run_id": "r1",
            "sequence": 7,
            "happened_at_ns": 1_700_000_000_000_000_000,
            "decided_at_ns": 1_700_000_000_000_000_000,
            "counts": {"red": 3, "white": 0},
            "total": 3,
            "confirmed_tracks": 2,
            "cells_seen": 5,
            "quality": [],
        },
    }


def test_a_cell_is_the_subject_of_its_event():
    event = CellDivided(
        camera_id="a",
        run_id="r",
        sequence=1,
        happened_at_ns=1,
        decided_at_ns=2,
        track_id=12,
        class_name="red",
        centroid_px=(1.0, 2.0),
        box_px=(0.0, 1.0, 2.0, 3.0),
        daughter_ids=(13, 14),
    )
    envelope = json.loads(encode_event(event))
    assert (envelope["subject"], envelope["id"]) == ("12", "a/r/1/CellDivided/12")
