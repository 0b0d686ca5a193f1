"""Given masks as detections: each frame is a label image, as another program or a person has drawn it."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from streamcount.detection.contours import outlines_of
from streamcount.detection.regions import measure
from streamcount.errors import FrameError
from streamcount.types import Detections, Frame, ModelIdentity

CLASS_NAMES = ("cell",)


class LabelsConfig(BaseModel):
    """Settings of the labels detector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["labels"] = Field(
        default="labels",
        description="Which detector; its camera must send with encoding png or raw, since JPEG changes values.",
    )
    min_area_px: int = Field(
        default=1, ge=1, le=10**9, description="Smaller objects are left out, in pixels."
    )

    def build(self) -> LabelsDetector:
        """The detector."""
        return LabelsDetector(self)


class LabelsDetector:
    """Takes frames for label images: 0 is background, and all pixels of one other value are one cell.

    So linking can be judged on its own, on masks that are right. Values say nothing across frames. Every cell has the
    class "cell" with probability 1. Quality flag: "empty" where there is no cell.
    """

    def __init__(self, config: LabelsConfig | None = None) -> None:
        self.config = config or LabelsConfig()
        settings = self.config.model_dump_json().encode()
        self.model = ModelIdentity("labels", hashlib.sha256(settings).hexdigest(), CLASS_NAMES)

    def detect(self, frame: Frame, *, labels: bool = False, outlines: bool = False) -> Detections:
        """The objects of the label image `frame`, in the order of their values.

        Raises FrameError ("bad-image") for an image of colours.
        """
        image = frame.image
        if image.ndim != 2:
            raise FrameError("bad-image", "a label image has one channel, this one is of colours")
        least = self.config.min_area_px
        regions = measure(np.asarray(image, np.uint16), min_area=least, max_area=float(image.size))
        number = len(regions.areas)
        return Detections(
            metadata=frame.metadata,
            image_shape=(image.shape[0], image.shape[1]),
            model=self.model,
            centroids_px=regions.centroids.astype(np.float32),
            boxes_px=regions.boxes.astype(np.float32),
            areas_px=regions.areas.astype(np.float32),
            class_probabilities=np.ones((number, 1), np.float32),
            labels=regions.labels if labels else None,
            quality=() if number else ("empty",),
            # Values are names, and no brightness.
            intensities=np.full(number, np.nan, np.float32),
            foreground_fraction=float(regions.areas.sum()) / image.size,
            outlines=outlines_of(regions.labels, regions.boxes) if outlines else None,
        )
