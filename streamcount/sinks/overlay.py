"""Pictures for looking at: the frame with the outlines of its cells, and below it what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import FrameError
from streamcount.sinks.files import picture_name, write_whole
from streamcount.types import Detections, Image

# Okabe and Ito's palette (2008), made for colour-blind eyes, RGB; blue first, since stained smears are pink.
PALETTE = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (240, 228, 66),
    (86, 180, 233),
    (204, 121, 167),
    (230, 159, 0),
)
_WHITE, _INK = (255, 255, 255), (32, 32, 32)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def class_colour(class_id: int) -> tuple[int, int, int]:
    """RGB of the n-th class; colours repeat after seven."""
    return PALETTE[class_id % len(PALETTE)]


def draw_overlay(
    image: Image, detections: Detections, track_ids: Sequence[int | None] = ()
) -> NDArray[np.uint8]:
    """(H + strip, W', 3) uint8 RGB: the frame with outlines coloured by class, under it counts and legend.

    The strip lies below the frame, so that it hides no cell; W' is W or wider where the legend needs it.
    Outlines follow `detections.labels` if there are labels, else they are the boxes' ellipses.
    track_ids: written beside each cell that has one.
    """
    canvas = displayable(image)
    thickness = max(1, round(min(canvas.shape[:2]) / 280))
    outlines = _outlines(detections)
    class_ids = detections.class_ids.tolist()
    # A pale rim under each line keeps it visible on a cell of its own colour.
    for outline in outlines:
        cv2.polylines(canvas, outline, True, _WHITE, thickness + 1, cv2.LINE_AA)
    for outline, class_id in zip(outlines, class_ids, strict=True):
        cv2.polylines(canvas, outline, True, class_colour(class_id), thickness, cv2.LINE_AA)
    scale = 0.4 * max(1.0, min(canvas.shape[:2]) / 500)
    for track_id, (y, x) in zip(track_ids, detections.centroids_px.tolist(), strict=False):
        if track_id is not None:
            at = (round(x - 6 * scale * len(str(track_id))), round(y + 5 * scale))
            cv2.putText(canvas, str(track_id), at, _FONT, scale, _WHITE, 3, cv2.LINE_AA)
            cv2.putText(canvas, str(track_id), at, _FONT, scale, _INK, 1, cv2.LINE_AA)
    return _with_legend(canvas, detections)


def write_overlay(
    folder: Path,
    source: str,
    image: Image,
    detections: Detections,
    index: int,
    track_ids: Sequence[int | None] = (),
) -> Path:
    """Write the overlay of a frame as STEM-HASH-INDEX.overlay.png, see `picture_name`.

    Raises ConfigurationError where the folder cannot be written.
    """
    picture = draw_overlay(image, detections, track_ids)
    done, data = cv2.imencode(
        ".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 3]
    )
    if not done:
        raise FrameError(
            "cannot-encode", f"{source}: its overlay of {picture.shape} cannot be written as PNG"
        )
    path = folder / picture_name(source, index, "overlay")
    write_whole(path, data.tobytes())
    return path


def displayable(image: Image) -> NDArray[np.uint8]:
    """A writable (H, W, 3) uint8 copy; 16-bit and dark pictures are stretched, 0.5 to 99.5 percentile."""
    if image.dtype == np.uint8 and int(image.max()) >= 64:
        pixels = image.astype(np.uint8)
    else:
        values = image.astype(np.float32)
        low, high = np.percentile(values, (0.5, 99.5))
        pixels = np.clip((values - low) * (255.0 / max(high - low, 1.0)), 0, 255).astype(np.uint8)
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels.copy()


def _outlines(detections: Detections) -> list[list[NDArray[np.int32]]]:
    """The closed lines, in OpenCV's (x, y), around each cell."""
    if detections.labels is None:
        return [[_ellipse(box)] for box in detections.boxes_px.tolist()]
    height, width = detections.labels.shape
    outlines = []
    for number, (y0, x0, y1, x1) in enumerate(detections.boxes_px.tolist(), start=1):
        top, left = max(0, int(y0) - 1), max(0, int(x0) - 1)
        bottom, right = min(height, int(np.ceil(y1)) + 1), min(width, int(np.ceil(x1)) + 1)
        mask = (detections.labels[top:bottom, left:right] == number).astype(np.uint8)
        found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(left, top))
        outlines.append([np.asarray(line, np.int32) for line in found] or [_ellipse([y0, x0, y1, x1])])
    return outlines


def _ellipse(box: Sequence[float]) -> NDArray[np.int32]:
    y0, x0, y1, x1 = box
    # A half-open box ends half a pixel beyond the last pixel's centre.
    centre = (round((x0 + x1 - 1) / 2), round((y0 + y1 - 1) / 2))
    axes = (max(1, round((x1 - x0) / 2)), max(1, round((y1 - y0) / 2)))
    return np.asarray(cv2.ellipse2Poly(centre, axes, 0, 0, 360, 10), np.int32).reshape(-1, 1, 2)


def _with_legend(canvas: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    height, width = canvas.shape[:2]
    scale = 0.5 * max(1.0, min(height, width) / 600)
    weight = max(1, round(scale * 1.5))
    row = round(36 * scale)
    # OpenCV's letters are ASCII.
    entries = [
        (f"{name.encode('ascii', 'replace').decode()} {number}", class_colour(class_id))
        for class_id, (name, number) in enumerate(detections.counts().items())
    ]
    entries.append((f"total {len(detections)}", _WHITE))
    widths = [cv2.getTextSize(text, _FONT, scale, weight)[0][0] + 2 * row for text, _ in entries]
    rows: list[list[int]] = [[]]
    for entry, wide in enumerate(widths):
        if rows[-1] and sum(widths[i] for i in rows[-1]) + wide > max(width, max(widths)):
            rows.append([])
        rows[-1].append(entry)
    picture = np.full((height + row * len(rows), max(width, *widths), 3), _WHITE, np.uint8)
    picture[:height, :width] = canvas
    for number, line in enumerate(rows):
        x, y = row // 4, height + number * row
        for entry in line:
            text, colour = entries[entry]
            cv2.rectangle(picture, (x, y + row // 4), (x + row // 2, y + 3 * row // 4), colour, -1)
            cv2.putText(
                picture, text, (x + 3 * row // 4, y + 3 * row // 4), _FONT, scale, _INK, weight, cv2.LINE_AA
            )
            x += widths[entry]
    return picture
