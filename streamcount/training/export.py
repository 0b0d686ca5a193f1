"""Compiling the trained net: full int8 with a uint8 input, for LiteRT and tflite-runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.runtime import new_interpreter
from streamcount.errors import TrainingError


def as_probabilities(net: Any) -> Any:
    """Wrap the net so that centre and foreground come out as probabilities, whose int8 scale is 1/256."""
    import keras

    maps = net(net.inputs[0])
    sigmoid = keras.layers.Activation("sigmoid")
    return keras.Model(
        net.inputs[0],
        {
            "centre": sigmoid(maps["centre"]),
            "foreground": sigmoid(maps["foreground"]),
            "log_size": maps["log_size"],
            "offset": maps["offset"],
        },
    )


def compile_int8(net: Any, typical: list[NDArray[np.uint8]]) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of the full int8 .tflite file and the names of its outputs in the file's order.

    typical: (1, H, W, 3) uint8 inputs, some fifty, whose activations set the scales. Any input size can be
    set by `resize_tensor_input` afterwards.
    """
    import tensorflow as tf

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        for batch in typical:
            yield [batch.astype(np.float32)]

    def full_int8(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8

    compiled = _convert(net, full_int8)
    return compiled, output_order(compiled, net, typical[0])


def compile_float32(net: Any, typical: NDArray[np.uint8]) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of the float32 .tflite file, to compare with, and its outputs' names in order."""
    compiled = _convert(net, lambda converter: None)
    return compiled, output_order(compiled, net, typical)


def output_order(compiled: bytes, net: Any, batch: NDArray[np.uint8]) -> tuple[str, ...]:
    """Tell which output is which by comparing with the float net on one input.

    The converter keeps no names that both runtimes read. Raises TrainingError where the outputs do not agree.
    """
    wanted = {
        name: np.asarray(value) for name, value in net(batch.astype(np.float32), training=False).items()
    }
    interpreter = new_interpreter(compiled)
    given = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(given["index"], batch.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], batch.astype(given["dtype"]))
    interpreter.invoke()
    order: list[str] = []
    for detail in interpreter.get_output_details():
        scale, zero = detail["quantization"]
        value = (interpreter.get_tensor(detail["index"]).astype(np.float32) - zero) * (scale or 1.0)
        fits = [n for n, w in wanted.items() if w.shape == value.shape and n not in order]
        if not fits:
            raise TrainingError(
                "The compiled net's outputs have other shapes than the trained net's; report it."
            )
        order.append(min(fits, key=lambda n: float(np.abs(wanted[n] - value).mean())))
    return tuple(order)


def _convert(net: Any, configure: Callable[[Any], None]) -> bytes:
    """Convert the net with free height and width and its weights frozen in."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32, name="image")]
    )
    def infer(image: Any) -> Any:
        return net(image, training=False)

    frozen = convert_variables_to_constants_v2(infer.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    configure(converter)
    return bytes(converter.convert())
