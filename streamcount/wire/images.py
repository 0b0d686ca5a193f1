"""Images as bytes and back: JPEG, PNG, or raw pixels."""

from __future__ import annotations

import struct
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import FrameError
from streamcount.types import Image

Encoding: TypeAlias = Literal["jpeg", "png", "raw"]

CONTENT_TYPES: dict[Encoding, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "raw": "application/vnd.streamcount.raw",
}

# Raw: magic, height, width, channels (1 or 3), bytes per sample (1 or 2); then the samples, little-endian.
_RAW = struct.Struct("<4sIIBB")
_RAW_MAGIC = b"SCR1"

_JPEG_BEGIN, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"

# What the bytes of each content-type begin with, for where nobody says what they are.
BEGINNINGS: dict[bytes, str] = {
    _JPEG_BEGIN: CONTENT_TYPES["jpeg"],
    _PNG_BEGIN: CONTENT_TYPES["png"],
    _RAW_MAGIC: CONTENT_TYPES["raw"],
}


def encode_image(image: Image, encoding: Encoding, jpeg_quality: int = 92) -> bytes:
    """The image, (H, W) or (H, W, 3) RGB, uint8 or uint16, as bytes.

    Raises FrameError ("cannot-encode") for a 16-bit image as JPEG, which would lose what the camera measured.
    """
    if encoding == "raw":
        height, width = image.shape[:2]
        channels = 1 if image.ndim == 2 else 3
        header = _RAW.pack(_RAW_MAGIC, height, width, channels, image.dtype.itemsize)
        return header + np.ascontiguousarray(image, image.dtype.newbyteorder("<")).tobytes()
    if encoding == "jpeg" and image.dtype != np.uint8:
        raise FrameError(
            "cannot-encode", 'JPEG holds 8 bits; send 16-bit images with encoding = "png" or "raw"'
        )
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if encoding == "jpeg":
        ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    else:
        # Level 1: three times as fast as the default for a tenth more bytes, and frames do not wait.
        ok, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not ok:
        raise FrameError("cannot-encode", f"OpenCV could not write {image.shape} {image.dtype} as {encoding}")
    return data.tobytes()


def decode_image(data: bytes, content_type: str, max_pixels: int) -> Image:
    """The image in `data`: (H, W) or (H, W, 3) RGB, uint8 or uint16.

    max_pixels: refused beyond it, before the pixels are unpacked.
    Raises FrameError ("unknown-content-type", "undecodable", "too-many-pixels").
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == CONTENT_TYPES["raw"]:
        return _decode_raw(data, max_pixels)
    if kind not in ("image/jpeg", "image/png"):
        raise FrameError(
            "unknown-content-type", f"content-type {content_type!r}: send image/jpeg, image/png or raw"
        )
    height, width = _size(data, kind)
    if height * width > max_pixels:
        raise FrameError(
            "too-many-pixels", f"{width}x{height} is more than {max_pixels} pixels (limits.frame_pixels)"
        )
    if is_cut_off_jpeg(data):
        raise FrameError("undecodable", "the JPEG is cut off: it has no end-of-image marker")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise FrameError("undecodable", f"{len(data)} bytes are no {kind} that can be read")
    return rgb_from_bgr(pixels)


def is_cut_off_jpeg(data: bytes) -> bool:
    """Whether the bytes begin as a JPEG and lack its end; a thumbnail's end within does not count.

    OpenCV 4 fills the missing part with grey and calls it good: cells would be missing from the count.
    """
    return data.startswith(_JPEG_BEGIN) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)


def rgb_from_bgr(pixels: NDArray[Any]) -> Image:
    """OpenCV's pixels, (H, W[, 1, 3 or 4]) BGR(A), as (H, W) or (H, W, 3) RGB. Raises FrameError ("undecodable")."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise FrameError("undecodable", f"{pixels.dtype} pixels; save it with 8 or 16 bits")
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[:, :, 0]
    code = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}.get(pixels.shape[2])
    if code is None:
        raise FrameError("undecodable", f"{pixels.shape[2]} channels; save it as grey or RGB")
    converted: Image = cv2.cvtColor(pixels, code)  # type: ignore[assignment]
    return converted


def _decode_raw(data: bytes, max_pixels: int) -> Image:
    if len(data) < _RAW.size:
        raise FrameError("undecodable", "a raw image has a header of 14 bytes")
    magic, height, width, channels, item_bytes = _RAW.unpack_from(data)
    if magic != _RAW_MAGIC or channels not in (1, 3) or item_bytes not in (1, 2) or not height * width:
        raise FrameError("undecodable", "the raw image's header is not streamcount's (see docs/wire.md)")
    if height * width > max_pixels:
        raise FrameError(
            "too-many-pixels", f"{width}x{height} is more than {max_pixels} pixels (limits.frame_pixels)"
        )
    if len(data) - _RAW.size != height * width * channels * item_bytes:
        raise FrameError(
            "undecodable", f"a raw {width}x{height}x{channels} image has other than {len(data)} bytes"
        )
    shape = (height, width) if channels == 1 else (height, width, 3)
    pixels = np.frombuffer(data, "<u2" if item_bytes == 2 else np.uint8, offset=_RAW.size).reshape(shape)
    return pixels.astype(np.uint16, copy=False) if item_bytes == 2 else pixels


def _size(data: bytes, kind: str) -> tuple[int, int]:
    """(height, width) from the file's header alone, so that a decompression bomb is never unpacked."""
    if kind == "image/png":
        if len(data) < 24 or data[:8] != _PNG_BEGIN or data[12:16] != b"IHDR":
            raise FrameError("undecodable", "the bytes do not begin as a PNG does")
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if not data.startswith(_JPEG_BEGIN):
        raise FrameError("undecodable", "the bytes do not begin as a JPEG does")
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return height, width
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise FrameError("undecodable", "the JPEG has no frame header")
