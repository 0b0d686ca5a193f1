"""Decoders of structs that hold arrays: one a type, whoever asks for it first."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest

from streamcount.wire import arrays

THREADS = 8


class Held(msgspec.Struct, frozen=True):
    values: np.ndarray[Any, Any]


def test_threads_that_decode_a_type_for_the_first_time_wait_for_one_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """msgspec crashes the process where two threads learn of one struct at the same time."""
    made: list[object] = []
    real = msgspec.msgpack.Decoder

    def slowly(kind: Any, **options: Any) -> Any:
        made.append(kind)
        time.sleep(0.05)
        return real(kind, **options)

    data = arrays.encode(Held(np.arange(3)))
    monkeypatch.setattr(msgspec.msgpack, "Decoder", slowly)
    together = threading.Barrier(THREADS)

    def decode(_: int) -> list[int]:
        together.wait()
        return [int(one) for one in arrays.decode(data, Held).values]

    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(decode, range(THREADS))) == [[0, 1, 2]] * THREADS
    assert made == [Held]
