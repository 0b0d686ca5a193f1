"""Masks of corrected cells: the model that found them outlines them again; what a person drew is an ellipse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from streamcount.detection.bundle import DENSE_INSTANCES
from streamcount.detection.postprocess import iou_matrix
from streamcount.detection.tflite import TfliteConfig
from streamcount.errors import TrainingError
from streamcount.types import Frame, FrameMetadata, Image
from streamcount.types.corrections import FrameFacts, LabelledCell

# Boxes of one cell, found twice by one net at about one scale, are nearly the same.
SAME_CELL_IOU = 0.5


class Outliner:
    """Outlines the cells of corrected frames with the bundle that counted them.

    outlined, drawn: how many cells have the model's outline, and how many the ellipse in their box, so far.
    """

    def __init__(self, model: str) -> None:
        """model: name or folder of the bundle. Raises ModelError, and TrainingError where it tells no outlines."""
        self._detector = TfliteConfig(model=model).build()
        if self._detector.bundle.task != DENSE_INSTANCES:
            raise TrainingError(f"{model} finds boxes and no outlines; leave --masks out.")
        self._model = model
        self.outlined = self.drawn = 0

    def require_own(self, facts: FrameFacts) -> None:
        """Raises TrainingError where another model, or another state of this one, found the frame's cells."""
        known = self._detector.model.sha256
        if facts.model.sha256 != known:
            raise TrainingError(
                f"frame {facts.sequence} of {facts.camera_id} was counted by {facts.model.name} "
                f"{facts.model.sha256[:12]}…, and {self._model} is {known[:12]}…; give --masks the folder of that "
                "bundle, or choose frames with --camera and --model."
            )

    def labels(self, image: Image, facts: FrameFacts, cells: Sequence[LabelledCell]) -> NDArray[np.int32]:
        """(H, W): cell i of `cells` has the value i + 1, the ground 0."""
        metadata = FrameMetadata(
            camera_id=facts.camera_id,
            run_id=facts.run_id,
            sequence=facts.sequence,
            acquired_at_ns=facts.acquired_at_ns,
            pixel_size_um=facts.pixel_size_um,
        )
        seen = self._detector.detect(Frame(image, metadata), labels=True)
        found = np.flatnonzero([cell.found for cell in cells])
        boxes = np.array([cell.box_px for cell in cells if cell.found], np.float32).reshape(-1, 4)
        overlaps = iou_matrix(boxes, seen.boxes_px)
        rows, columns = linear_sum_assignment(-overlaps)
        same = overlaps[rows, columns] >= SAME_CELL_IOU
        # What the label image calls the detection, by the cell's own number; 0 is the ground.
        numbers = np.zeros(len(seen) + 1, np.int32)
        numbers[columns[same] + 1] = found[rows[same]] + 1
        labels = np.zeros(image.shape[:2], np.int32) if seen.labels is None else numbers[seen.labels]
        has_outline = np.isin(np.arange(1, len(cells) + 1), labels)
        for i in np.flatnonzero(~has_outline).tolist():
            _draw_ellipse(labels, cells[i].box_px, i + 1)
        self.outlined += int(has_outline.sum())
        self.drawn += int((~has_outline).sum())
        return np.asarray(labels, np.int32)


def _draw_ellipse(labels: NDArray[np.int32], box_px: tuple[float, float, float, float], number: int) -> None:
    """Fills the ellipse in the box where no other cell is; a cell wholly within others takes its middle."""
    y0, x0, y1, x1 = box_px
    height, width = labels.shape
    middle_y, middle_x = (y0 + y1) / 2, (x0 + x1) / 2
    # A pixel's middle lies half a pixel behind its corner, from which boxes count.
    y = (np.arange(height) + 0.5 - middle_y) / max((y1 - y0) / 2, 0.5)
    x = (np.arange(width) + 0.5 - middle_x) / max((x1 - x0) / 2, 0.5)
    labels[(y[:, None] ** 2 + x**2 <= 1) & (labels == 0)] = number
    if not (labels == number).any():
        labels[min(int(middle_y), height - 1), min(int(middle_x), width - 1)] = number
