"""Points: images/ and labels/NAME.txt with `x y class` lines in pixels. They tell what, not how large nor all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import read_image
from streamcount.training.data.readers.base import Cells, Listing, known_names
from streamcount.training.data.readers.yolo import text_entries, words_of_labels

# Enough images for a median of sizes that more would not move.
ESTIMATED_FROM = 24


@dataclass(frozen=True)
class PointsReader:
    """Boxes of one size around the points. diameter_px: that size; estimated from the images if None."""

    diameter_px: float | None = None
    name = "points"
    layout = "images/NAME.png + labels/NAME.txt of `x y class` lines (pixels)"

    def recognises(self, folder: Path) -> bool:
        """See Reader.recognises."""
        return words_of_labels(folder) == 3

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The names in classes.txt, else numbers up to the highest."""
        names = known_names(folder)
        if names is not None:
            return names
        rows = [read_points(path) for path in sorted((folder / "labels").glob("*.txt"))]
        highest = max((int(r[:, 2].max()) for r in rows if len(r)), default=0)
        return tuple(f"class-{number}" for number in range(highest + 1))

    def entries(self, folder: Path, class_names: tuple[str, ...]) -> Listing:
        """See Reader.entries."""
        diameter = self.diameter_px or estimated_diameter(folder)
        return text_entries(folder, partial(_cells, classes=len(class_names), diameter_px=diameter))


def read_points(path: Path) -> NDArray[np.float64]:
    """Read ``x y class`` lines into (N, 3). Raises TrainingError naming a wrong line."""
    rows: list[list[float]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError as error:
            raise TrainingError(f"{path}:{number} is not numbers: {line!r}; write `x y class`.") from error
        if len(row) != 3 or not np.isfinite(row).all() or row[2] < 0 or row[2] != int(row[2]):
            raise TrainingError(f"{path}:{number} is no labelled point: {line!r}; write `x y class`.")
        rows.append(row)
    return np.array(rows, np.float64).reshape(-1, 3)


def _cells(path: Path, shape_px: tuple[int, int], classes: int, diameter_px: float) -> Cells:
    rows = read_points(path)
    if len(rows) and rows[:, 2].max() >= classes:
        raise TrainingError(f"{path} has class {rows[:, 2].max():g}; there are names for 0 to {classes - 1}.")
    # The pixel (y, x) spans [y, y + 1).
    centres, half = rows[:, 1::-1] + 0.5, diameter_px / 2
    boxes = np.hstack([centres - half, centres + half]).astype(np.float32)
    return Cells(boxes, rows[:, 2].astype(np.int64), complete=False)


def estimated_diameter(folder: Path) -> float:
    """The median diameter, px, of blobs by Otsu's threshold that hold one point alone and touch no border.

    Raises TrainingError where no blob is such.
    """
    sizes: list[float] = []
    labels = sorted((folder / "labels").glob("*.txt"))
    for label in labels[:: max(1, len(labels) // ESTIMATED_FROM)]:
        image = next((p for p in (folder / "images").glob(f"{label.stem}.*")), None)
        if image is not None:
            sizes += _lone_sizes(read_image(image), read_points(label))
    if not sizes:
        raise TrainingError(f"{folder}: the cells' diameter cannot be told from the images; give --diameter.")
    return float(np.median(sizes))


def _lone_sizes(image: NDArray[np.uint8] | NDArray[np.uint16], points: NDArray[np.float64]) -> list[float]:
    planes = [image] if image.ndim == 2 else [image[..., c] for c in range(3)]
    plane = max(planes, key=lambda p: float(p.std()))
    grey = np.asarray(cv2.normalize(plane, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U))  # type: ignore[call-overload]
    _, light = cv2.threshold(cv2.GaussianBlur(grey, (0, 0), 1.5), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    inside = (points[:, :2] >= 0).all(axis=1) & (points[:, :2] < np.array(grey.shape[::-1])).all(axis=1)
    x, y = points[inside, :2].astype(int).T
    # Cells are on the side of the threshold on which most points lie; a pale centre is a hole to fill.
    mask = light if len(x) and np.mean(light[y, x] > 0) > 0.5 else cv2.bitwise_not(light)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    height, width = grey.shape
    sizes = []
    for outline in outlines:
        left, top, wide, high = cv2.boundingRect(outline)
        if left == 0 or top == 0 or left + wide == width or top + high == height:
            continue
        held = sum(
            cv2.pointPolygonTest(outline, (float(a), float(b)), False) >= 0 for a, b in zip(x, y, strict=True)
        )
        # A blob half as long again as wide is two cells, or no cell of use for a diameter.
        if held == 1 and max(wide, high) <= 1.5 * min(wide, high):
            # The outline runs through the middles of the rim's pixels.
            sizes.append(2 * float(np.sqrt(cv2.contourArea(outline) / np.pi)) + 1)
    return sizes
