"""How a model counts the same images taken worse: darker, paler, of another colour, size, sharpness or compression.

    python -m bench.disturbed blood-smear DATA

All cells are judged as one class, on all images of the part, each disturbed in one way; nothing is told to the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias

import cv2
import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from streamcount.detection.base import Detector
from streamcount.detection.bundle import load_bundle
from streamcount.detection.tflite import TfliteConfig
from streamcount.training.data.parts import apart, read_parts
from streamcount.training.judge import ANY_CLASS, class_columns, figures, find_all
from streamcount.types import Detections, Frame, Image, ModelIdentity

Pixels: TypeAlias = NDArray[np.uint8]


def _times(*factors: float) -> Callable[[Pixels], Pixels]:
    """Each channel multiplied."""
    return lambda image: np.clip(image * np.array(factors, np.float32), 0, 255).astype(np.uint8)


def _gamma(power: float) -> Callable[[Pixels], Pixels]:
    table = (255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return lambda image: np.asarray(cv2.LUT(image, table), np.uint8)


def _resized(scale: float) -> Callable[[Pixels], Pixels]:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return lambda image: np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), np.uint8
    )


def _pale(image: Pixels) -> Pixels:
    return (128 + (image.astype(np.float32) - 128) / 2).astype(np.uint8)


def _grey(image: Pixels) -> Pixels:
    return np.asarray(cv2.merge([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)] * 3), np.uint8)


def _blurred(image: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8)


def _noisy(image: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 15, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _dim_corners(image: Pixels) -> Pixels:
    y, x = np.linspace(-0.5, 0.5, image.shape[0])[:, None], np.linspace(-0.5, 0.5, image.shape[1])
    return np.asarray(image * (1 - 0.9 * (x**2 + y**2))[..., None], np.float32).astype(np.uint8)


def _compressed(image: Pixels) -> Pixels:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 25])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


DISTURBED: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda image: image,
    "light x 0.7": _times(0.7),
    "light x 0.5": _times(0.5),
    "light x 0.3": _times(0.3),
    "light x 0.15": _times(0.15),
    "half the contrast": _pale,
    "gamma 0.6": _gamma(0.6),
    "gamma 1.7": _gamma(1.7),
    "corners at 0.55 of the light": _dim_corners,
    "yellow": _times(1, 0.97, 0.75),
    "blue": _times(0.8, 0.9, 1),
    "red and blue exchanged": lambda image: np.ascontiguousarray(image[..., ::-1]),
    "grey": _grey,
    "blurred by 2 px": _blurred,
    "noise of 15 levels": _noisy,
    "JPEG at quality 25": _compressed,
}
SCALES = (0.4, 0.6, 1.5, 2.5, 4.0)


@dataclass(frozen=True)
class Disturbed:
    """A detector that sees each frame disturbed, and tells what it found in pixels of the frame as it was."""

    detector: Detector
    disturb: Callable[[Pixels], Pixels]
    scale: float = 1.0

    @property
    def model(self) -> ModelIdentity:
        """The detector's own."""
        return self.detector.model

    def detect(self, frame: Frame, *, labels: bool = False, outlines: bool = False) -> Detections:
        """The cells of the disturbed frame; without outlines."""
        found = self.detector.detect(Frame(self.disturb(_colour(frame.image)), frame.metadata))
        return msgspec.structs.replace(found, boxes_px=found.boxes_px / np.float32(self.scale))


def _colour(image: Image) -> Pixels:
    pixels = np.asarray(image, np.uint8)
    return pixels if pixels.ndim == 3 else np.asarray(cv2.merge([pixels] * 3), np.uint8)


def main(
    name: Annotated[str, typer.Argument(help="The model, by name or folder.")],
    data: Annotated[Path, typer.Argument(help="Labelled images of eight bits.")],
    split: Annotated[Path | None, typer.Option(help="Split file.")] = None,
    every: Annotated[int, typer.Option(help="One image in so many of the val part.", min=1)] = 1,
) -> None:
    """Prints a line for each way to disturb."""
    console = Console()
    parts, _ = apart(read_parts(data, split=split))
    val = replace(parts["val"], images=parts["val"].images[::every])
    detector = TfliteConfig(model=name).build()
    columns = class_columns(detector, val, load_bundle(name))
    if columns is None:
        raise typer.BadParameter(f"{data} has other classes than {name}.")
    table = Table("disturbed", "precision", "recall", "F1", "count MAE", "bias", "MAPE %")
    ways = {label: (disturb, 1.0) for label, disturb in DISTURBED.items()}
    for label, (disturb, scale) in {
        **ways, **{f"size x {scale}": (_resized(scale), scale) for scale in SCALES}
    }.items():  # fmt: skip
        found = find_all(Disturbed(detector, disturb, scale), val, columns)
        told = figures(val, found, found, by_class=False)[ANY_CLASS]
        table.add_row(label, *(f"{v:.3f}" for v in (told.precision, told.recall, told.f1)),
                      f"{told.mae:.2f}", f"{told.bias:+.2f}", f"{told.mape:.1f}")  # fmt: skip
        console.print(f"{label}: F1 {told.f1:.3f}, MAE {told.mae:.2f}, bias {told.bias:+.2f}")
    console.print(f"{name} on {len(val.images)} images of {data.name}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
