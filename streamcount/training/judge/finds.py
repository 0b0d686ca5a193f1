"""What a detector finds on labelled images, in the classes of the labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.base import Detector
from streamcount.detection.bundle import Bundle
from streamcount.detection.net import Net
from streamcount.detection.tflite import TfliteConfig, TfliteDetector
from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.types import Detections, Frame, FrameMetadata

LEAST_SCORE = 0.01  # average precision needs the doubtful finds too


@dataclass(frozen=True)
class Found:
    """The cells found in an image, row i of each array being cell i.

    boxes_px (N, 4), class_ids (N,) of the data's classes, scores (N,), masks: the (H, W) label image in which cell i
    has the value i + 1, where outlines are judged.
    """

    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    masks: NDArray[np.uint16] | None = None

    def take(self, keep: NDArray[np.bool_]) -> Found:
        """Some of the finds only; the label image keeps to their new numbers."""
        masks = self.masks
        if masks is not None:
            numbers = np.zeros(len(keep) + 1, np.uint16)
            numbers[1:][keep] = np.arange(1, int(keep.sum()) + 1)
            masks = np.asarray(numbers[masks], np.uint16)
        return Found(self.boxes_px[keep], self.class_ids[keep], self.scores[keep], masks)


def find_all(
    detector: Detector,
    dataset: Dataset,
    columns: list[int],
    tick: Callable[[], None] | None = None,
    *,
    masks: bool = False,
) -> list[Found]:
    """Run the detector over all images. masks: with outlines.

    columns: the data's number of each of the detector's classes; -1 for one that the data does not label, whose
    finds are left out.
    """
    found = []
    for image in dataset.images:
        found.append(as_found(detector.detect(frame_of(image), labels=masks), columns))
        if tick is not None:
            tick()
    return found


def frame_of(image: LabelledImage) -> Frame:
    """The image as a frame; of unknown pixel size, unless the image tells it."""
    metadata = FrameMetadata(
        camera_id="evaluation", run_id="1", sequence=0, acquired_at_ns=0, pixel_size_um=image.pixel_size_um
    )
    return Frame(image.read(), metadata)


def as_found(cells: Detections, columns: list[int]) -> Found:
    """Detections with the data's class numbers, those of classes that it does not label left out."""
    numbers = np.array(columns, np.int64)[cells.class_ids]
    return Found(cells.boxes_px, numbers, cells.scores, cells.labels).take(numbers >= 0)


def class_columns(detector: Detector, dataset: Dataset, bundle: Bundle | None) -> list[int] | None:
    """The data's number of each of the detector's classes, by the bundle's `label` or by name; -1 for one that the
    data does not label. None where no name is known to both; all are 0 where the data calls every cell the same.
    """
    labels = {info.name: info.label for info in bundle.classes if info.label} if bundle else {}
    known = {name: label for name, label in labels.items() if label in dataset.class_names}
    names = [known.get(name, name) for name in detector.model.class_names]
    if set(names) & set(dataset.class_names):
        return [dataset.class_names.index(name) if name in dataset.class_names else -1 for name in names]
    return [0] * len(names) if len(dataset.class_names) == 1 else None


def needed_columns(detector: Detector, dataset: Dataset, bundle: Bundle) -> list[int]:
    """As `class_columns`. Raises TrainingError where no name is known to both."""
    columns = class_columns(detector, dataset, bundle)
    if columns is None:
        raise TrainingError(
            f"The labels name {', '.join(dataset.class_names)}, the model {', '.join(bundle.class_names)}."
        )
    return columns


def doubtful(model: str, bundle: Bundle, form: str = "int8", net: Net | None = None) -> Detector:
    """The detector of a bundle with all finds down to a score of 0.01, for average precision; net: to be run in place
    of the bundle's own."""
    thresholds = dict.fromkeys(bundle.class_names, LEAST_SCORE)
    config = TfliteConfig.model_validate({"model": model, "form": form, "thresholds": thresholds})
    return TfliteDetector(config, net)
