"""Cells by classical tools, as a first draft of labels: (H, W) frames in, label images out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.regions import measure, split_touching
from streamcount.detection.watershed import WatershedConfig
from streamcount.errors import TrainingError
from streamcount.types import Frame, Image

Grey: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.uint16]
# Grey levels of 255; less is noise of the camera.
LEAST_MOTION = 8.0
# Share of the pixels that are no edge, however steep the steepest are.
EDGE_SHARE = 0.93
MIXTURE_ROUNDS = 2
BACKGROUND_SHARE = 0.6


class Method(StrEnum):
    """How cells are found."""

    BACKGROUND = "background"
    MOG2 = "mog2"
    EDGES = "edges"
    OTSU = "otsu"
    WATERSHED = "watershed"


@dataclass(frozen=True)
class ClassicalChoice:
    """method: see Method. diameters_px: of the smallest and largest cell. saddle: where touching cells are
    parted, see split_touching; 0 parts none.
    """

    method: Method = Method.WATERSHED
    diameters_px: tuple[float, float] = (10.0, 200.0)
    saddle: float = 0.9

    def __post_init__(self) -> None:
        low, high = self.diameters_px
        if not 3 <= low < high:
            raise TrainingError(
                f"Cells of {low:g} to {high:g} px cannot be; give --min-diameter 3 or more and below --max-diameter."
            )


def build_labeller(choice: ClassicalChoice, sample: Sequence[Image]) -> Callable[[Frame], Labels]:
    """A function from a frame to its (H, W) uint16 label image, cell i having the value i + 1.

    sample: frames spread over the recording; the methods that subtract a background learn it from them.
    Raises TrainingError where they are too few for that, or of several shapes.
    """
    if choice.method is Method.WATERSHED:
        low, high = choice.diameters_px
        detector = WatershedConfig(
            min_diameter_px=low, max_diameter_px=high, split_saddle=choice.saddle or 0.999
        ).build()

        def watershed(frame: Frame) -> Labels:
            # Least contrast is a share of the full scale, of which 16-bit cameras use a little only.
            shown = frame if frame.image.dtype == np.uint8 else Frame(grey_of(frame.image), frame.metadata)
            labels = detector.detect(shown, labels=True).labels
            return np.zeros(frame.image.shape[:2], np.uint16) if labels is None else labels

        return watershed
    mask = _mask_function(choice, [grey_of(image) for image in sample])
    return lambda frame: _cells(mask(grey_of(frame.image)), choice)


def _mask_function(choice: ClassicalChoice, sample: Sequence[Grey]) -> Callable[[Grey], Grey]:
    if choice.method is Method.OTSU:
        return otsu_mask
    if choice.method is Method.EDGES:
        return lambda grey: edge_mask(grey, choice.diameters_px[0])
    if len(sample) < 3 or len({image.shape for image in sample}) > 1:
        raise TrainingError(
            f"--method {choice.method} learns the background from 3 or more frames of one size; take --method otsu."
        )
    if choice.method is Method.BACKGROUND:
        # Whatever moves is elsewhere in most frames.
        background = np.median(np.stack(sample), axis=0).astype(np.uint8)
        return lambda grey: moving_mask(grey, background)
    return _mixture(sample)


def grey_of(image: Image) -> Grey:
    """(H, W) uint8 of the colour channel with most contrast; 16 bits are stretched from darkest to lightest."""
    plane = image if image.ndim == 2 else max((image[..., c] for c in range(3)), key=lambda p: float(p.std()))
    if plane.dtype == np.uint8:
        return np.ascontiguousarray(plane, np.uint8)
    return np.asarray(cv2.normalize(plane, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U))  # type: ignore[call-overload]


def moving_mask(grey: Grey, background: Grey) -> Grey:
    """255 where a frame differs from the background by more than Otsu's threshold, and than noise."""
    if grey.shape != background.shape:
        raise TrainingError(
            f"A frame of {grey.shape} px among frames of {background.shape}; take them apart."
        )
    difference = cv2.GaussianBlur(cv2.absdiff(grey, background), (0, 0), 1.0)
    level, _ = cv2.threshold(difference, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return _above(difference, max(level, LEAST_MOTION))


def _mixture(sample: Sequence[Grey]) -> Callable[[Grey], Grey]:
    """A mixture of Gaussians a pixel (Zivkovic 2004), learnt from the sample and kept."""
    model = cv2.createBackgroundSubtractorMOG2(len(sample) * MIXTURE_ROUNDS, 16, False)
    # Cells that are seen in the sample are learnt as well, as what is there more seldom.
    model.setBackgroundRatio(BACKGROUND_SHARE)
    for _ in range(MIXTURE_ROUNDS):
        for grey in sample:
            model.apply(grey, learningRate=1 / len(sample))
    return lambda grey: np.asarray(model.apply(grey, learningRate=0), np.uint8)


def otsu_mask(grey: Grey) -> Grey:
    """255 on the rarer side of Otsu's threshold (1979), after the slope of the illumination is taken off."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5).astype(np.float32)
    ground = cv2.GaussianBlur(smooth, (0, 0), max(grey.shape) / 6)
    flat = np.asarray(cv2.normalize(smooth - ground, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U))  # type: ignore[call-overload]
    _, light = cv2.threshold(flat, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    rarer = light if cv2.countNonZero(light) * 2 <= light.size else cv2.bitwise_not(light)
    return np.asarray(rarer, np.uint8)


def edge_mask(grey: Grey, smallest_px: float) -> Grey:
    """255 within outlines of Canny's edges (1986), whose gaps of up to a third of a cell are closed."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    gradient = cv2.magnitude(*(cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x) for x in (1, 0)))
    high = max(float(np.quantile(gradient, EDGE_SHARE)), 2 * LEAST_MOTION)
    edges = cv2.Canny(smooth, high / 2, high, L2gradient=True)
    width = max(3, int(smallest_px / 3)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    closed = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, disc)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros_like(grey)
    cv2.drawContours(filled, outlines, -1, 255, cv2.FILLED)
    return filled


def _above(image: NDArray[np.uint8] | cv2.typing.MatLike, level: float) -> Grey:
    return (np.asarray(image) > level).astype(np.uint8) * np.uint8(255)


def _cells(mask: Grey, choice: ClassicalChoice) -> Labels:
    """The pieces of a mask of cells' size, opened a little, holes filled, touching ones parted."""
    low, high = choice.diameters_px
    width = max(1, int(low / 4)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc), np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, outlines, -1, 255, cv2.FILLED)
    if choice.saddle:
        labels = split_touching(mask, choice.saddle)
    else:
        number, pieces = cv2.connectedComponents(mask, connectivity=8)
        if number > np.iinfo(np.uint16).max:
            raise TrainingError(f"{number} pieces in one frame are noise; raise --min-diameter.")
        labels = pieces.astype(np.uint16)
    areas = [np.pi / 4 * diameter**2 for diameter in (low, high)]
    return measure(labels, min_area=areas[0], max_area=areas[1]).labels
