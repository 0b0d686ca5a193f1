"""Results as JSON lines: one frame a line, in a form that others rely on.

    {"source": path, "index": frame in the file, "counts": {class: n},
     "detections": [{"box": [y0, x0, y1, x1], "centroid": [y, x], "class": name, "score": s, "area_px": a}],
     "model": {"name", "sha256"}}

Where the model tells outlines, the line has "foreground_fraction" besides: the share of the image that is cell
(confluence), within 0..1. Pixels are those of the original image, boxes half-open, scores within 0..1. With
tracking, each detection has "track_id" besides (null until its track is confirmed) and the line has "events", the
CloudEvents that the frame made known, as they are on the topics. Nothing in this form may change
but by addition.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec
import numpy as np

from streamcount.pipeline import StepResult
from streamcount.sinks.files import not_writable, open_part, part_of
from streamcount.types import Detections, Tracks
from streamcount.wire.cloudevents import encode_event

STDOUT = Path("-")


def result_line(source: str, index: int, detections: Detections, step: StepResult | None = None) -> bytes:
    """The line of frame `index` of `source`, without line end; `step` is what following the cells gave."""
    cells = _cells(detections)
    line: dict[str, Any] = {
        "source": source,
        "index": index,
        "counts": detections.counts(),
        "detections": cells,
        "model": {"name": detections.model.name, "sha256": detections.model.sha256},
    }
    if detections.foreground_fraction is not None:
        line["foreground_fraction"] = round(detections.foreground_fraction, 4)
    if step is not None:
        for cell, track_id in zip(cells, confirmed_ids(len(detections), step.tracks), strict=True):
            cell["track_id"] = track_id
        line["events"] = [msgspec.Raw(encode_event(event)) for event in step.events]
    return msgspec.json.encode(line)


def confirmed_ids(detections: int, tracks: Tracks | None) -> list[int | None]:
    """For each detection the id of the confirmed track that it belongs to, None where there is none yet."""
    ids: list[int | None] = [None] * detections
    if tracks is not None:
        seen = tracks.seen
        for row, track_id in zip(tracks.detection_rows[seen], tracks.track_ids[seen], strict=True):
            ids[int(row)] = int(track_id)
    return ids


def _cells(detections: Detections) -> list[dict[str, Any]]:
    names = detections.model.class_names
    # Two decimals are finer than a detector knows, and keep lines short. float64, or 12.3 becomes 12.3000002.
    boxes = np.round(detections.boxes_px.astype(np.float64), 2).tolist()
    centroids = np.round(detections.centroids_px.astype(np.float64), 2).tolist()
    areas = np.round(detections.areas_px.astype(np.float64), 1).tolist()
    scores = np.round(np.clip(detections.scores.astype(np.float64), 0.0, 1.0), 4).tolist()
    classes = detections.class_ids.tolist()
    rows = zip(boxes, centroids, classes, scores, areas, strict=True)
    return [
        {"box": box, "centroid": centroid, "class": names[class_id], "score": score, "area_px": area}
        for box, centroid, class_id, score, area in rows
    ]


class ResultWriter:
    """Writes lines to a file, which is there when all are written and not before, or to standard output.

    Raises ConfigurationError where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # What is no plain file (a named pipe, /dev/null) cannot be replaced by one.
        self._direct = path == STDOUT or (path.exists() and not path.is_file())
        self._out: BinaryIO

    def __enter__(self) -> ResultWriter:
        if self._path == STDOUT:
            self._out = sys.stdout.buffer
            return self
        try:
            self._out = self._path.open("wb") if self._direct else open_part(self._path)
        except OSError as error:
            raise not_writable(self._path, error) from error
        return self

    def write(self, line: bytes) -> None:
        """Add a line."""
        try:
            self._out.write(line + b"\n")
            if self._direct:
                self._out.flush()
        except BrokenPipeError:
            # Whoever read has seen enough, as `head` does; typer ends the command quietly.
            raise
        except OSError as error:
            raise not_writable(self._path, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path == STDOUT:
            return
        self._out.close()
        if not self._direct:
            part = part_of(self._path)
            if kind is None:
                part.replace(self._path)
            else:
                part.unlink(missing_ok=True)
