"""Label masks: which pixel belongs to which cell, as 16-bit PNG."""

from __future__ import annotations

from pathlib import Path

import cv2

from streamcount.errors import ModelError
from streamcount.sinks.files import picture_name, write_whole
from streamcount.types import Detections


def write_mask(folder: Path, source: str, index: int, detections: Detections) -> Path:
    """Write the label image of a frame: 0 background, i + 1 the i-th of the line's `detections`.

    The name is STEM-HASH-INDEX.labels.png, see `picture_name`. Raises ModelError where the detector gave no
    labels, ConfigurationError where the folder cannot be written.
    """
    if detections.labels is None:
        raise ModelError(f"the detector {detections.model.name} draws no labels; use another for --masks")
    done, data = cv2.imencode(".png", detections.labels)
    if not done:
        raise ModelError(f"{source}: its label image of {detections.labels.dtype} cannot be written as PNG")
    path = folder / picture_name(source, index, "labels")
    write_whole(path, data.tobytes())
    return path
