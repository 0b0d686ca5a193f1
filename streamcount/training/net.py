"""The dense net: a small fully convolutional encoder-decoder with one output map per question.

Centres, sizes and offsets follow "Objects as Points" (Zhou et al., arXiv 1904.07850). Each question has its
own 1x1 head, hence its own output tensor and its own int8 scale. All convolutions are dense: separable ones
gain little from int8.
"""

from __future__ import annotations

from typing import Any

STRIDE_PX = 4
HEADS = ("centre", "log_size", "offset", "foreground")


def build_net(classes: int, width: int) -> Any:
    """Build the Keras model: (B, H, W, 3) values 0..255 -> dict of maps at a quarter of the resolution.

    H and W are multiples of 16. ``centre`` (C channels) and ``foreground`` (1) are logits, ``log_size`` is
    (log h, log w) over the net's cell diameter, ``offset`` is (dy, dx) from a map cell's corner, in cells.
    """
    import keras

    layers = keras.layers

    def block(x: Any, channels: int, kernel: int = 3, stride: int = 1) -> Any:
        x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.98, epsilon=1e-3)(x)
        return layers.ReLU()(x)

    def merge(x: Any, skip: Any, channels: int) -> Any:
        x = layers.UpSampling2D(2, interpolation="nearest")(block(x, channels, 1))
        return block(layers.Add()([x, skip]), channels)

    quarter, eighth, sixteenth = 2 * width, 4 * width, 6 * width
    image = layers.Input((None, None, 3), name="image")
    x = layers.Rescaling(1 / 64.0, offset=-2.0)(image)
    skip4 = block(block(x, quarter, STRIDE_PX, STRIDE_PX), quarter)
    skip8 = block(block(block(skip4, eighth, 3, 2), eighth), eighth)
    x = block(block(block(skip8, sixteenth, 3, 2), sixteenth), sixteenth)
    x = merge(merge(x, skip8, eighth), skip4, quarter)
    x = block(x, quarter)
    rare = keras.initializers.Constant(-3.5)  # a cell's centre is rare: start there, as focal loss asks
    outputs = {
        "centre": layers.Conv2D(classes, 1, bias_initializer=rare, name="centre")(x),
        "log_size": layers.Conv2D(2, 1, name="log_size")(x),
        "offset": layers.Conv2D(2, 1, name="offset")(x),
        "foreground": layers.Conv2D(1, 1, name="foreground")(x),
    }
    return keras.Model(image, outputs)
