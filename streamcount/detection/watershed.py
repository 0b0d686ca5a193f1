"""The classical detector: flatten the background, threshold, split touching cells. It needs no model."""

from __future__ import annotations

import hashlib
from typing import Literal

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamcount.detection.contours import outlines_of
from streamcount.detection.foreground import Image, Polarity, cell_mask
from streamcount.detection.regions import Regions, measure, split_touching
from streamcount.errors import FrameError
from streamcount.types import OUTLINE_POINTS, Detections, Frame, ModelIdentity, empty_detections
from streamcount.types.whites import full_white

# The smallest cell keeps at least this many pixels across in the image that is worked on.
WORKING_DIAMETER = 5.0
# Above this share of pixels at the end of the scale, cells may hide in it.
SATURATED_SHARE = 0.2
CLASS_NAMES = ("cell",)


class WatershedConfig(BaseModel):
    """Settings of the watershed detector. Diameters are of a disc of the cell's area."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["watershed"] = Field(default="watershed", description="Which detector.")
    min_diameter_px: float = Field(
        default=10.0, ge=3, le=5000, description="Smaller things are no cells, in pixels."
    )
    max_diameter_px: float = Field(
        default=200.0, ge=4, le=10000, description="Larger things are no cells, in pixels."
    )
    min_diameter_um: float | None = Field(
        default=None, gt=0, le=1e5, description="Instead of min_diameter_px where the pixel size is known."
    )
    max_diameter_um: float | None = Field(
        default=None, gt=0, le=1e5, description="Instead of max_diameter_px where the pixel size is known."
    )
    polarity: Polarity = Field(
        default="auto", description="Whether cells are darker or lighter than what is around them."
    )
    min_contrast: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Least contrast of a cell, as a share of full white: 255, or of 16-bit images the least of "
        "1023, 4095, 16383 and 65535 that no pixel exceeds.",
    )
    split_saddle: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Swellings are two cells where the neck between is narrower than this share.",
    )

    @model_validator(mode="after")
    def _diameters_in_order(self) -> WatershedConfig:
        if self.min_diameter_px >= self.max_diameter_px:
            raise ValueError("min_diameter_px must be below max_diameter_px")
        if (self.min_diameter_um is None) != (self.max_diameter_um is None):
            raise ValueError("min_diameter_um and max_diameter_um go together; set both or none")
        if (self.min_diameter_um or 0.0) >= (self.max_diameter_um or np.inf):
            raise ValueError("min_diameter_um must be below max_diameter_um")
        return self

    def build(self) -> WatershedDetector:
        """The detector."""
        return WatershedDetector(self)


class WatershedDetector:
    """Background flattening, Otsu's threshold, hole filling, distance transform, watershed.

    Works on the image reduced by a whole factor, as far as the smallest cell allows; all that it tells is in
    pixels of the full image. Every cell has the class "cell" with probability 1. Quality flags: "empty" where
    nothing stands out, "saturated" where a fifth of the image is at the end of its scale.
    """

    def __init__(self, config: WatershedConfig | None = None) -> None:
        self.config = config or WatershedConfig()
        settings = self.config.model_dump_json().encode()
        self._model = ModelIdentity(
            name="watershed", sha256=hashlib.sha256(settings).hexdigest(), class_names=CLASS_NAMES
        )

    @property
    def model(self) -> ModelIdentity:
        """The settings' identity."""
        return self._model

    def detect(self, frame: Frame, *, labels: bool = False, outlines: bool = False) -> Detections:
        """See Detector.detect. Raises FrameError ("too-small") for an image below 4 pixels a side."""
        height, width = frame.image.shape[:2]
        if min(height, width) < 4:
            raise FrameError("too-small", f"an image of {width}x{height} pixels is too small to hold a cell")
        smallest_px, largest_px = self._diameters_px(frame)
        factor = max(1, min(int(smallest_px / WORKING_DIAMETER), min(height, width) // 4))
        working = _reduced(frame.image, factor)
        scale_yx = np.array([height / working.shape[0], width / working.shape[1]])
        scale = float(np.sqrt(scale_yx.prod()))
        full_scale = full_white(frame.image)
        quality = _saturation(working, full_scale)
        mask = cell_mask(
            working,
            diameters_px=(smallest_px / scale, largest_px / scale),
            polarity=self.config.polarity,
            min_contrast=self.config.min_contrast * full_scale,
        )
        if mask is None:
            return self._nothing(frame, quality, labels, outlines)
        regions = measure(
            split_touching(mask, self.config.split_saddle),
            min_area=np.pi / 4 * (smallest_px / scale) ** 2,
            max_area=np.pi / 4 * (largest_px / scale) ** 2,
        )
        if not len(regions.areas):
            return self._nothing(frame, quality, labels, outlines)
        found = self._in_full_pixels(frame, regions, scale_yx, quality, labels)
        if not outlines:
            return found
        return msgspec.structs.replace(found, outlines=outlines_of(regions.labels, regions.boxes))

    def _diameters_px(self, frame: Frame) -> tuple[float, float]:
        config, pixel_um = self.config, frame.metadata.pixel_size_um
        if pixel_um is None or config.min_diameter_um is None or config.max_diameter_um is None:
            return config.min_diameter_px, config.max_diameter_px
        return max(3.0, config.min_diameter_um / pixel_um), max(4.0, config.max_diameter_um / pixel_um)

    def _nothing(self, frame: Frame, quality: tuple[str, ...], labels: bool, outlines: bool) -> Detections:
        shape = (frame.image.shape[0], frame.image.shape[1])
        return msgspec.structs.replace(
            empty_detections(frame.metadata, shape, self._model),
            quality=("empty", *quality),
            labels=np.zeros(shape, np.uint16) if labels else None,
            outlines=np.zeros((0, OUTLINE_POINTS, 2), np.uint8) if outlines else None,
        )

    def _in_full_pixels(
        self,
        frame: Frame,
        regions: Regions,
        scale_yx: NDArray[np.float64],
        quality: tuple[str, ...],
        labels: bool,
    ) -> Detections:
        height, width = frame.image.shape[:2]
        full_labels: NDArray[np.uint16] | None = None
        if labels:
            full = cv2.resize(regions.labels, (width, height), interpolation=cv2.INTER_NEAREST)
            full_labels = full.astype(np.uint16, copy=False)
        return Detections(
            metadata=frame.metadata,
            image_shape=(height, width),
            model=self._model,
            centroids_px=((regions.centroids + 0.5) * scale_yx - 0.5).astype(np.float32),
            boxes_px=(regions.boxes * np.tile(scale_yx, 2)).astype(np.float32),
            areas_px=(regions.areas * scale_yx.prod()).astype(np.float32),
            class_probabilities=np.ones((len(regions.areas), 1), np.float32),
            labels=full_labels,
            quality=quality,
        )


def _reduced(image: Image, factor: int) -> Image:
    """The image with pixels `factor` times as large, each the mean of what it covers."""
    if factor == 1:
        return image
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _saturation(working: Image, full_scale: int) -> tuple[str, ...]:
    share = np.count_nonzero(working == full_scale) / working.size
    return ("saturated",) if share > SATURATED_SHARE else ()
