"""Pictures of where a detector is wrong, for people to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.prepare import prepare
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.judge.finds import Found
from streamcount.training.judge.matching import match

SHORTEST_SIDE_PX = 560
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


def draw(
    image: LabelledImage, found: Found, hit: NDArray[np.int64], missed: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the enlarged (H, W, 3) uint8 image with the outlines, else boxes, of finds and of missed labels."""
    factor = max(1.0, SHORTEST_SIDE_PX / min(image.shape_px))
    pixels = image.read()
    shown = prepare(pixels, 3, "percentile" if pixels.ndim == 2 else "none")
    canvas = np.asarray(
        cv2.resize(shown, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8
    )
    labels = image.masks() if image.masks is not None and found.masks is not None else None
    for index, (class_id, score, label) in enumerate(zip(found.class_ids, found.scores, hit, strict=True)):
        colour, text = RIGHT, ""
        if label < 0:
            colour, text = FALSE_FIND, f"{class_id} {score:.2f}"
        elif image.class_ids[label] != class_id:
            colour, text = WRONG_CLASS, f"{class_id}/{image.class_ids[label]}"
        mask = None if found.masks is None else found.masks == index + 1
        _mark(canvas, found.boxes_px[index], mask, factor, colour, text)
    for index in np.flatnonzero(missed).tolist():
        mask = None if labels is None else labels == index + 1
        _mark(canvas, image.boxes_px[index], mask, factor, MISSED)
    return canvas


def _mark(
    canvas: NDArray[np.uint8],
    box_px: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    factor: float,
    colour: tuple[int, int, int],
    text: str = "",
) -> None:
    """Draw one cell's outline, or its box where there is no mask, onto an image enlarged by `factor`."""
    y0, x0, y1, x1 = (round(float(v) * factor) for v in box_px)
    if mask is None:
        cv2.rectangle(canvas, (x0 + 1, y0 + 1), (x1 - 2, y1 - 2), colour, 2)
    else:
        size = (canvas.shape[1], canvas.shape[0])
        large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
        contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(canvas, contours, -1, colour, 2)
    cv2.putText(canvas, text, (x0 + 4, y0 + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
