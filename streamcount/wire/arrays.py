"""Structs that hold NumPy arrays, as MessagePack and back.

An array is the triple (dtype, shape, bytes), little-endian, row by row; all else is as msgspec writes it.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np

from streamcount.errors import FrameError

T = TypeVar("T")

# Only numbers: a decoded dtype must never be able to name Python objects.
DTYPES = frozenset({"|b1", "|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4", "<i8", "<f4", "<f8"})


def encode(value: object) -> bytes:
    """MessagePack of a struct. Raises TypeError for a dtype that the wire does not carry."""
    return _ENCODER.encode(value)


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
    if not isinstance(value, np.ndarray):
        raise TypeError(f"the wire does not carry {type(value).__name__}")
    little = value.dtype.newbyteorder("<")
    if little.str not in DTYPES:
        raise TypeError(f"the wire does not carry arrays of {value.dtype}")
    return (little.str, value.shape, np.ascontiguousarray(value, little).tobytes())


def _from_wire(kind: type, value: Any) -> Any:
    if (get_origin(kind) or kind) is not np.ndarray:
        raise TypeError(f"the wire does not carry {kind}")
    dtype, shape, data = value
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is not known")
    return np.frombuffer(data, dtype).reshape(shape)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_wire)
_DECODERS: dict[object, msgspec.msgpack.Decoder[Any]] = {}


def _decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    # Building a decoder costs a hundred times its use, and it depends on nothing but the type.
    if kind not in _DECODERS:
        _DECODERS[kind] = msgspec.msgpack.Decoder(kind, dec_hook=_from_wire)
    return _DECODERS[kind]
