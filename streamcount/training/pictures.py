"""Pictures of where a detector is wrong, for people to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.postprocess import iou_matrix
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.evaluate import Found

SHORTEST_SIDE_PX = 560
MATCH_IOU = 0.5
RIGHT, FALSE_FIND, MISSED, WRONG_CLASS = (70, 190, 70), (230, 40, 40), (255, 170, 0), (200, 40, 220)


def write_worst(dataset: Dataset, counted: list[Found], folder: Path, most: int) -> list[Path]:
    """Write pictures of the images with most wrong cells, worst first, and return their paths.

    Green: found and labelled. Red: found only. Orange: labelled only. Violet: found with another class (the
    letters are found/labelled class numbers).
    """
    folder.mkdir(parents=True, exist_ok=True)
    judged = [
        (*match(image, found), image, found) for image, found in zip(dataset.images, counted, strict=True)
    ]
    wrong = [int((hit < 0).sum() + missed.sum()) for hit, missed, _, _ in judged]
    paths = []
    for rank, index in enumerate(np.argsort(-np.array(wrong), kind="stable")[:most], 1):
        hit, missed, image, found = judged[int(index)]
        path = folder / f"{rank:02d}-wrong{wrong[int(index)]}-{image.path.stem}.png"
        drawn = draw(image, found, hit, missed)
        cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tofile(path)
        paths.append(path)
    return paths


def match(image: LabelledImage, found: Found) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Match greedily by score at IoU >= 0.5, whatever the class.

    Returns (N,) the label matched by each find, -1 where there is none, and (M,) the labels missed.
    """
    overlap = iou_matrix(found.boxes_px, image.boxes_px)
    hit = np.full(len(found.boxes_px), -1, np.int64)
    for i in np.argsort(-found.scores, kind="stable"):
        if overlap.shape[1] and overlap[i].max() >= MATCH_IOU:
            hit[i] = int(overlap[i].argmax())
            overlap[:, hit[i]] = 0
    missed = np.ones(len(image.boxes_px), bool)
    missed[hit[hit >= 0]] = False
    return hit, missed


def draw(
    image: LabelledImage, found: Found, hit: NDArray[np.int64], missed: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the enlarged (H, W, 3) uint8 image with the boxes of finds and of missed labels."""
    factor = max(1.0, SHORTEST_SIDE_PX / min(image.shape_px))
    canvas = cv2.resize(image.read(), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)

    def box(at: NDArray[np.float32], colour: tuple[int, int, int], text: str = "") -> None:
        y0, x0, y1, x1 = (round(float(v) * factor) for v in at)
        cv2.rectangle(canvas, (x0 + 1, y0 + 1), (x1 - 2, y1 - 2), colour, 2)
        cv2.putText(canvas, text, (x0 + 4, y0 + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)

    for at, class_id, score, label in zip(found.boxes_px, found.class_ids, found.scores, hit, strict=True):
        if label < 0:
            box(at, FALSE_FIND, f"{class_id} {score:.2f}")
        elif image.class_ids[label] != class_id:
            box(at, WRONG_CLASS, f"{class_id}/{image.class_ids[label]}")
        else:
            box(at, RIGHT)
    for at in image.boxes_px[missed]:
        box(at, MISSED)
    return np.asarray(canvas, np.uint8)
