"""One image file as pixels: PNG, JPEG, BMP, WebP, or a TIFF with a single frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import FrameError, SourceError
from streamcount.sources.base import EMPTY_FILE
from streamcount.sources.tiff_stack import TIFF_SUFFIXES, TiffChoice, TiffStack
from streamcount.types import Image
from streamcount.wire import images as wire

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif"})
IMAGE_SUFFIXES = frozenset({".png", ".bmp", ".webp"}) | JPEG_SUFFIXES | TIFF_SUFFIXES

UNREADABLE = "no readable image; damaged, cut off, or not what its name says"


@dataclass(frozen=True)
class Still:
    """An image, (H, W) or (H, W, 3) RGB, uint8 or uint16, and what its file says of it."""

    image: Image
    pixel_size_um: float | None = None
    channel: str = ""


def is_image_name(path: Path) -> bool:
    """Whether the name is that of an image, and not of a hidden file such as macOS's "._cells.png"."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_tiff_name(path: Path) -> bool:
    """Whether the name is that of a TIFF."""
    return path.suffix.lower() in TIFF_SUFFIXES


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts names as a person would: t2 before t10, capitals beside small letters."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], path.name


def natural_path_key(path: Path) -> list[tuple[list[tuple[int, int, str]], str]]:
    """The same of the whole path, so that what lies in one folder stays together."""
    return [natural_key(Path(part)) for part in path.parts]


def read_image(path: Path | str) -> Image:
    """The image in a file: (H, W) or (H, W, 3) RGB, uint8 or uint16.

    As stored: EXIF rotation is not applied. Alpha is dropped. Raises SourceError, naming file and remedy.
    """
    return read_still(Path(path)).image


def read_still(path: Path, choice: TiffChoice | None = None) -> Still:
    """The only frame of an image file; `choice` says which part of a TIFF. Raises SourceError."""
    if is_tiff_name(path):
        return _read_tiff_still(path, choice or TiffChoice())
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise SourceError(f"{path}: {EMPTY_FILE}")
    if wire.is_cut_off_jpeg(data):
        raise SourceError(f"{path}: the JPEG is cut off; copy it again from where it was taken")
    try:
        # Ignoring EXIF keeps results in the coordinates of the stored pixels.
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        # What OpenCV says is a condition of its code.
        told = "too many pixels to be read; cut it into tiles" if "CV_IO_MAX" in str(error) else UNREADABLE
        raise SourceError(f"{path}: {told}") from error
    if pixels is None:
        raise SourceError(f"{path}: {UNREADABLE}")
    return Still(rgb_from_bgr(pixels, path))


def rgb_from_bgr(pixels: NDArray[Any], origin: object) -> Image:
    """OpenCV's pixels, (H, W[, 1, 3 or 4]) BGR(A), as (H, W) or (H, W, 3) RGB. Raises SourceError."""
    try:
        return wire.rgb_from_bgr(pixels)
    except FrameError as error:
        raise SourceError(f"{origin}: {error}") from error


def _read_tiff_still(path: Path, choice: TiffChoice) -> Still:
    with TiffStack(path, choice) as stack:
        if len(stack) != 1:
            raise SourceError(
                f"{path}: a stack of {len(stack)} frames among single images; read it by itself, as a TIFF"
            )
        return Still(stack.read(0), stack.details.pixel_size_um, stack.details.channel)
