"""The figures: average precision, F1, and how wrong the counts are, with intervals."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.training.data.labelled import Dataset, as_one_class
from streamcount.training.judge.finds import Found
from streamcount.training.judge.matching import match

ANY_CLASS = "any cell"
MOST_CELLS = 1000
RESAMPLES = 2000


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class over all images.

    ap50, ap50_95: COCO average precision, of outlines where there are masks, else of boxes. precision, recall,
    f1: at IoU 0.5, of the finds that count. Of counts per image: mae is the mean absolute error in cells, bias
    the mean signed error, mape the mean of error over truth among images that show the class, in percent;
    mae_95, bias_95, mape_95: from and to, 95 % bootstrap intervals over images.
    """

    cells: int
    ap50: float
    ap50_95: float
    precision: float
    recall: float
    f1: float
    mae: float
    bias: float
    mape: float
    mae_95: tuple[float, float] = (0.0, 0.0)
    bias_95: tuple[float, float] = (0.0, 0.0)
    mape_95: tuple[float, float] = (0.0, 0.0)


def figures(
    dataset: Dataset, ranked: list[Found], counted: list[Found], by_class: bool = True
) -> dict[str, ClassFigures]:
    """Figures by class, and for all classes taken as one.

    ranked: finds with the doubtful ones, for average precision; counted: those that count.
    """
    result = _figures(dataset, ranked, counted) if by_class else {}
    return {**result, **_figures(as_one_class(dataset, ANY_CLASS), _as_one(ranked), _as_one(counted))}


def f1_of_all(dataset: Dataset, counted: list[Found]) -> float:
    """The F1 of `figures` for all classes taken as one, without the time that the others take."""
    one, finds = as_one_class(dataset, ANY_CLASS), _as_one(counted)
    return _f1(int(_right(one, finds).sum()), int(counts(finds, 1).sum()), int(true_counts(one).sum()))


def _as_one(finds: list[Found]) -> list[Found]:
    return [replace(found, class_ids=np.zeros_like(found.class_ids)) for found in finds]


def _f1(hits: int, finds: int, cells: int) -> float:
    return round(2 * hits / max(finds + cells, 1), 4)


def count_errors(dataset: Dataset, counted: list[Found]) -> NDArray[np.int64]:
    """(images, C) found minus labelled cells."""
    return counts(counted, len(dataset.class_names)) - true_counts(dataset)


def counts(finds: list[Found], classes: int) -> NDArray[np.int64]:
    """(images, C) found cells."""
    return np.array([np.bincount(f.class_ids, minlength=classes) for f in finds], np.int64)


def true_counts(dataset: Dataset) -> NDArray[np.int64]:
    """(images, C) labelled cells."""
    classes = len(dataset.class_names)
    return np.array([np.bincount(i.class_ids, minlength=classes) for i in dataset.images], np.int64)


def _figures(dataset: Dataset, ranked: list[Found], counted: list[Found]) -> dict[str, ClassFigures]:
    precision = _average_precision(dataset, ranked)
    right = _right(dataset, counted)
    errors, truth, found = (
        count_errors(dataset, counted),
        true_counts(dataset),
        counts(counted, right.shape[1]),
    )
    result = {}
    for class_id, name in enumerate(dataset.class_names):
        error, real = errors[:, class_id].astype(np.float64), truth[:, class_id]
        shown = real > 0
        relative = 100 * np.abs(error[shown]) / real[shown]
        hits, finds, cells = (int(a[:, class_id].sum()) for a in (right, found, truth))
        ap50, ap = precision[class_id]
        result[name] = ClassFigures(
            cells=cells,
            ap50=round(ap50, 4),
            ap50_95=round(ap, 4),
            precision=round(hits / max(finds, 1), 4),
            recall=round(hits / max(cells, 1), 4),
            f1=_f1(hits, finds, cells),
            mae=round(float(np.abs(error).mean()), 4),
            bias=round(float(error.mean()), 4),
            mape=round(float(relative.mean()) if shown.any() else 0.0, 2),
            mae_95=_interval(np.abs(error)),
            bias_95=_interval(error),
            mape_95=_interval(relative),
        )
    return result


def _right(dataset: Dataset, counted: list[Found]) -> NDArray[np.int64]:
    """(images, C) finds that match a label of their class."""
    classes = len(dataset.class_names)
    rows = []
    for image, found in zip(dataset.images, counted, strict=True):
        hit, _ = match(image, found)
        same = np.append(image.class_ids, -1)[hit] == found.class_ids
        rows.append(np.bincount(found.class_ids[same], minlength=classes))
    return np.array(rows, np.int64)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean (Efron 1979), seeded so that it can be computed again."""
    if not len(values):
        return (0.0, 0.0)
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return (round(float(low), 3), round(float(high), 3))


def _average_precision(dataset: Dataset, ranked: list[Found]) -> list[tuple[float, float]]:
    """(AP50, AP50-95) by class, by faster-coco-eval; AP is -1 for a class that is not labelled."""
    from faster_coco_eval import COCO, COCOeval_faster

    outlined = all(i.masks is not None for i in dataset.images) and all(f.masks is not None for f in ranked)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(_coco_truth(dataset, outlined))
        finds = _coco_finds(ranked, outlined)
        if not finds:
            return [(0.0, 0.0)] * len(dataset.class_names)
        run = COCOeval_faster(truth, truth.loadRes(finds), iouType="segm" if outlined else "bbox")
        run.params.maxDets = [1, 10, MOST_CELLS]
        run.evaluate()
        run.accumulate()
    table = run.eval["precision"]  # (IoU, recall, class, area, maxDets)
    result = []
    for class_id in range(len(dataset.class_names)):
        curves = table[:, :, class_id, 0, -1]
        result.append((float(curves[0].mean()), float(curves.mean())))
    return result


def _coco_truth(dataset: Dataset, outlined: bool) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(dataset.images):
        shapes = _shapes(image.boxes_px, image.masks() if outlined and image.masks is not None else None)
        for shape, class_id in zip(shapes, image.class_ids, strict=True):
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": int(class_id) + 1,
                "iscrowd": 0, **shape,
            })  # fmt: skip
    return {
        "info": {},
        "images": [
            {"id": n, "height": i.shape_px[0], "width": i.shape_px[1]} for n, i in enumerate(dataset.images)
        ],
        "annotations": annotations,
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate(dataset.class_names)],
    }


def _coco_finds(ranked: list[Found], outlined: bool) -> list[dict[str, Any]]:
    finds = []
    for number, found in enumerate(ranked):
        shapes = _shapes(found.boxes_px, found.masks if outlined else None)
        for shape, class_id, score in zip(shapes, found.class_ids, found.scores, strict=True):
            finds.append(
                {"image_id": number, "category_id": int(class_id) + 1, "score": float(score), **shape}
            )
    return finds


def _shapes(boxes_px: NDArray[np.float32], masks: NDArray[Any] | None) -> list[dict[str, Any]]:
    """Boxes, and outlines where there are any, in COCO's words."""
    from faster_coco_eval import mask as coco_mask

    shapes = []
    for number, (y0, x0, y1, x1) in enumerate(boxes_px.astype(float), 1):
        shape: dict[str, Any] = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (y1 - y0) * (x1 - x0)}
        if masks is not None:
            own = np.asfortranarray(masks == number, np.uint8)
            shape["segmentation"] = coco_mask.encode(own)
            shape["area"] = float(own.sum())
        shapes.append(shape)
    return shapes
