"""What a detector is worth on labelled images: average precision by class, and how wrong its counts are."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.base import Detector
from streamcount.detection.bundle import Bundle
from streamcount.detection.tflite import TfliteConfig
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.types import Detections, Frame, FrameMetadata

ANY_CLASS = "any cell"
LEAST_SCORE = 0.05  # average precision needs the doubtful finds too
MOST_CELLS = 1000


@dataclass(frozen=True)
class Found:
    """The cells that a detector found in an image: (N, 4) boxes, (N,) classes of the data, (N,) scores."""

    boxes_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class over all images.

    ap50, ap50_95: COCO average precision. Of counts per image: mae is the mean absolute error in cells, bias
    the mean signed error, mape the mean of error over truth among images that show the class, in percent.
    """

    cells: int
    ap50: float
    ap50_95: float
    mae: float
    bias: float
    mape: float


def find_all(
    detector: Detector, dataset: Dataset, columns: list[int], tick: Callable[[], None] | None = None
) -> list[Found]:
    """Run the detector over all images. `columns` maps its classes to the data's."""
    found = []
    mapping = np.array(columns, np.int64)
    for image in dataset.images:
        cells = detector.detect(frame_of(image))
        found.append(Found(cells.boxes_px, mapping[cells.class_ids], cells.scores))
        if tick is not None:
            tick()
    return found


def frame_of(image: LabelledImage) -> Frame:
    """The image as a frame of unknown pixel size."""
    return Frame(
        image.read(), FrameMetadata(camera_id="evaluation", run_id="1", sequence=0, acquired_at_ns=0)
    )


def class_columns(detector: Detector, dataset: Dataset, bundle: Bundle | None) -> list[int] | None:
    """The data's number of each of the detector's classes, by name or the bundle's `label`; or None."""
    labels = {info.name: info.label or info.name for info in bundle.classes} if bundle else {}
    names = [labels.get(name, name) for name in detector.model.class_names]
    if not set(names) <= set(dataset.class_names):
        return None
    return [dataset.class_names.index(name) for name in names]


def doubtful(model: str, bundle: Bundle) -> Detector:
    """The detector of a bundle with all finds down to a score of 0.05, for average precision."""
    return TfliteConfig(model=model, thresholds=dict.fromkeys(bundle.class_names, LEAST_SCORE)).build()


def figures(
    dataset: Dataset, ranked: list[Found], counted: list[Found], by_class: bool = True
) -> dict[str, ClassFigures]:
    """Figures by class, and for all classes taken as one.

    ranked: finds with the doubtful ones, for average precision; counted: those that count.
    """
    merged = Dataset(tuple(_as_one(i) for i in dataset.images), (ANY_CLASS,))
    one_class = [
        [Found(f.boxes_px, np.zeros_like(f.class_ids), f.scores) for f in finds]
        for finds in (ranked, counted)
    ]
    result = _figures(dataset, ranked, counted) if by_class else {}
    return {**result, **_figures(merged, *one_class)}


def unbiased_thresholds(dataset: Dataset, ranked: list[Found]) -> list[float]:
    """For each class the threshold, 0.15 to 0.7, that makes counts per image least wrong and least biased.

    It minimises the mean absolute error plus the absolute mean error; of equal ones the middle is taken.
    (Matching only the total would go down into noise to make up for cells that no threshold finds.)
    """
    candidates = np.round(np.arange(0.15, 0.7001, 0.01), 3)
    truth = np.array([np.bincount(i.class_ids, minlength=len(dataset.class_names)) for i in dataset.images])
    thresholds = []
    for class_id in range(len(dataset.class_names)):
        scores = [f.scores[f.class_ids == class_id] for f in ranked]
        found = np.array([[(s >= t).sum() for s in scores] for t in candidates])
        error = found - truth[:, class_id]
        cost = np.abs(error).mean(axis=1) + np.abs(error.mean(axis=1))
        best = np.flatnonzero(cost <= cost.min() + 1e-9)
        thresholds.append(float(candidates[best[len(best) // 2]]))
    return thresholds


def count_errors(dataset: Dataset, counted: list[Found]) -> NDArray[np.int64]:
    """(images, C) found minus labelled cells."""
    classes = len(dataset.class_names)
    truth = np.array([np.bincount(i.class_ids, minlength=classes) for i in dataset.images])
    found = np.array([np.bincount(f.class_ids, minlength=classes) for f in counted])
    return np.asarray(found - truth, np.int64)


def as_found(cells: Detections, columns: list[int]) -> Found:
    """Detections with the data's class numbers."""
    return Found(cells.boxes_px, np.array(columns, np.int64)[cells.class_ids], cells.scores)


def _as_one(image: LabelledImage) -> LabelledImage:
    ids = np.zeros_like(image.class_ids)
    return LabelledImage(image.path, image.shape_px, image.boxes_px, ids, image.diameter_px)


def _figures(dataset: Dataset, ranked: list[Found], counted: list[Found]) -> dict[str, ClassFigures]:
    precision = _average_precision(dataset, ranked)
    errors, result = count_errors(dataset, counted), {}
    truth = np.array([np.bincount(i.class_ids, minlength=errors.shape[1]) for i in dataset.images])
    for class_id, name in enumerate(dataset.class_names):
        error, real = errors[:, class_id], truth[:, class_id]
        shown = real > 0
        mape = float(100 * np.mean(np.abs(error[shown]) / real[shown])) if shown.any() else 0.0
        ap50, ap = precision[class_id]
        mae, bias = float(np.abs(error).mean()), float(error.mean())
        result[name] = ClassFigures(
            cells=int(real.sum()),
            ap50=round(ap50, 4),
            ap50_95=round(ap, 4),
            mae=round(mae, 4),
            bias=round(bias, 4),
            mape=round(mape, 2),
        )
    return result


def _average_precision(dataset: Dataset, ranked: list[Found]) -> list[tuple[float, float]]:
    """(AP50, AP50-95) by class, by faster-coco-eval; AP is -1 for a class that is not labelled."""
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(_coco_truth(dataset))
        finds = _coco_finds(ranked)
        if not finds:
            return [(0.0, 0.0)] * len(dataset.class_names)
        run = COCOeval_faster(truth, truth.loadRes(finds), iouType="bbox")
        run.params.maxDets = [1, 10, MOST_CELLS]
        run.evaluate()
        run.accumulate()
    table = run.eval["precision"]  # (IoU, recall, class, area, maxDets)
    result = []
    for class_id in range(len(dataset.class_names)):
        curves = table[:, :, class_id, 0, -1]
        result.append((float(curves[0].mean()), float(curves.mean())))
    return result


def _coco_truth(dataset: Dataset) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(dataset.images):
        for box, class_id in zip(image.boxes_px, image.class_ids, strict=True):
            width, height = float(box[3] - box[1]), float(box[2] - box[0])
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": int(class_id) + 1,
                "iscrowd": 0,
                "bbox": [float(box[1]), float(box[0]), width, height], "area": width * height,
            })  # fmt: skip
    return {
        "info": {},
        "images": [
            {"id": n, "height": i.shape_px[0], "width": i.shape_px[1]} for n, i in enumerate(dataset.images)
        ],
        "annotations": annotations,
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate(dataset.class_names)],
    }


def _coco_finds(ranked: list[Found]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number, "category_id": int(class_id) + 1, "score": float(score),
            "bbox": [float(box[1]), float(box[0]), float(box[3] - box[1]), float(box[2] - box[0])],
        }
        for number, found in enumerate(ranked)
        for box, class_id, score in zip(found.boxes_px, found.class_ids, found.scores, strict=True)
    ]  # fmt: skip
