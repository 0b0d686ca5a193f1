"""Where Faust keeps the cameras' states: in memory, with a changelog topic that survives the worker."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from faust.stores.memory import Store

_ORDER = struct.Struct(">qq")


def pack_state(order: tuple[int, int], state: bytes) -> bytes:
    """A table value: `PipelineState.order`, and the encoded state."""
    return _ORDER.pack(*order) + state


def unpack_state(value: bytes) -> tuple[tuple[int, int], bytes]:
    """What `pack_state` packed."""
    runs_begun, last_sequence = _ORDER.unpack_from(value)
    return (runs_begun, last_sequence), value[_ORDER.size :]


class NewestStateStore(Store):  # type: ignore[misc]
    """A memory store that recovers each camera's newest state, not merely the last one written.

    A worker that was cut off from the broker may wake up and write a state that another has long passed. The same
    frames give the same states, so the later one of a camera's history is always the right one.
    """

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Applies changelog records while recovering."""
        for event in batch:
            key, value = to_key(event.key), event.message.value
            self._key_partition[key] = event.message.partition
            if value is None:
                self.data.pop(key, None)
                continue
            known = self.data.get(key)
            if known is None or unpack_state(known)[0] <= unpack_state(value)[0]:
                self.data[key] = value
