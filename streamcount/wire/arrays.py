"""Structs that hold NumPy arrays, as MessagePack and back.

An array is the triple (dtype, shape, bytes), little-endian, row by row; all else is as msgspec writes it. What only
this program reads again may be packed: of integers, most of which differ little, only the differences to the least
one are written, as narrow as they fit, or each value that occurs once and its number in the place of it.
"""

from __future__ import annotations

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
    """As `_to_wire`, with integers as (dtype, shape, narrow bytes, narrow dtype, base or table)."""
    if isinstance(value, np.generic):
        return value.item()
    plain = _as_triple(value, PACKED_DTYPES)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iub" or not value.size:
        return plain
    flat = value.ravel().view(np.uint8) if value.dtype.kind == "b" else value.ravel()
    least, most, width = int(flat.min()), int(flat.max()), value.dtype.itemsize
    if most == least:
        return (*plain[:2], b"", "", least)
    for narrow in (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32)):
        if most - least <= np.iinfo(narrow).max and narrow.itemsize < width:
            return (*plain[:2], _little((flat - least).astype(narrow)), narrow.str, least)
    if width == LONGEST:
        table, numbers = np.unique(flat, return_inverse=True)
        narrow = np.dtype(np.uint8) if len(table) <= 256 else np.dtype(np.uint16)
        if len(table) <= 65_536 and table.nbytes + value.size * narrow.itemsize < value.nbytes:
            return (*plain[:2], _little(numbers.astype(narrow)), narrow.str, _little(table))
    return plain


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
    dtype: np.dtype[Any], data: bytes, narrow: str, base: int | bytes, *, shape: list[int]
) -> np.ndarray[Any, Any]:
    if not narrow:
        same: np.ndarray[Any, Any] = np.full(shape, base, dtype)
        return same
    if narrow not in DTYPES:
        raise ValueError(f"dtype {narrow!r} is not known")
    numbers: np.ndarray[Any, Any] = np.frombuffer(data, np.dtype(narrow).newbyteorder("<"))
    if isinstance(base, bytes):
        table: np.ndarray[Any, Any] = np.frombuffer(base, dtype)
        numbers = table[numbers]
        return numbers.reshape(shape)
    wide: np.ndarray[Any, Any] = numbers.astype(dtype) + dtype.type(base)
    return wide.reshape(shape)


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
