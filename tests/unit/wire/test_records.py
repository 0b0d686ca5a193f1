"""Detections, tracks and states as bytes and back."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.tracking import film
from streamcount.detection import LabelsConfig
from streamcount.errors import FrameError
from streamcount.pipeline import Pipeline, PipelineState
from streamcount.tracking import KalmanConfig
from streamcount.types import (
    OUTLINE_POINTS,
    Detections,
    Divisions,
    FrameMetadata,
    FramesMissing,
    ModelIdentity,
    Tracks,
)
from streamcount.wire import arrays, records

META = FrameMetadata(camera_id="a", run_id="r", sequence=4, acquired_at_ns=123, pixel_size_um=0.5)


class Holder(msgspec.Struct, eq=False):
    array: np.ndarray[Any, Any]


MODEL = ModelIdentity("m", "0" * 64, ("red", "white"), ("white",))


def detections(n: int, labels: bool = False, seed: int = 0) -> Detections:
    random = np.random.default_rng(seed)
    return Detections(
        metadata=META,
        image_shape=(40, 60),
        model=MODEL,
        centroids_px=random.random((n, 2), np.float32),
        boxes_px=random.random((n, 4), np.float32),
        areas_px=random.random(n, np.float32),
        class_probabilities=random.random((n, 2), np.float32),
        labels=np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) if labels else None,
        quality=("saturated",),
    )


def tracks(n: int, seed: int = 0) -> Tracks:
    random = np.random.default_rng(seed)
    shapes = {
        "centroids_px": (n, 2),
        "velocities_px": (n, 2),
        "boxes_px": (n, 4),
        "areas_px": n,
        "relative_areas": n,
    }
    columns: dict[str, Any] = {name: random.random(shape, np.float32) for name, shape in shapes.items()}
    for name in ("track_ids", "parent_ids", "class_ids", "detection_rows"):
        columns[name] = random.integers(-1, 2**62, n)
    for name in ("first_sequences", "last_sequences", "first_seen_ns", "last_seen_ns"):
        columns[name] = random.integers(0, 2**62, n)
    for name in ("generations", "sightings"):
        columns[name] = random.integers(0, 2**31, n).astype(np.int32)
    for name in ("status", "previous_status"):
        columns[name] = random.integers(0, 4, n).astype(np.uint8)
    divisions = Divisions(np.array([3]), np.array([[4, 5]]), np.zeros(1, np.uint8))
    return Tracks(metadata=META, image_shape=(40, 60), divisions=divisions, **columns)


def assert_same(one: Any, other: Any) -> None:
    """The same to the last bit: arrays in dtype, shape and values, all else by equality."""
    assert type(one) is type(other)
    for name in one.__struct_fields__:
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, name
            np.testing.assert_array_equal(left, right, err_msg=name)
        elif isinstance(left, msgspec.Struct):
            assert_same(left, right)
        else:
            assert left == right, name


@given(st.integers(0, 40), st.integers(0, 2**32))
def test_detections_return_to_the_last_bit(n, seed):
    value = detections(n, seed=seed)
    assert_same(records.decode_detections(records.encode_detections(value)), value)


@given(st.integers(0, 40), st.integers(0, 2**32))
def test_tracks_return_to_the_last_bit(n, seed):
    value = tracks(n, seed)
    back = records.decode_tracks(records.encode_tracks(value, ("red", "white")))
    assert back.class_names == ("red", "white")
    assert_same(back.tracks, value)


def test_a_label_image_stays_behind():
    value = detections(3, labels=True)
    assert value.labels is not None
    data = records.encode_detections(value)
    assert len(data) < value.labels.nbytes / 4
    assert_same(records.decode_detections(data), detections(3))


def test_frames_missing_travel_with_the_detections():
    missing = FramesMissing(
        camera_id="a",
        run_id="r",
        sequence=3,
        happened_at_ns=1,
        decided_at_ns=2,
        last_sequence=9,
        reason="dropped",
    )
    assert records.decode_detections(records.encode_detections(missing)) == missing


def test_equal_values_give_equal_bytes():
    assert records.encode_detections(detections(5)) == records.encode_detections(detections(5))


def test_a_view_with_strides_is_written_row_by_row():
    value = detections(6)
    flipped = msgspec.structs.replace(value, centroids_px=value.centroids_px[::-1, ::-1])
    back = records.decode_detections(records.encode_detections(flipped))
    assert isinstance(back, Detections)
    np.testing.assert_array_equal(back.centroids_px, value.centroids_px[::-1, ::-1])


def test_decoded_arrays_cannot_be_written():
    back = records.decode_detections(records.encode_detections(detections(2)))
    assert isinstance(back, Detections)
    with pytest.raises(ValueError, match="read-only"):
        back.areas_px[0] = 1


def test_a_state_returns_to_the_last_bit():
    state = PipelineState(
        camera_id="a",
        tracker=KalmanConfig().build().initial_state(),
        run_id="r",
        last_sequence=8,
        finished_runs=("q",),
    )
    data = records.encode_state(state)
    assert_same(records.decode_state(data), state)
    assert records.encode_state(records.decode_state(data)) == data


@pytest.mark.parametrize("data", [b"", bytes([records.STATE_VERSION + 1]) + b"\x80"])
def test_a_state_of_another_version_is_refused(data):
    with pytest.raises(FrameError) as raised:
        records.decode_state(data)
    assert raised.value.reason == records.OTHER_VERSION


def test_a_damaged_state_is_refused():
    with pytest.raises(FrameError) as raised:
        records.decode_state(bytes([records.STATE_VERSION]) + b"\x81\xa1x\x01")
    assert raised.value.reason == "bad-record"


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_as_a_record(data):
    for decode in (records.decode_detections, records.decode_tracks):
        with pytest.raises(FrameError) as raised:
            decode(data)
        assert raised.value.reason == "bad-record"


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_record_with_a_turned_byte_is_read_or_refused(at, change):
    data = bytearray(records.encode_detections(detections(3)))
    data[at % len(data)] ^= change
    try:
        outcome = type(records.decode_detections(bytes(data))).__name__
    except FrameError as error:
        outcome = error.reason
    assert outcome in {"Detections", "FramesMissing", "bad-record", "bad-metadata"}


@pytest.mark.parametrize(
    "triple",
    [
        ("|O", (1,), b"\0" * 8),
        ("<f4", (2,), b"\0" * 4),
        ("<f4", "x", b""),
        ("<f4", (1,)),
        "<f4",
        None,
        ("<c8", (1,), b"\0" * 8),
    ],
)
def test_an_array_that_is_none_is_refused(triple):
    tree = msgspec.msgpack.decode(records.encode_detections(detections(1)))
    tree["detections"]["areas_px"] = triple
    with pytest.raises(FrameError) as raised:
        records.decode_detections(msgspec.msgpack.encode(tree))
    assert raised.value.reason == "bad-record"


@pytest.mark.parametrize("dtype", [object, np.complex64, np.float16, "U3"])
def test_the_wire_carries_numbers_only(dtype):
    value = msgspec.structs.replace(detections(1), areas_px=np.zeros(1, dtype))
    with pytest.raises(TypeError, match="does not carry"):
        records.encode_detections(value)


def test_detections_read_without_streamcount_as_the_manual_says():
    """docs/wire.md: MessagePack maps; an array is [dtype, shape, bytes]."""
    value = detections(2)
    tree = msgspec.msgpack.decode(records.encode_detections(value))
    assert tree["kind"] == "Detections"
    inner = tree["detections"]
    assert inner["metadata"]["camera_id"] == "a"
    assert inner["model"]["class_names"] == ["red", "white"]
    dtype, shape, data = inner["boxes_px"]
    np.testing.assert_array_equal(np.frombuffer(data, dtype).reshape(shape), value.boxes_px)


def test_big_endian_arrays_are_written_little_endian():
    value = msgspec.structs.replace(detections(2), areas_px=np.array([1, 2], ">f4"))
    back = arrays.decode(arrays.encode(value), Detections)
    np.testing.assert_array_equal(back.areas_px, [1, 2])


@pytest.mark.parametrize(
    "array",
    [
        np.empty(0, np.int64),
        np.full(5, -3, np.int32),
        np.arange(-100, 100, dtype=np.int64),
        np.array([0, 70_000, 5], np.int64),
        np.array([0, 2**31, 5], np.int64),
        np.array([-(2**62), 2**62, 3], np.int64),
        np.repeat(np.array([10**18, 10**18 + 10**13, -5]), 400),
        np.arange(1000, dtype=np.int64) % 300 * 10**15,
        np.array([True, False, True]),
        np.array([7, 255], np.uint8),
        np.array([[1, 2], [3, 900]], np.int16),
        np.array([2**63 + 5, 2**63], np.uint64),
        np.array([1.5, -2.25], np.float16),
        np.linspace(0, 1, 7, dtype=np.float32),
        np.arange(9, dtype=np.int32) % 2,
        np.arange(9, dtype=np.int32) % 13,
        np.arange(16, dtype=np.uint8).reshape(2, 8),
        np.arange(60, dtype=np.float32).reshape(20, 3) / 8 - 40,
        np.array([np.nan, 1 / 2048, -3, np.nan], np.float32),
        np.array([np.nan, np.nan], np.float32),
        np.array([0.0, -0.0, 1.0], np.float32),
        np.array([1.0, np.inf, np.nan], np.float32),
        np.array([2.0**19, -(2.0**19), 0.5], np.float32),
        np.array([2.0**60, 2.0**60 + 2.0**40], np.float32),
        np.append(np.zeros(20, np.float32), np.float32(1e-9)),
    ],
    ids=str,
)
def test_packed_arrays_come_back_the_same(array) -> None:
    data = arrays.encode(Holder(array), packed=True)
    back = arrays.decode(data, Holder).array
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    if array.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(back), np.signbit(array))
    assert not back.flags.writeable
    assert len(data) <= array.nbytes + 60


def test_integers_that_differ_little_take_little_room() -> None:
    ids = np.arange(1_000_000, 1_001_000)
    assert len(arrays.encode(Holder(ids), packed=True)) < 0.3 * ids.nbytes


def test_floats_on_a_grid_take_half_the_room() -> None:
    pixels = np.arange(8000, dtype=np.float32) / 8
    assert len(arrays.encode(Holder(pixels), packed=True)) < 0.51 * pixels.nbytes


def test_a_state_takes_less_than_a_hundred_bytes_a_track() -> None:
    pipeline = Pipeline(LabelsConfig().build(), KalmanConfig().build())
    state = pipeline.initial_state("bench")
    for found in film(1000)[:20]:
        state, _ = pipeline.advance(state, found)
    data = records.encode_state(state)
    assert len(state.tracker) > 1000
    assert len(data) < 100 * len(state.tracker)
    assert_same(records.decode_state(data), state)


def outlined(n: int, seed: int = 0) -> Detections:
    shape = (n, OUTLINE_POINTS, 2)
    outlines = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    return msgspec.structs.replace(detections(n, seed=seed), outlines=outlines)


@given(st.integers(0, 40), st.integers(0, 2**32))
def test_outlines_return_as_they_were(n: int, seed: int) -> None:
    value = outlined(n, seed)
    assert_same(records.decode_detections(records.encode_detections(value)), value)


def test_outlines_take_48_bytes_a_cell() -> None:
    plain, more = (len(records.encode_detections(one)) for one in (detections(300), outlined(300)))
    assert more - plain < 48 * 300 + 32


def test_outlines_read_without_streamcount_as_the_manual_says() -> None:
    """docs/wire.md: 85 is where a side of the box begins, 170 where it ends."""
    value = outlined(3)
    inner = msgspec.msgpack.decode(records.encode_detections(value))["detections"]
    (boxes, outlines) = (
        np.frombuffer(data, dtype).reshape(shape)
        for dtype, shape, data in (inner["boxes_px"], inner["outlines"])
    )
    y0, x0, y1, x1 = boxes.T[..., None]
    shares = outlines / 85 - 1
    points = np.stack([y0 + shares[..., 0] * (y1 - y0), x0 + shares[..., 1] * (x1 - x0)], axis=2)
    np.testing.assert_allclose(value.outlines_px, points, atol=1e-5)


def test_outlines_are_in_no_state() -> None:
    pipeline = Pipeline(LabelsConfig().build(), KalmanConfig().build())
    stored = []
    for drawn in (False, True):
        state, told = pipeline.initial_state("bench"), []
        for found in film(20)[:8]:
            lines = np.ones((len(found), OUTLINE_POINTS, 2), np.uint8) if drawn else None
            state, result = pipeline.advance(state, msgspec.structs.replace(found, outlines=lines))
            assert result.tracks is not None
            told.append((records.encode_tracks(result.tracks, ("cell",)), result.events))
        stored.append((records.encode_state(state), told))
    assert stored[0] == stored[1]


@pytest.mark.parametrize("name", ["intensities", "novelties", "outlines"])
def test_detections_of_an_older_version_lack_what_came_later(name: str) -> None:
    older = detections(3)
    fields = {field: getattr(older, field) for field in older.__struct_fields__ if field != name}
    data = arrays.encode({"kind": "Detections", "detections": {**fields, "unheard_of": 1}})
    back = records.decode_detections(data)
    assert isinstance(back, Detections)
    assert getattr(back, name) is None
    if name == "outlines":
        return
    measured = msgspec.structs.replace(older, **{name: np.array([-0.5, 0, np.nan], np.float32)})
    back = records.decode_detections(records.encode_detections(measured))
    assert isinstance(back, Detections)
    np.testing.assert_array_equal(getattr(back, name), [-0.5, 0, np.nan])
