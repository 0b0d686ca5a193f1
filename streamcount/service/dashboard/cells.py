"""Cells of one frame as the page draws them, made of the records of tracks and detections when somebody looks."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from streamcount.errors import FrameError
from streamcount.types import (
    OUTLINE_POINTS,
    Detections,
    FrameMetadata,
    ModelIdentity,
    Tracks,
    TrackStatus,
    outlines_in_px,
)
from streamcount.wire import decode_detections, decode_tracks

SHOWN = (TrackStatus.TENTATIVE, TrackStatus.CONFIRMED, TrackStatus.DIVIDING)


class _Metadata(msgspec.Struct, frozen=True):
    metadata: FrameMetadata


class _Peek(msgspec.Struct, frozen=True):
    """The one field of a record of tracks or detections that says which frame it is; arrays are passed over."""

    tracks: _Metadata | None = None
    detections: _Metadata | None = None


class CellsView(msgspec.Struct, frozen=True, kw_only=True):
    """N cells of one frame in columns, cell i being entry i of each.

    width_px, height_px: the frame's. boxes_px: half-open (y0, x0, y1, x1), one decimal. class_ids: into class_names,
    what this frame's detection says, as the counts do; where detections are no longer kept, as believed_class_ids,
    the class over the cell's whole life.
    confirmed: whether the cell is followed for certain. ages_s: since it was first seen, in acquisition time.
    probabilities: of the class that this frame's detection says, where the detections are still kept, else null.
    outlines: base64 of (N, 24, 2) bytes, points (y, x) around each cell along the sides of its box: 85 is where a
    side begins, 170 where it ends, 0 and 255 are one side before and beyond; all 0 of a cell that has none. Null
    where the detector draws none, or the detections are no longer kept.
    """

    run_id: str
    sequence: int
    acquired_at_ns: int
    width_px: int
    height_px: int
    class_names: tuple[str, ...]
    ids: list[int]
    parents: list[int]
    generations: list[int]
    class_ids: list[int]
    believed_class_ids: list[int]
    confirmed: list[bool]
    boxes_px: list[tuple[float, float, float, float]]
    ages_s: list[float]
    areas_px: list[float]
    probabilities: list[float | None]
    outlines: bytes | None

    def outlines_px(self) -> list[list[tuple[float, float]] | None]:
        """The outline of each cell, points (y, x) in pixels of the frame, one decimal; None for one that has none."""
        if self.outlines is None:
            return [None] * len(self.ids)
        numbers = np.frombuffer(self.outlines, np.uint8).reshape(len(self.ids), OUTLINE_POINTS, 2)
        points = np.round(outlines_in_px(numbers, np.array(self.boxes_px).reshape(-1, 4)), 1)
        return [None if np.isnan(one[0, 0]) else [tuple(at) for at in one.tolist()] for one in points]


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of a picture with the model that found them; `cells` is null where they are not known.

    captured_at_ms: wall time. confluence: share of the frame that is cell, in [0, 1].
    """

    run: str
    sequence: int
    captured_at_ms: int
    cells: CellsView | None
    model: str | None
    confluence: float | None


class _Found(msgspec.Struct, frozen=True):
    model: ModelIdentity


class _ModelPeek(msgspec.Struct, frozen=True):
    """The one field of a record of detections that says who found them."""

    detections: _Found | None = None


_MODEL = msgspec.msgpack.Decoder(_ModelPeek)
_PEEK = msgspec.msgpack.Decoder(_Peek)


def peek(value: bytes) -> tuple[str, int] | None:
    """(run_id, sequence) of a record of tracks or detections; None where it is about no frame, or unreadable."""
    try:
        found = _PEEK.decode(value)
    except (msgspec.DecodeError, ValueError, FrameError):
        return None
    part = found.tracks or found.detections
    return None if part is None else (part.metadata.run_id, part.metadata.sequence)


def cells_view(tracks_record: bytes, detections_record: bytes | None) -> CellsView:
    """The cells in view, from one frame's records. Raises FrameError ("bad-record")."""
    record = decode_tracks(tracks_record)
    tracks = record.tracks
    shown = np.flatnonzero(np.isin(tracks.status, SHOWN) & (tracks.detection_rows >= 0))
    acquired_at_ns = tracks.metadata.acquired_at_ns
    detections = _seen(tracks, shown, _detections(detections_record))
    believed = tracks.class_ids[shown].tolist()
    rows = tracks.detection_rows[shown]
    boxes = np.round(tracks.boxes_px[shown].astype(float), 1).tolist()
    return CellsView(
        run_id=tracks.metadata.run_id,
        sequence=tracks.metadata.sequence,
        acquired_at_ns=acquired_at_ns,
        height_px=tracks.image_shape[0],
        width_px=tracks.image_shape[1],
        class_names=record.class_names,
        ids=tracks.track_ids[shown].tolist(),
        parents=tracks.parent_ids[shown].tolist(),
        generations=tracks.generations[shown].tolist(),
        class_ids=believed if detections is None else detections.class_ids[rows].tolist(),
        believed_class_ids=believed,
        confirmed=(tracks.status[shown] != TrackStatus.TENTATIVE).tolist(),
        boxes_px=[tuple(box) for box in boxes],
        ages_s=np.round((acquired_at_ns - tracks.first_seen_ns[shown]) / 1e9, 1).tolist(),
        areas_px=np.round(tracks.areas_px[shown].astype(float), 1).tolist(),
        probabilities=(
            [None] * len(rows)
            if detections is None
            else np.round(detections.scores[rows].astype(float), 3).tolist()
        ),
        outlines=None if detections is None else _outlines(detections, rows),
    )


def cells_of(
    run_id: str, sequence: int, captured_at_ms: int, records: tuple[bytes | None, bytes | None]
) -> Cells:
    """The cells of a frame, of its records of tracks and detections."""
    tracks, detections = records
    try:
        cells = None if tracks is None else cells_view(tracks, detections)
        model = model_of(detections)
    except FrameError:
        cells, model = None, None
    return Cells(
        run=run_id,
        sequence=sequence,
        captured_at_ms=captured_at_ms,
        cells=cells,
        model=None if model is None else model[0].name,
        confluence=None if model is None else model[1],
    )


def model_of(detections_record: bytes | None) -> tuple[ModelIdentity, float | None] | None:
    """Who found the cells, and the frame's confluence where the detector tells it; None where nothing is known."""
    detections = _detections(detections_record)
    return None if detections is None else (detections.model, detections.foreground_fraction)


def model_identity(detections_record: bytes) -> ModelIdentity | None:
    """Who found the cells, the arrays passed over; None where it tells of no frame, or is unreadable."""
    try:
        found = _MODEL.decode(detections_record).detections
    except (msgspec.DecodeError, ValueError):
        return None
    return None if found is None else found.model


def _detections(record: bytes | None) -> Detections | None:
    if record is None:
        return None
    found = decode_detections(record)
    return found if isinstance(found, Detections) else None


def _outlines(detections: Detections, rows: Any) -> bytes | None:
    outlines = detections.outlines
    if outlines is None or outlines.dtype != np.uint8 or outlines.shape[1:] != (OUTLINE_POINTS, 2):
        return None
    return outlines[rows].tobytes() if len(outlines) == len(detections) else None


def _seen(tracks: Tracks, shown: Any, detections: Detections | None) -> Detections | None:
    """The detections, where they are the ones that the tracks' rows count through."""
    rows = tracks.detection_rows[shown]
    known = detections is not None and (not len(rows) or rows.max() < len(detections))
    return detections if known else None
