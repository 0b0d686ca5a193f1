"""Pictures of labels: one image with its cells outlined, and a contact sheet of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import TrainingError
from streamcount.sinks.overlay import class_colour, displayable
from streamcount.training.data.labelled import LabelledImage

CELL_PX = 320
COLUMNS = 4
STRIP_PX = 18


def draw_labels(image: LabelledImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: the image with masks outlined, else boxes, coloured by class."""
    canvas = displayable(image.read())
    thickness = max(1, round(min(image.shape_px) / 400))
    labels = image.masks() if image.masks is not None else None
    for number, (box, class_id) in enumerate(zip(image.boxes_px, image.class_ids.tolist(), strict=True), 1):
        y0, x0, y1, x1 = (round(float(v)) for v in box)
        colour = class_colour(class_id)
        if labels is None:
            cv2.rectangle(canvas, (x0, y0), (x1 - 1, y1 - 1), colour, thickness)
            continue
        mask = (labels[y0:y1, x0:x1] == number).astype(np.uint8)
        lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x0, y0))
        cv2.polylines(canvas, lines, True, colour, thickness)
    return canvas


def contact_sheet(images: Sequence[LabelledImage]) -> NDArray[np.uint8]:
    """Up to four in a row, each with its name and number of cells below."""
    cells = [_cell(image) for image in images]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % min(COLUMNS, len(cells)))
    columns = min(COLUMNS, len(cells))
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows)


def _cell(image: LabelledImage) -> NDArray[np.uint8]:
    picture = draw_labels(image)
    factor = CELL_PX / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    small = cv2.resize(picture, size, interpolation=how)
    cell = np.full((CELL_PX + STRIP_PX, CELL_PX + 4, 3), 255, np.uint8)
    cell[: small.shape[0], : small.shape[1]] = small
    name = image.path.name.encode("ascii", "replace").decode()
    text = f"{name[-34:]}: {len(image.class_ids)}"
    cv2.putText(cell, text, (2, CELL_PX + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (32, 32, 32), 1, cv2.LINE_AA)
    return cell


def write_picture(path: Path, picture: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write RGB or grey as PNG, making the folder. Raises TrainingError where that fails."""
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    done, data = cv2.imencode(".png", stored)
    if not done:
        raise TrainingError(f"{path}: a picture of {picture.shape} {picture.dtype} cannot be written as PNG.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be written ({error.strerror}); choose another --output."
        ) from error
