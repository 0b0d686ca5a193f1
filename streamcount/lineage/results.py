"""A run from the JSON lines of `streamcount count --track --output`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from streamcount.errors import FrameError, SourceError
from streamcount.lineage.build import LineageBuilder
from streamcount.lineage.model import Lineage, Points, Shown
from streamcount.sinks.files import picture_name
from streamcount.types import AnyEvent, CountsUpdated
from streamcount.wire import decode_event


class _Cell(msgspec.Struct):
    centroid: tuple[float, float]
    name: str = msgspec.field(name="class")
    area_px: float | None = None
    track_id: int | None = None


class _Line(msgspec.Struct):
    source: str
    index: int
    detections: list[_Cell]
    events: list[msgspec.Raw] | None = None


def read_results(
    path: Path,
    run_id: str | None = None,
    masks: Path | None = None,
    tick: Callable[[int], None] = lambda read: None,
) -> Lineage:
    """The run in a file of results; `run_id` chooses among several. tick: told of the bytes read since the last call.

    masks: the folder that the same count wrote with --masks. A sighting before its track is confirmed has no id in
    this form and so is not among the points. Raises SourceError where the file is none, has no events, or holds
    several runs and none was chosen, and where `masks` lacks a frame.
    """
    builders: dict[str, LineageBuilder] = {}
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                tick(len(line))
                if line.strip():
                    _take(_decoded(path, number, line), f"{path}: line {number}", masks, builders)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}); name another file") from error
    if not builders:
        raise SourceError(f"{path}: there is no line in it; count with `--track --output {path.name}`")
    return _chosen(path, builders, run_id).build()


def _decoded(path: Path, number: int, line: bytes) -> _Line:
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, ValueError) as error:
        raise SourceError(
            f"{path}: line {number} is no line of results ({error}); name what "
            "`streamcount count --track --output` wrote"
        ) from error


def _take(line: _Line, place: str, masks: Path | None, builders: dict[str, LineageBuilder]) -> None:
    if line.events is None:
        raise SourceError(f"{place} has no events, so no cell was followed; count again with --track")
    events: list[AnyEvent] = []
    unreadable = 0
    for raw in line.events:
        try:
            events.append(decode_event(bytes(raw)))
        except FrameError:
            # Readers pass over what they do not know: a later version may tell of more.
            unreadable += 1
    counted = next((event for event in events if isinstance(event, CountsUpdated)), None)
    if counted is None:
        raise SourceError(f"{place} has no CountsUpdated among its events, which says which frame it is")
    builder = builders.setdefault(counted.run_id, LineageBuilder(counted.run_id))
    builder.unreadable += unreadable
    for event in events:
        builder.event(event)
    sequence, time_ns = counted.sequence, counted.happened_at_ns
    mask = None
    if masks is not None:
        mask = masks / picture_name(line.source, line.index, "labels")
        if not mask.is_file():
            raise SourceError(
                f"{masks}: holds no {mask.name}, the labels of {line.source} frame {line.index}; "
                "name the folder that the same count wrote with --masks"
            )
    builder.frame(Shown(sequence, time_ns, line.source, line.index, mask))
    builder.sight(_points(line, sequence, time_ns, builder))


def _points(line: _Line, sequence: int, time_ns: int, builder: LineageBuilder) -> Points:
    seen = [(row, cell) for row, cell in enumerate(line.detections) if cell.track_id is not None]
    for _, cell in seen:
        # In this form an id is there from the confirmation on, and not before.
        builder.confirm(cell.track_id or 0)
    return Points(
        track_ids=np.array([cell.track_id for _, cell in seen], np.int64),
        sequences=np.full(len(seen), sequence, np.int64),
        times_ns=np.full(len(seen), time_ns, np.int64),
        centroids_px=np.array([cell.centroid for _, cell in seen], np.float32).reshape(-1, 2),
        areas_px=np.array([np.nan if cell.area_px is None else cell.area_px for _, cell in seen], np.float32),
        class_ids=np.array([builder.class_id(cell.name) for _, cell in seen], np.int64),
        rows=np.array([row for row, _ in seen], np.int64),
    )


def _chosen(path: Path, builders: dict[str, LineageBuilder], run_id: str | None) -> LineageBuilder:
    known = ", ".join(sorted(builders))
    if run_id is None and len(builders) > 1:
        raise SourceError(f"{path}: holds the runs {known}; choose one with --run")
    if run_id is None:
        return next(iter(builders.values()))
    if run_id not in builders:
        raise SourceError(f"{path}: there is no run {run_id}; it holds {known}")
    return builders[run_id]


_DECODER = msgspec.json.Decoder(_Line)
