"""Detections: the cells that one frame shows, before anything is known of other frames."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.types.frame import FrameMetadata

Float32Array: TypeAlias = NDArray[np.float32]
Int64Array: TypeAlias = NDArray[np.int64]
UInt8Array: TypeAlias = NDArray[np.uint8]

# Around an adherent cell 24 points share .94 of its mask, 16 .91, and the ellipse in its box .54 (docs/models.md).
OUTLINE_POINTS = 24
# An outline's numbers: a side of the box is so many of them, and as many lie before it and beyond.
SIDE_STEPS = 85


class ModelIdentity(msgspec.Struct, frozen=True):
    """Which detector said so: its name, the sha256 of what decides (model file, or settings), its classes.

    class_names: in the order of `Detections.class_probabilities`' columns.
    abnormal: those of the classes that a biologist wants to be told of. dead: those of dead cells. mitotic: those of
    cells in division.
    """

    name: str
    sha256: str
    class_names: tuple[str, ...]
    abnormal: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    mitotic: tuple[str, ...] = ()


class PictureMeasures(msgspec.Struct, frozen=True):
    """How good one frame is as a picture, whatever it shows. All are pure numbers; docs/quality.md defines them.

    sharpness: natural logarithm of the Laplacian's variance over the picture's, without the camera's noise.
    power_slope: slope of log power over log spatial frequency; more negative when out of focus.
    saturated_fraction, dark_fraction: shares of the pixels at full white and at black, in [0, 1].
    unevenness: range of the illumination over its mean. contrast: standard deviation over the mean.
    level: mean grey level, 0 black to 1 full white.
    profile: mean levels of 4 x 4 equal tiles, row by row, on the scale of `level`; () where it was not measured.
    full_white: the grey level that was taken for full white: 255, or the least of 1023, 4095, 16383 and 65535 that no
        pixel exceeds; 0 where it was not measured. It may change from frame to frame, and `level`, `profile` and
        `contrast` with it.
    """

    sharpness: float
    power_slope: float
    saturated_fraction: float
    dark_fraction: float
    unevenness: float
    contrast: float
    level: float = 0.0
    profile: tuple[float, ...] = ()
    full_white: int = 0


class Detections(msgspec.Struct, frozen=True, eq=False):
    """N cells found in one frame, row i of each array being cell i.

    metadata: the frame's.
    image_shape: (height, width) of the frame, pixels.
    model: who found them.
    centroids_px: (N, 2) float32, (y, x).
    boxes_px: (N, 4) float32, half-open (y0, x0, y1, x1), within the image.
    areas_px: (N,) float32, area of the cell in square pixels.
    class_probabilities: (N, C) float32, one column a class of `model.class_names`.
    labels: optional (H, W) uint16 label image; cell i has the value i + 1, background 0.
    foreground_fraction: share of the frame that is cell (confluence), in [0, 1]; None where the detector cannot tell.
    quality: flags of the frame, such as "empty" or "saturated"; empty if nothing is wrong.
    picture: what the frame is worth as a picture; None where it was not measured.
    intensities: (N,) float32, brightness of each cell over the ground about it, negative for darker, as
        `detection/features.py` defines it; None where it was not measured, NaN where there is no such thing.
    novelties: (N,) float32, how strange each cell is to the model, as `detection/novelty.py` defines it: above 1, it
        is stranger than all but one in 1,000 of those that the model was made for. None where the model cannot tell,
        NaN where it cannot of the cell's class. Those of cells cut by the frame's edge mean little.
    outlines: (N, 24, 2) uint8, points (y, x) around each cell, one after the other, the last before the first; None
        where nobody asked, or the detector knows no pixels. They count along the sides of the cell's box: 85 is where
        the side begins and 170 where it ends, 0 and 255 are one side before and beyond it. So a point is off by a
        170th of the side at most, unless it lies farther outside. All zero for a cell that has none. `outlines_px`
        has them in pixels.
    """

    metadata: FrameMetadata
    image_shape: tuple[int, int]
    model: ModelIdentity
    centroids_px: Float32Array
    boxes_px: Float32Array
    areas_px: Float32Array
    class_probabilities: Float32Array
    labels: NDArray[np.uint16] | None = None
    quality: tuple[str, ...] = ()
    foreground_fraction: float | None = None
    picture: PictureMeasures | None = None
    intensities: Float32Array | None = None
    novelties: Float32Array | None = None
    outlines: UInt8Array | None = None

    def __len__(self) -> int:
        return len(self.centroids_px)

    @property
    def class_ids(self) -> Int64Array:
        """(N,) int64, the most probable class of each cell."""
        if not len(self):
            return np.empty(0, np.int64)
        best: Int64Array = np.argmax(self.class_probabilities, axis=1)
        return best

    @property
    def scores(self) -> Float32Array:
        """(N,) float32, the probability of the most probable class."""
        if not len(self):
            return np.empty(0, np.float32)
        best: Float32Array = np.max(self.class_probabilities, axis=1)
        return best

    @property
    def outlines_px(self) -> Float32Array | None:
        """(N, 24, 2) float32, the outlines' points (y, x) in pixels of the frame, NaN for a cell that has none."""
        if self.outlines is None:
            return None
        return outlines_in_px(self.outlines, self.boxes_px)

    def counts(self) -> dict[str, int]:
        """Cells per class name, zeros included."""
        names = self.model.class_names
        numbers = np.bincount(self.class_ids, minlength=len(names))
        return {name: int(number) for name, number in zip(names, numbers, strict=True)}


def outlines_in_boxes(y: NDArray[Any], x: NDArray[Any], boxes: NDArray[Any]) -> UInt8Array:
    """(N, 24, 2) uint8, as `Detections.outlines` has them, of points (N, 24) around cells with these boxes (N, 4).

    All in any one unit.
    """
    boxes = boxes.astype(np.float32, copy=False)
    numbers = np.empty((*y.shape, 2), np.uint8)
    for axis, points in enumerate((y, x)):
        steps = SIDE_STEPS / (boxes[:, axis + 2] - boxes[:, axis])
        # Cut off at whole numbers, so that half a one rounds.
        along = points * steps[:, None] + (SIDE_STEPS + np.float32(0.5) - boxes[:, axis] * steps)[:, None]
        numbers[..., axis] = np.minimum(np.maximum(along, 0), 255).astype(np.uint8)
    return numbers


def outlines_in_px(outlines: UInt8Array, boxes_px: NDArray[Any]) -> Float32Array:
    """(N, 24, 2) float32 points (y, x) of outlines (N, 24, 2) of cells with these boxes (N, 4), NaN for none."""
    begins, sides = boxes_px[:, None, :2], (boxes_px[:, 2:] - boxes_px[:, :2])[:, None]
    points = begins + (outlines.astype(np.float32) / SIDE_STEPS - 1) * sides
    points[~outlines.any(axis=(1, 2))] = np.nan
    return np.asarray(points, np.float32)


def empty_detections(
    metadata: FrameMetadata, image_shape: tuple[int, int], model: ModelIdentity
) -> Detections:
    """A frame in which nothing was found."""
    return Detections(
        metadata=metadata,
        image_shape=image_shape,
        model=model,
        centroids_px=np.empty((0, 2), np.float32),
        boxes_px=np.empty((0, 4), np.float32),
        areas_px=np.empty(0, np.float32),
        class_probabilities=np.empty((0, len(model.class_names)), np.float32),
    )
