"""A TIFF as a stack of frames, read page by page: plain, OME or ImageJ."""

from __future__ import annotations

import logging
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import SourceError
from streamcount.sources.base import EMPTY_FILE
from streamcount.sources.tiff_details import TiffDetails, imagej_details, ome_channel_names, ome_details
from streamcount.types import Image

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8"})

# Letters that tifffile gives an axis which it cannot name: a row of pages is taken as a row of times.
_UNNAMED_AXES = "IQR"

Plane: TypeAlias = int | Literal["time"] | None


@dataclass(frozen=True)
class TiffChoice:
    """Which part of a TIFF to read.

    channel: index from 0 or name. z: focal plane from 0, or "time" where planes are time points in truth.
    series: which image of a file that holds several, from 0.
    value_range: pixel values that become 0 and 65535; needed for all but whole numbers in this range.
    """

    channel: int | str | None = None
    z: Plane = None
    series: int | None = None
    value_range: tuple[float, float] | None = None


class TiffStack:
    """An open TIFF whose frames are (H, W) or (H, W, 3) RGB, uint8 or uint16, read in any order.

    Raises SourceError, from the constructor or `read`, naming the file and what to do.
    """

    def __init__(self, path: Path, choice: TiffChoice) -> None:
        from tifffile import TiffFile, TiffFileError

        self._path = path
        self._choice = choice
        try:
            self._file: TiffFile = TiffFile(path)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error
        except (TiffFileError, ValueError, IndexError) as error:
            empty = path.is_file() and not path.stat().st_size
            told = EMPTY_FILE if empty else f"not a readable TIFF ({_first_line(error)})"
            raise SourceError(f"{path}: {told}") from error
        try:
            self._open_series()
        except SourceError:
            self._file.close()
            raise
        except Exception as error:
            # tifffile meets damaged tags with whatever its parsing code happens to raise.
            self._file.close()
            raise SourceError(f"{path}: damaged or unusual TIFF ({_first_line(error)})") from error

    def __enter__(self) -> TiffStack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._frames

    def close(self) -> None:
        """Frees the file."""
        self._file.close()

    def read(self, frame: int) -> Image:
        """Frame `frame`, from 0. Raises SourceError where it is damaged."""
        try:
            pixels, is_rgb = self._pixels(self._page_index(frame))
        except SourceError:
            raise
        except Exception as error:
            # Decoders of damaged data raise anything from struct.error to zlib.error.
            raise SourceError(
                f"{self._path}: frame {frame} of {self._frames} is unreadable ({_first_line(error)}); may be "
                "cut off: copy it again, or save it uncompressed"
            ) from error
        return self._as_image(pixels, is_rgb)

    def _open_series(self) -> None:
        number = self._choice.series
        count = len(self._file.series)
        if not count or not _is_whole(self._file):
            raise SourceError(
                f"{self._path}: the TIFF is cut off or damaged; copy it again from where it was taken"
            )
        if number is None and count > 1:
            raise SourceError(
                f"{self._path}: holds {count} kinds of images; name one, series = 0 to {count - 1}"
            )
        if (number or 0) >= count:
            raise SourceError(f"{self._path}: has no series {number}; there are {count}")
        series: TiffPageSeries = self._file.series[number or 0]
        self._series = series
        page_axes = series.keyframe.axes
        self._page_axes = page_axes
        sizes = dict(zip(series.axes, series.shape, strict=True))
        outer = [axis for axis in series.axes if axis not in page_axes]
        self._outer = outer
        self._outer_shape = tuple(sizes[axis] for axis in outer)
        if len(series.axes) - len(outer) != len(page_axes) or set(page_axes) - set("YXS"):
            raise SourceError(
                f"{self._path}: axes {series.axes} are not supported; save it as an OME-TIFF of planes"
            )
        self._fixed = self._fixed_indices(sizes)
        time = [axis for axis in outer if axis not in self._fixed]
        self._frames = math.prod(sizes[axis] for axis in time)
        self._time_axes = time
        self.details = self._read_details()

    def _fixed_indices(self, sizes: dict[str, int]) -> dict[str, int]:
        """Index of each axis that does not count time: channel and focal plane."""
        fixed = {}
        for axis in self._outer:
            if axis == "C":
                fixed[axis] = self._channel_index(sizes[axis])
            elif axis == "Z" and self._choice.z != "time":
                fixed[axis] = self._plane_index(sizes)
            elif axis not in "TZ" + _UNNAMED_AXES:
                raise SourceError(f"{self._path}: axis {axis!r} is not supported; save time and channel only")
        if "C" not in self._outer and self._choice.channel is not None:
            self._channel_index(1)
        if "Z" not in self._outer and self._choice.z is not None:
            self._plane_index({**sizes, "Z": 1})
        if self._choice.z == "time" and sizes.get("T", 1) > 1 and sizes.get("Z", 1) > 1:
            raise SourceError(
                f'{self._path}: has times and planes both, so z = "time" cannot be; name a plane'
            )
        return fixed

    def _channel_names(self) -> tuple[str, ...]:
        xml = self._file.ome_metadata
        return ome_channel_names(xml, self._choice.series or 0) if xml else ()

    def _channel_index(self, count: int) -> int:
        wanted = self._choice.channel
        names = self._channel_names()
        offer = ", ".join(f"{i} {name!r}" if name else str(i) for i, name in enumerate(names or [""] * count))
        if wanted is None:
            if count > 1:
                raise SourceError(
                    f"{self._path}: holds {count} channels; choose one with --channel, or channel = in a "
                    f"configuration ({offer})"
                )
            return 0
        if isinstance(wanted, str) and wanted not in names and wanted.isdecimal():
            wanted = int(wanted)
        if isinstance(wanted, str):
            if wanted not in names:
                raise SourceError(f"{self._path}: has no channel named {wanted!r}; there are {offer}")
            wanted = names.index(wanted)
        if not 0 <= wanted < count:
            raise SourceError(f"{self._path}: has no channel {wanted}; there are {offer}")
        return wanted

    def _plane_index(self, sizes: dict[str, int]) -> int:
        z, count = self._choice.z, sizes["Z"]
        if z is None and count > 1:
            remedy = f"name one with --plane, or z = in a configuration (0 to {count - 1}"
            remedy += ', or "time" if they are times in truth)' if sizes.get("T", 1) == 1 else ")"
            raise SourceError(f"{self._path}: holds {count} focal planes; {remedy}")
        index = 0 if z is None or z == "time" else z
        if not 0 <= index < count:
            raise SourceError(f"{self._path}: has no focal plane {index}; there are {count}")
        return index

    def _read_details(self) -> TiffDetails:
        xml = self._file.ome_metadata
        if xml:
            plane = None if self._choice.z == "time" and "Z" in self._outer else self._fixed.get("Z", 0)
            return ome_details(xml, self._choice.series or 0, self._fixed.get("C", 0), plane, self._frames)
        description = self._file.imagej_metadata
        if description:
            tags = self._series.keyframe.tags
            densities = [_rational(tags.valueof(name)) for name in ("XResolution", "YResolution")]
            return imagej_details(description, (densities[0], densities[1]), self._frames)
        return TiffDetails()

    def _page_index(self, frame: int) -> int:
        if not 0 <= frame < self._frames:
            raise SourceError(f"{self._path}: has no frame {frame}; there are {self._frames}")
        if not self._outer:
            return 0
        sizes = [
            size for axis, size in zip(self._outer, self._outer_shape, strict=True) if axis in self._time_axes
        ]
        at = np.unravel_index(frame, sizes) if sizes else ()
        times = {axis: int(position) for axis, position in zip(self._time_axes, at, strict=True)}
        return int(
            np.ravel_multi_index(
                [int({**self._fixed, **times}[axis]) for axis in self._outer], self._outer_shape
            )
        )

    def _pixels(self, index: int) -> tuple[NDArray[Any], bool]:
        """Page `index`, (H, W) or (H, W, S), and whether its samples are red, green and blue."""
        series = self._series
        planes = math.prod(self._outer_shape)
        if len(series.pages) != planes:
            # ImageJ writes one directory for all planes of a file above 4 GB; they lie in a row.
            if series.dataoffset is None:
                raise SourceError(
                    f"{self._path}: {len(series.pages)} pages where {planes} were told; save it again"
                )
            dtype = np.dtype(series.dtype).newbyteorder(self._file.byteorder)
            shape = (planes, *series.keyframe.shape)
            mapped = np.memmap(self._path, dtype, "r", series.dataoffset, shape)
            return self._interpret(np.array(mapped[index], dtype.newbyteorder("=")))
        page = series.pages[index]
        if page is None:
            raise SourceError(f"{self._path}: plane {index} is missing; are all files of the OME-TIFF there?")
        if not _tifffile_decodes(series.keyframe):
            return _read_with_opencv(Path(page.parent.filehandle.path), page.index, self._path)
        return self._interpret(page.asarray())

    def _interpret(self, pixels: NDArray[Any]) -> tuple[NDArray[Any], bool]:
        keyframe = self._series.keyframe
        if self._page_axes[0] == "S":
            pixels = np.moveaxis(pixels, 0, -1)
        colours = keyframe.colormap
        if int(keyframe.photometric) == _PALETTE and colours is not None and not self._file.is_imagej:
            # (3, 256) uint16. ImageJ's palette only tints grey values, which are what was measured.
            return (np.moveaxis(colours[:, pixels], 0, -1) >> 8).astype(np.uint8), True
        if int(keyframe.photometric) == _MINISWHITE and pixels.dtype.kind == "u":
            pixels = np.iinfo(pixels.dtype).max - pixels
        return pixels, pixels.ndim == 3 and pixels.shape[2] >= 3

    def _as_image(self, pixels: NDArray[Any], is_rgb: bool) -> Image:
        limits = self._choice.value_range
        if limits is not None:
            low, high = limits
            scaled = (pixels.astype(np.float64) - low) * (65535.0 / (high - low))
            pixels = np.clip(np.nan_to_num(np.rint(scaled), nan=0.0), 0, 65535).astype(np.uint16)
        if pixels.dtype not in (np.uint8, np.uint16):
            pixels = self._sixteen_bits(pixels)
        if pixels.ndim == 2:
            return pixels
        return np.ascontiguousarray(pixels[:, :, :3] if is_rgb else pixels[:, :, 0])

    def _sixteen_bits(self, pixels: NDArray[Any]) -> NDArray[np.uint16]:
        """Whole numbers as they are, as long as 16 bits hold them: most programs write labels with 32."""
        bits, seen = "1-bit" if pixels.dtype == bool else str(pixels.dtype), ""
        if pixels.dtype.kind in "iu" and pixels.size:
            low, high = int(pixels.min()), int(pixels.max())
            if low >= 0 and high <= 65535:
                return pixels.astype(np.uint16)
            seen = f" from {low} to {high}, beyond 0 to 65535: number labels anew, or"
        raise SourceError(
            f"{self._path}: {bits} pixels{seen or ';'} save it with 8 or 16 bits, or say which are black and white "
            "with value_range = [low, high]"
        )


# What tifffile warns of is an error here or does not matter; keep it off the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MINISWHITE, _PALETTE = 0, 3
_UNCOMPRESSED_OR_DEFLATE = frozenset({1, 8, 32946, 32773})


# Bytes of a value of each TIFF data type, 1 (BYTE) to 18 (IFD8 of BigTIFF).
_VALUE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


def _is_whole(file: TiffFile) -> bool:
    """Whether the chain of pages ends as it should, and the first page's tags lie within the file.

    tifffile passes over pages, and over the description, that a cut-off file lacks.
    """
    layout, handle = file.tiff, file.filehandle
    handle.seek(file.pages[-1].offset)
    tags = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))[0]
    handle.seek(tags * layout.tagsize, 1)
    following = handle.read(layout.offsetsize)
    if len(following) != layout.offsetsize or any(following):
        return False
    handle.seek(file.pages[0].offset)
    tags = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))[0]
    directory = handle.read(tags * layout.tagsize)
    entry_format = file.byteorder + ("HHQQ" if layout.offsetsize == 8 else "HHII")
    for _, kind, values, offset in struct.iter_unpack(entry_format, directory):
        size = _VALUE_BYTES.get(kind, 0) * values
        if size > layout.offsetsize and offset + size > handle.size:
            return False
    return True


def _tifffile_decodes(page: TiffPage) -> bool:
    """Whether tifffile reads the page by itself; LZW, JPEG and the rest need codecs or OpenCV's libtiff."""
    if int(page.compression) not in _UNCOMPRESSED_OR_DEFLATE or page.bitspersample not in (1, 8, 16, 32, 64):
        try:
            import imagecodecs  # type: ignore[import-not-found,unused-ignore] # noqa: F401
        except ImportError:
            return False
    return True


def _read_with_opencv(path: Path, index: int, named: Path) -> tuple[NDArray[Any], bool]:
    import cv2

    unchanged = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    read, pages = cv2.imreadmulti(str(path), start=index, count=1, flags=unchanged)
    if not read or not pages:
        raise SourceError(f"{named}: page {index} is damaged or of unknown compression; save it uncompressed")
    pixels = pages[0]
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        return pixels[:, :, 2::-1], True
    return pixels, False


def _rational(value: Any) -> float | None:
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return None


def _first_line(error: BaseException) -> str:
    if isinstance(error, zlib.error):
        return "compressed data are damaged"
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
