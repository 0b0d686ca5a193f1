"""What the models are measured beside: the same net in onnxruntime, and a net of StarDist's size."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_onnx(net: Any) -> bytes:
    """The Keras dense net as an ONNX model of (1, channels, H, W) float32."""
    import onnx
    from onnx import TensorProto, helper

    names: dict[int, str] = {}
    nodes, weights = [], []
    for layer in net.layers:
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        if type(layer).__name__ == "InputLayer":
            names[id(layer.output)] = "image"
            continue
        made, constants = _translated(layer, [names[id(tensor)] for tensor in given])
        nodes += made
        weights += [
            onnx.numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
            for name, value in constants.items()
        ]
        names[id(layer.output)] = layer.name
    outputs = [
        helper.make_tensor_value_info(
            names[id(tensor)], TensorProto.FLOAT, [1, tensor.shape[-1], "map_height", "map_width"]
        )
        for tensor in _outputs(net)
    ]
    channels = net.inputs[0].shape[-1]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, "height", "width"])
    graph = helper.make_graph(nodes, "dense", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _translated(layer: Any, inputs: list[str]) -> tuple[list[Any], dict[str, np.ndarray]]:
    """A layer's ONNX nodes, the last of which has the layer's name, and its constants by name."""
    from onnx import helper

    kind, name = type(layer).__name__, layer.name
    values = [np.asarray(weight) for weight in layer.weights]
    if kind == "Rescaling":
        constants = {f"{name}_scale": np.array(layer.scale), f"{name}_offset": np.array(layer.offset)}
        return [
            helper.make_node("Mul", [*inputs, f"{name}_scale"], [f"{name}_scaled"]),
            helper.make_node("Add", [f"{name}_scaled", f"{name}_offset"], [name]),
        ], constants
    if kind == "Conv2D":
        constants = {f"{name}_kernel": values[0].transpose(3, 2, 0, 1)}
        if len(values) > 1:
            constants[f"{name}_bias"] = values[1]
        strides = list(layer.strides)
        return [
            helper.make_node("Conv", [*inputs, *constants], [name], strides=strides, auto_pad="SAME_UPPER")
        ], constants
    if kind == "BatchNormalization":
        constants = {f"{name}_{i}": value for i, value in enumerate(values)}
        return [
            helper.make_node("BatchNormalization", [*inputs, *constants], [name], epsilon=layer.epsilon)
        ], constants
    if kind == "UpSampling2D":
        node = helper.make_node(
            "Resize", [*inputs, "", f"{name}_scales"], [name], mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
        return [node], {f"{name}_scales": np.array([1, 1, 2, 2])}
    plain = {"ReLU": "Relu", "Add": "Add"}
    if kind not in plain:
        raise ValueError(f"no ONNX form is written for the layer {kind}")
    return [helper.make_node(plain[kind], inputs, [name])], {}


def _outputs(net: Any) -> list[Any]:
    return list(net.output.values()) if isinstance(net.output, dict) else list(net.outputs)


def onnx_session(content: bytes) -> Any:
    """A session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def stardist_sized() -> Any:
    """An untrained Keras net of the layers of StarDist's `2D_versatile_fluo`.

    A U-Net of depth 3 from 32 channels on, on a grid of 2 px, then 128 channels, 32 distances and a probability
    (Schmidt et al., MICCAI 2018, arXiv 1806.03535, and the defaults of its Config2D).
    """
    import keras

    layers = keras.layers

    def twice(x: Any, channels: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
        return x

    image = layers.Input((None, None, 1))
    x = layers.MaxPooling2D(2)(twice(image, 32))
    skips = []
    for depth in range(3):
        x = twice(x, 32 * 2**depth)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(256, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(128, 3, padding="same", activation="relu")(x)
    for depth in (2, 1, 0):
        x = layers.Concatenate()([layers.UpSampling2D(2)(x), skips[depth]])
        x = layers.Conv2D(32 * 2**depth, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(32 * 2 ** max(depth - 1, 0), 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(128, 3, padding="same", activation="relu")(x)
    chance = layers.Conv2D(1, 1, activation="sigmoid")(x)
    return keras.Model(image, {"prob": chance, "dist": layers.Conv2D(32, 1)(x)})
