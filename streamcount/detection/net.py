"""Running a compiled dense net on any thread and on an image of any size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.postprocess import STRIDE_PX, Maps, QuantisedMap
from streamcount.detection.runtime import new_interpreter
from streamcount.errors import ModelError

SHAPES_KEPT = 4  # interpreters kept per thread, one an input shape
# A larger input goes through the net in tiles, so that the memory of one pass bounds that of any frame.
LARGEST_PASS_PX = 1_500_000
TILE_PX = 832
# What a tile's border cannot see of its surroundings reaches in by less than this: the net sees 80 px far.
MARGIN_PX = 96


class Net(Protocol):
    """What finds cells' maps in an image, such as ThreadedNet."""

    def infer(self, batch: NDArray[np.uint8]) -> Maps:
        """The maps of a (1, H, W, channels) uint8 image; H and W are multiples of what the net wants."""
        ...


class ThreadedNet:
    """A compiled net that any thread may run: interpreters are per thread and input shape, never shared."""

    def __init__(self, model: bytes, outputs: tuple[str, ...]) -> None:
        self._model = model
        self._outputs = outputs
        self._local = threading.local()
        details = new_interpreter(model).get_output_details()
        if len(details) != len(outputs):
            raise ModelError(
                f"The compiled net has {len(details)} outputs, not {len(outputs)}; export it again."
            )

    def infer(self, batch: NDArray[np.uint8]) -> Maps:
        """Run the dense net on (1, H, W, channels) uint8, in tiles where it is large.

        The maps are the same as of one pass: tiles overlap by more than the net sees, and only the middles are
        kept. Raises ModelError when the runtime fails.
        """
        height, width = batch.shape[1:3]
        if height * width <= LARGEST_PASS_PX:
            return _as_maps(self.run(batch))
        whole: dict[str, QuantisedMap] = {}
        for rows, row_core in _stretches(height):
            for columns, column_core in _stretches(width):
                part = self.run(np.ascontiguousarray(batch[:, rows, columns]))
                for name, tile in part.items():
                    if name not in whole:
                        shape = (height // STRIDE_PX, width // STRIDE_PX, tile.raw.shape[2])
                        whole[name] = QuantisedMap(np.empty(shape, tile.raw.dtype), tile.scale, tile.zero)
                    here = _cells(row_core, 0), _cells(column_core, 0)
                    there = _cells(row_core, rows.start), _cells(column_core, columns.start)
                    whole[name].raw[here] = tile.raw[there]
        return _as_maps(whole)

    def run(self, batch: NDArray[np.uint8]) -> dict[str, QuantisedMap]:
        """The outputs by name for a (1, H, W, channels) or (N, H, W, channels) uint8 batch, in one pass.

        Of a batch of several, the first axis of a map is the batch's. Raises ModelError when the runtime fails.
        """
        try:
            ready = self._ready(batch.shape)
            ready.interpreter.set_tensor(ready.input_index, batch.astype(ready.input_type, copy=False))
            ready.interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"The model failed on an input of {batch.shape}: {error}; export it again."
            ) from error
        named = {}
        for name, (index, scale, zero) in zip(self._outputs, ready.outputs, strict=True):
            values = ready.interpreter.get_tensor(index)
            named[name] = QuantisedMap(values[0] if len(batch) == 1 else values, scale, zero)
        return named

    def _ready(self, shape: tuple[int, ...]) -> _Ready:
        kept: OrderedDict[tuple[int, ...], _Ready] | None = getattr(self._local, "kept", None)
        if kept is None:
            kept = self._local.kept = OrderedDict()
        if shape in kept:
            kept.move_to_end(shape)
            return kept[shape]
        ready = kept[shape] = _prepared(new_interpreter(self._model), shape)
        if len(kept) > SHAPES_KEPT:
            kept.popitem(last=False)
        return ready


@dataclass(frozen=True)
class _Ready:
    """An interpreter of one input shape. outputs: of each its index, scale and zero, for which to ask takes longer
    than to copy it."""

    interpreter: Any
    input_index: int
    input_type: Any
    outputs: tuple[tuple[int, float, int], ...]


def _prepared(interpreter: Any, shape: tuple[int, ...]) -> _Ready:
    given = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(given["index"], shape)
    interpreter.allocate_tensors()
    details = interpreter.get_output_details()
    outputs = [(one["index"], one["quantization"][0] or 1.0, one["quantization"][1]) for one in details]
    return _Ready(interpreter, given["index"], given["dtype"], tuple(outputs))


def padded(image: NDArray[np.uint8], multiple_px: int, level: int) -> NDArray[np.uint8]:
    """(1, H', W', channels): the image at the top left, filled up with `level` to sides of a multiple.

    Where nothing is to be filled, it is the image's own memory.
    """
    height, width, channels = image.shape
    if not height % multiple_px and not width % multiple_px:
        return image[None]
    shape = (1, -(-height // multiple_px) * multiple_px, -(-width // multiple_px) * multiple_px, channels)
    batch = np.empty(shape, np.uint8)
    batch[0, :height, :width] = image
    batch[0, height:] = level
    batch[0, :height, width:] = level
    return batch


def _stretches(length_px: int) -> list[tuple[slice, slice]]:
    """The tiles along one side: what goes into the net, and the part of it that is kept. All of one length."""
    if length_px <= TILE_PX:
        whole = slice(0, length_px)
        return [(whole, whole)]
    step = TILE_PX - 2 * MARGIN_PX
    result = []
    for core in range(0, length_px, step):
        start = min(max(core - MARGIN_PX, 0), length_px - TILE_PX)
        last = start + TILE_PX == length_px
        result.append((slice(start, start + TILE_PX), slice(core, length_px if last else core + step)))
        if last:
            break
    return result


def _cells(stretch: slice, start_px: int) -> slice:
    return slice((stretch.start - start_px) // STRIDE_PX, (stretch.stop - start_px) // STRIDE_PX)


def _as_maps(named: dict[str, QuantisedMap]) -> Maps:
    return Maps(named["centre"], named["log_size"], named["offset"], named["foreground"])
