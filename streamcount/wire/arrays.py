"""Structs that hold NumPy arrays, as MessagePack and back.

An array is the triple (dtype, shape, bytes), little-endian, row by row; all else is as msgspec writes it. What only
this program reads again may be packed: of integers, most of which differ little, only the differences to the least
one are written, in as few bits as they fit, or each value that occurs once and its number in the place of it. Floats
that are whole multiples of a step, such as eighths of a pixel, are written as such integers. Nothing is lost by it.
"""

from __future__ import annotations

import math
import threading
from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np

from streamcount.errors import FrameError

T = TypeVar("T")

# Only numbers: a decoded dtype must never be able to name Python objects.
DTYPES = frozenset({"|b1", "|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4", "<i8", "<f4", "<f8"})
PACKED_DTYPES = DTYPES | {"<f2"}
LONGEST = 8
# Forms of numbers below a limit, and the bytes that each number takes: two or eight of the smallest share a byte.
BIT, HALF = "bit", "half"
FORMS = ((BIT, 2, 0.125), (HALF, 16, 0.5), ("|u1", 1 << 8, 1.0), ("<u2", 1 << 16, 2.0), ("<u4", 1 << 32, 4.0))
# Floats are looked at for being multiples of one over this; the first ones before all.
GRID, FIRST, LARGEST = 2048, 16, 2.0**30
MINUS_ZERO = np.iinfo(np.int32).min


def encode(value: object, *, packed: bool = False) -> bytes:
    """MessagePack of a struct. Raises TypeError for a dtype that the wire does not carry."""
    return (_PACKER if packed else _ENCODER).encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """The struct of type `kind` in `data`; its arrays are read-only views of `data`.

    Raises FrameError ("bad-record") where the bytes are not that.
    """
    try:
        return _decoder(kind).decode(data)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        name = getattr(kind, "__name__", str(kind))
        raise FrameError("bad-record", f"{len(data)} bytes are not a record of {name}: {error}") from error


def _to_wire(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return _as_triple(value, DTYPES)


def _as_triple(value: object, dtypes: frozenset[str]) -> tuple[str, tuple[int, ...], bytes]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"the wire does not carry {type(value).__name__}")
    little = value.dtype.newbyteorder("<")
    if little.str not in dtypes:
        raise TypeError(f"the wire does not carry arrays of {value.dtype}")
    return (little.str, value.shape, _little(value))


def _to_packed(value: object) -> object:
    """As `_to_wire`, with integers as (dtype, shape, narrow bytes, form, base or table), and floats on a grid as
    (dtype, shape, narrow bytes, form, base, shift); see `_on_grid`.
    """
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray) or not value.size or value.dtype.kind not in "iubf":
        return _as_triple(value, PACKED_DTYPES)
    packed = _on_grid(value.ravel()) if value.dtype == np.float32 else _as_integers(value.ravel())
    if packed is None:
        return _as_triple(value, PACKED_DTYPES)
    return (value.dtype.newbyteorder("<").str, value.shape, *packed)


def _as_integers(flat: np.ndarray[Any, Any]) -> tuple[bytes, str, int | bytes] | None:
    """Narrow bytes, their form, and base or table. None where they would not be shorter."""
    width = flat.dtype.itemsize
    if flat.dtype.kind == "f":
        return None
    if flat.dtype.kind == "b":
        flat = flat.view(np.uint8)
    least, most = int(flat.min()), int(flat.max())
    if most == least:
        return b"", "", least
    form, size = _shortest(most - least)
    if width == LONGEST and size > 2:
        table, numbers = np.unique(flat, return_inverse=True)
        few, less = _shortest(len(table) - 1)
        if table.nbytes + len(flat) * less < len(flat) * size:
            return _narrowed(numbers, few), few, _little(table)
    return (_narrowed(flat - least, form), form, least) if size < width else None


def _on_grid(flat: np.ndarray[Any, Any]) -> tuple[bytes, str, int, int] | None:
    """Narrow bytes, their form, base and shift of float32 values that all are multiples of 1 / GRID, or NaN.

    A value is (base + ((number - 1) << shift)) / GRID; the number 0 is NaN. None where they are no such values, or
    would not be shorter.
    """
    # Most that lie on no grid show it soon.
    if not _whole(flat[:FIRST] * np.float32(GRID)):
        return None
    scaled = flat * np.float32(GRID)
    known = None if math.isfinite(float(scaled.sum())) else ~np.isnan(scaled)
    if known is not None:
        scaled = scaled[known]
    if not _whole(scaled):
        return None
    if (scaled.view(np.int32) == MINUS_ZERO).any():
        return None
    numbers = scaled.astype(np.int32)
    least = int(numbers.min()) if len(numbers) else 0
    numbers -= least
    together = int(np.bitwise_or.reduce(numbers, initial=0))
    shift = max((together & -together).bit_length() - 1, 0)
    form, size = _shortest((together >> shift) + 1)
    if size >= flat.itemsize:
        return None
    numbers = (numbers >> shift) + 1
    if known is not None:
        every = np.zeros(len(flat), np.int32)
        every[known] = numbers
        numbers = every
    return _narrowed(numbers, form), form, least, shift


def _whole(scaled: np.ndarray[Any, Any]) -> bool:
    """Whether all are integers, and small enough for the differences of two to be so too. NaN is as good as one."""
    odd = (np.rint(scaled) != scaled) | (np.abs(scaled) >= LARGEST)
    return not (odd & ~np.isnan(scaled)).any() if odd.any() else True


def _shortest(most: int) -> tuple[str, float]:
    """The shortest form of numbers from 0 to `most`, and bytes that a number takes in it."""
    return next(((form, size) for form, limit, size in FORMS if most < limit), ("<u8", 8.0))


def _narrowed(numbers: np.ndarray[Any, Any], form: str) -> bytes:
    if form == BIT:
        return np.packbits(numbers.astype(np.uint8)).tobytes()
    if form == HALF:
        short = numbers.astype(np.uint8)
        halves = short[::2].copy()
        halves[: len(short) // 2] |= short[1::2] << 4
        return halves.tobytes()
    return _little(numbers.astype(form))


def _little(array: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _from_wire(kind: type, value: Any) -> Any:
    if (get_origin(kind) or kind) is not np.ndarray:
        raise TypeError(f"the wire does not carry {kind}")
    dtype, shape, data = value[:3]
    if dtype not in PACKED_DTYPES:
        raise ValueError(f"dtype {dtype!r} is not known")
    if len(value) == 3:
        return np.frombuffer(data, dtype).reshape(shape)
    array = _unpacked(np.dtype(dtype), data, *value[3:], shape=shape)
    array.setflags(write=False)
    return array


def _unpacked(
    dtype: np.dtype[Any],
    data: bytes,
    form: str,
    base: int | bytes,
    shift: int | None = None,
    *,
    shape: list[int],
) -> np.ndarray[Any, Any]:
    if not form:
        same: np.ndarray[Any, Any] = np.full(shape, base, dtype)
        return same
    numbers = _widened(data, form, math.prod(shape))
    if isinstance(base, bytes):
        table: np.ndarray[Any, Any] = np.frombuffer(base, dtype)
        values: np.ndarray[Any, Any] = table[numbers]
        return values.reshape(shape)
    if shift is not None:
        # Both are below 2 ** 53, so that nothing is rounded.
        floats = ((numbers * (2.0**shift / GRID)) + (base - (1 << shift)) / GRID).astype(dtype)
        if not numbers.all():
            floats[numbers == 0] = np.nan
        return floats.reshape(shape)
    wide: np.ndarray[Any, Any] = numbers.astype(dtype) + dtype.type(base)
    return wide.reshape(shape)


def _widened(data: bytes, form: str, number: int) -> np.ndarray[Any, Any]:
    """What `_narrowed` was given, in as short a dtype as holds it."""
    if form == BIT:
        return np.unpackbits(np.frombuffer(data, np.uint8), count=number)
    if form == HALF:
        halves = np.frombuffer(data, np.uint8)
        numbers = np.empty(2 * len(halves), np.uint8)
        numbers[::2], numbers[1::2] = halves & 15, halves >> 4
        return numbers[:number]
    if form not in DTYPES:
        raise ValueError(f"dtype {form!r} is not known")
    return np.frombuffer(data, np.dtype(form).newbyteorder("<"))


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_wire)
_PACKER = msgspec.msgpack.Encoder(enc_hook=_to_packed)
_BUILDING = threading.Lock()
_DECODERS: dict[object, msgspec.msgpack.Decoder[Any]] = {}


def _decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    # Building a decoder costs a hundred times its use, and it depends on nothing but the type.
    found = _DECODERS.get(kind)
    if found is None:
        # msgspec 0.22 lets a thread see what another has learnt of a struct so far, and crashes the process.
        with _BUILDING:
            found = _DECODERS.get(kind) or msgspec.msgpack.Decoder(kind, dec_hook=_from_wire)
            _DECODERS[kind] = found
    return found
