"""Compiling the trained net: full int8 with a uint8 input, for LiteRT and tflite-runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.runtime import new_interpreter
from streamcount.errors import TrainingError

Size: TypeAlias = tuple[int | None, int | None]
ANY_SIZE: Size = (None, None)


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


def exportable(net: Any) -> Any:
    """`as_probabilities` of the same net with its doubling layers in a form that knows no sizes.

    Keras doubles by a resize to a size that, in a net of free size, must be computed as it runs; this breaks the
    compiled graph into three parts and leaves operations to slow kernels. Four copies in the channels, moved into
    space, give the very same numbers.
    """
    import keras
    import tensorflow as tf

    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, features: Any) -> Any:
            return tf.nn.depth_to_space(tf.concat([features] * 4, axis=-1), 2)

    def without_size(layer: Any) -> Any:
        return Doubled(name=layer.name) if isinstance(layer, keras.layers.UpSampling2D) else layer

    changed = keras.models.clone_model(net, clone_function=without_size)
    changed.set_weights(net.get_weights())
    return as_probabilities(changed)


def compile_int8(
    net: Any, typical: list[NDArray[np.uint8]], size_px: Size = ANY_SIZE
) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of the full int8 .tflite file and the names of its outputs in the file's order.

    typical: (1, H, W, channels) uint8 inputs, some fifty, whose activations set the scales. Of ANY_SIZE, the input's
    size can be set by `resize_tensor_input` afterwards; else it is (height, width).
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

    compiled = _convert(net, full_int8, size_px)
    return compiled, output_order(compiled, net, typical[0])


def compile_float32(
    net: Any, typical: NDArray[np.uint8], size_px: Size = ANY_SIZE
) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of the float32 .tflite file and the names of its outputs in the file's order."""
    compiled = _convert(net, lambda converter: None, size_px)
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


def _convert(net: Any, configure: Callable[[Any], None], size_px: Size) -> bytes:
    """Convert the net with its weights frozen in."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, *size_px, net.inputs[0].shape[-1]), tf.float32, name="image")]
    )
    def infer(image: Any) -> Any:
        return net(image, training=False)

    frozen = convert_variables_to_constants_v2(infer.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    configure(converter)
    return bytes(converter.convert())
