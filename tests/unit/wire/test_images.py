"""Images as bytes and back, and what is refused."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamcount.errors import FrameError
from streamcount.wire.images import CONTENT_TYPES, decode_image, encode_image

MANY = 10**8
JPEG, PNG, RAW = CONTENT_TYPES["jpeg"], CONTENT_TYPES["png"], CONTENT_TYPES["raw"]


def picture(shape=(48, 64, 3), dtype=np.uint8, seed=0):
    """Smooth enough that JPEG keeps it."""
    noise = np.random.default_rng(seed).random(shape)
    top = np.iinfo(dtype).max
    return (cv2.GaussianBlur(noise, (0, 0), 5) * top).astype(dtype).reshape(shape)


def reason(data: bytes, content_type: str, max_pixels: int = MANY) -> str:
    with pytest.raises(FrameError) as raised:
        decode_image(data, content_type, max_pixels)
    return raised.value.reason


images = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.one_of(
            st.tuples(st.integers(1, 20), st.integers(1, 20)),
            st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)),
        ),
    )
)


@given(images, st.sampled_from(["png", "raw"]))
def test_png_and_raw_return_every_sample(image, encoding):
    back = decode_image(encode_image(image, encoding), CONTENT_TYPES[encoding], MANY)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


def test_jpeg_is_near_and_colors_stay_in_their_order():
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 220
    image[..., 2] = 30
    back = decode_image(encode_image(image, "jpeg"), JPEG, MANY)
    np.testing.assert_allclose(back.mean((0, 1)), [220, 0, 30], atol=3)


def test_jpeg_of_grey_stays_grey():
    image = picture((40, 50))
    back = decode_image(encode_image(image, "jpeg", 95), JPEG, MANY)
    assert back.shape == (40, 50)
    assert np.abs(back.astype(int) - image).mean() < 3


def test_jpeg_quality_is_heeded():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode_image(image, "jpeg", 40)) < len(encode_image(image, "jpeg", 95)) / 2


def test_sixteen_bits_do_not_go_into_a_jpeg():
    with pytest.raises(FrameError, match="png") as raised:
        encode_image(picture(dtype=np.uint16), "jpeg")
    assert raised.value.reason == "cannot-encode"


def test_alpha_is_dropped():
    bgra = np.dstack([picture((8, 9, 3))[..., ::-1], np.full((8, 9), 7, np.uint8)])
    data = cv2.imencode(".png", bgra)[1].tobytes()
    np.testing.assert_array_equal(decode_image(data, PNG, MANY), bgra[..., 2::-1])


def test_a_content_type_may_have_parameters_and_capitals():
    assert decode_image(encode_image(picture(), "png"), "Image/PNG; charset=x", MANY).shape == (48, 64, 3)


@pytest.mark.parametrize("content_type", ["", "image/gif", "text/plain", "image/tiff", "application/json"])
def test_an_unknown_content_type_is_refused(content_type):
    assert reason(encode_image(picture(), "png"), content_type) == "unknown-content-type"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_a_cut_off_image_is_refused_and_never_filled_up(encoding, share):
    data = encode_image(picture((120, 160, 3)), encoding)
    assert reason(data[: int(len(data) * share)], CONTENT_TYPES[encoding]) == "undecodable"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_off_png_is_refused(share):
    data = encode_image(picture((120, 160, 3)), "png")
    assert reason(data[: int(len(data) * share)], PNG) == "undecodable"


@pytest.mark.parametrize("content_type", [JPEG, PNG, RAW])
@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"not an image at all" * 9, b"\0" * 99]
)
def test_what_is_no_image_is_refused(data, content_type):
    assert reason(data, content_type) == "undecodable"


@given(
    st.binary(max_size=200),
    st.sampled_from([JPEG, PNG, RAW]),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"SCR1"]),
)
def test_any_bytes_give_an_image_or_a_frame_error(data, content_type, beginning):
    try:
        outcome = decode_image(beginning + data, content_type, 10_000).dtype.name
    except FrameError as error:
        outcome = error.reason
    assert outcome in {"uint8", "uint16", "undecodable", "too-many-pixels"}


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(side: int) -> bytes:
    """A valid PNG header of side*side pixels; its content is a few bytes."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + png_chunk(b"IEND", b"")
    )


def jpeg_bomb() -> bytes:
    """A JPEG whose frame header says 65000 x 65000."""
    data = bytearray(encode_image(picture(), "jpeg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (png_bomb(60_000), PNG),
        (jpeg_bomb(), JPEG),
        (struct.pack("<4sIIBB", b"SCR1", 60_000, 60_000, 3, 2), RAW),
    ],
)
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(data, content_type, monkeypatch):
    def unpack(*_):
        raise AssertionError("the bomb was handed to the decoder")

    monkeypatch.setattr(cv2, "imdecode", unpack)
    assert reason(data, content_type, 64_000_000) == "too-many-pixels"


@pytest.mark.parametrize("encoding", ["jpeg", "png", "raw"])
def test_the_limit_of_pixels_is_the_last_that_passes(encoding):
    data = encode_image(picture((10, 20, 3)), encoding)
    assert decode_image(data, CONTENT_TYPES[encoding], 200).shape == (10, 20, 3)
    assert reason(data, CONTENT_TYPES[encoding], 199) == "too-many-pixels"


@pytest.mark.parametrize(
    "header",
    [
        (b"SCR2", 2, 2, 1, 1),
        (b"SCR1", 0, 2, 1, 1),
        (b"SCR1", 2, 2, 2, 1),
        (b"SCR1", 2, 2, 4, 1),
        (b"SCR1", 2, 2, 1, 4),
    ],
)
def test_a_raw_image_with_a_foolish_header_is_refused(header):
    assert reason(struct.pack("<4sIIBB", *header) + b"\0" * 64, RAW) == "undecodable"


def test_the_raw_form_is_as_documented():
    """docs/wire.md: 4 letters, two little-endian 32-bit and two 8-bit numbers, then the samples by rows."""
    data = b"SCR1" + bytes([2, 0, 0, 0, 3, 0, 0, 0, 1, 2]) + bytes([1, 0, 2, 0, 3, 0, 0, 1, 5, 0, 6, 0])
    back = decode_image(data, RAW, MANY)
    np.testing.assert_array_equal(back, np.array([[1, 2, 3], [256, 5, 6]], np.uint16))
    assert encode_image(back, "raw") == data
