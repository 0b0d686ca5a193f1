"""The dense net: a small fully convolutional encoder-decoder with one output map per question.

Centres, sizes and offsets follow "Objects as Points" (Zhou et al., arXiv 1904.07850); where masks are learned, each
pixel's offset points to its own cell's centre, as in Neven et al., arXiv 1906.11109. Each question has its own 1x1
head, hence its own output tensor and its own int8 scale. All convolutions are dense: separable ones gain little from
int8.
"""

from __future__ import annotations

from typing import Any

from streamcount.errors import TrainingError
from streamcount.training.recipe import OWN_BACKBONE, Recipe

STRIDE_PX = 4
HEADS = ("centre", "log_size", "offset", "foreground")
CLASSIFIER = "class"  # what the names of a classifier's own layers begin with
# Of Keras Applications, those that take 0..255 and scale it themselves.
APPLICATIONS = ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0")


def build_net(classes: int, recipe: Recipe) -> Any:
    """Build the Keras model: (B, H, W, channels) values 0..255 -> dict of maps at a quarter of the resolution.

    H and W are multiples of 16 (32 for a backbone of Keras Applications). ``centre`` (C channels) and ``foreground``
    (1) are logits, ``log_size`` is (log h, log w) over the net's cell diameter, ``offset`` is (dy, dx) from a map
    cell's corner, in cells. Raises TrainingError for an unknown backbone.
    """
    import keras

    layers = keras.layers
    width = recipe.width
    quarter, eighth = 2 * width, 4 * width
    image = layers.Input((None, None, recipe.channels), name="image")
    if recipe.backbone == OWN_BACKBONE:
        skip4, skip8, x = own_backbone(image, width)
    else:
        skip4, skip8, x = _application(image, recipe.backbone)
        skip4, skip8 = block(skip4, "fit4", quarter, 1), block(skip8, "fit8", eighth, 1)
    x = _merge(_merge(x, skip8, "up8", eighth), skip4, "up4", quarter)
    x = block(x, "last", quarter)
    rare = keras.initializers.Constant(-3.5)  # a cell's centre is rare: start there, as focal loss asks
    outputs = {
        "centre": layers.Conv2D(classes, 1, bias_initializer=rare, name="centre")(x),
        "log_size": layers.Conv2D(2, 1, name="log_size")(x),
        "offset": layers.Conv2D(2, 1, name="offset")(x),
        "foreground": layers.Conv2D(1, 1, name="foreground")(x),
    }
    return keras.Model(image, outputs)


def own_backbone(image: Any, width: int) -> tuple[Any, Any, Any]:
    """Features at a quarter, an eighth and a sixteenth of the resolution."""
    import keras

    quarter, eighth, sixteenth = 2 * width, 4 * width, 6 * width
    x = keras.layers.Rescaling(1 / 64.0, offset=-2.0, name="rescaling")(image)
    skip4 = block(block(x, "down4", quarter, STRIDE_PX, STRIDE_PX), "at4", quarter)
    skip8 = block(block(skip4, "down8", eighth, 3, 2), "at8", eighth)
    return skip4, skip8, block(block(skip8, "down16", sixteenth, 3, 2), "at16", sixteenth)


def _application(image: Any, name: str) -> tuple[Any, Any, Any]:
    """Features of a Keras Applications model with the weights that it learned from ImageNet."""
    import keras

    if name not in APPLICATIONS:
        raise TrainingError(
            f"There is no backbone {name!r}; take {OWN_BACKBONE} or one of {', '.join(APPLICATIONS)}."
        )
    colour = image if image.shape[-1] == 3 else keras.layers.Concatenate(name="grey_to_rgb")([image] * 3)
    try:
        model = getattr(keras.applications, name)(
            include_top=False, weights="imagenet", input_shape=(None, None, 3)
        )
    except Exception as error:  # Keras raises a bare Exception where the download fails
        raise TrainingError(
            f"The weights of {name} cannot be fetched ({error}); they need a network. Without one, leave "
            "--backbone out, or start --from a model that is here."
        ) from error
    sized = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(64, 64, 3))
    # The last layer at each resolution holds the most of what is known there.
    last = {layer.output.shape[1]: layer.name for layer in sized.layers if len(layer.output.shape) == 4}
    names = {own.name: theirs.name for own, theirs in zip(sized.layers, model.layers, strict=True)}
    features = keras.Model(
        model.input, [model.get_layer(names[last[side]]).output for side in (16, 8, 4)], name="backbone"
    )
    found: tuple[Any, Any, Any] = tuple(features(colour))
    return found


def block(x: Any, name: str, channels: int, kernel: int = 3, stride: int = 1) -> Any:
    """A convolution with batch normalisation and ReLU, its layers named after `name`."""
    import keras

    layers = keras.layers
    x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(
        x
    )
    x = layers.BatchNormalization(momentum=0.98, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _merge(x: Any, skip: Any, name: str, channels: int) -> Any:
    import keras

    layers = keras.layers
    x = block(x, f"{name}_fit", channels, 1)
    x = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_double")(x)
    return block(layers.Add(name=f"{name}_add")([x, skip]), name, channels)
