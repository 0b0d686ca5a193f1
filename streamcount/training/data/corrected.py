"""Labelled images out of corrections: what people said of frames, in the form that training reads."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np

from streamcount.errors import CorrectionError, TrainingError
from streamcount.sinks.corrections import CorrectionsFolder
from streamcount.training.data.outlined import Outliner
from streamcount.training.data.write import require_new, write_class_names, write_labelled
from streamcount.types import Image
from streamcount.types.corrections import LabelledCell, Saving, labelled_by, new_classes_of
from streamcount.wire import decode_image

COLUMNS = (
    "image", "camera", "run", "sequence", "acquired_at", "frame_sha256", "model", "model_sha256", "savings",
    "last_saved_at", "found", "cells", "remarks",
)  # fmt: skip


@dataclass(frozen=True)
class CorrectedChoice:
    """Which frames are taken. cameras, models: names, all where empty."""

    cameras: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorrectedSet:
    """What was written. unchecked: frames left out, since nobody said that all else in them is right, or since they
    were not looked at for a class that others have.
    """

    frames: int
    cells: int
    unchecked: int
    class_names: tuple[str, ...]


def write_corrected(
    folder: Path, output: Path, choice: CorrectedChoice | None = None, outliner: Outliner | None = None
) -> CorrectedSet:
    """Writes OUTPUT/images, OUTPUT/labels, OUTPUT/classes.txt, and OUTPUT/frames.csv telling whence each is.

    Labels are YOLO boxes, or with an outliner label images. A frame's labels are what was found in it with its
    corrections applied in order. Frames whose last saving does not say that all else is right are left out: cells
    that were missed in them would teach that there are none. Raises TrainingError where nothing can be made of the
    folder, CorrectionError where it is damaged.
    """
    require_new(output)
    kept = CorrectionsFolder(folder)
    if not folder.is_dir():
        raise TrainingError(f"{folder} is no folder; name that of streamcount dashboard --corrections.")
    wanted = choice or CorrectedChoice()
    chosen = [savings for savings in kept.frames() if _is_chosen(savings[0], wanted)]
    checked = [savings for savings in chosen if savings[-1].checked]
    if not checked:
        raise TrainingError(
            f"{folder}: of {len(chosen)} corrected frames that were chosen none is wholly checked; tick `Every other "
            "cell of this frame is right` on the page once it is so."
        )
    new = new_classes_of([saving for savings in checked for saving in savings])
    class_names = (*_common_classes(checked), *sorted(new))
    # Where a class was named later, its cells have another one's name in frames from before.
    checked = [
        one for one in checked if {*one[-1].frame.model.class_names, *one[-1].new_classes} >= {*class_names}
    ]
    if not checked:
        raise TrainingError(
            f"{folder}: no frame was looked at for all of {', '.join(class_names)}; save one again on the page, once "
            "it is right with all of them."
        )
    # Before anything is written: half a set would be in the way of the next try.
    for savings in checked:
        _bytes_of(kept, savings[0])
        if outliner is not None:
            outliner.require_own(savings[0].frame)
    rows, cells = [], 0
    for savings in _by_time(checked):
        found = labelled_by(savings)
        name = f"{savings[0].frame.camera_id}-{savings[0].frame.frame_sha256[:12]}"
        image = _image_of(kept, savings[0])
        boxes = np.array([cell.box_px for cell in found], np.float32).reshape(-1, 4)
        ids = np.array([class_names.index(cell.class_name) for cell in found], np.int64)
        labels = None if outliner is None else outliner.labels(image, savings[0].frame, found)
        write_labelled(output, name, image, boxes, ids, labels, len(class_names))
        rows.append(_row(name, savings, found))
        cells += len(found)
    write_class_names(output, class_names)
    with (output / "frames.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return CorrectedSet(len(checked), cells, len(chosen) - len(checked), class_names)


def _is_chosen(saving: Saving, choice: CorrectedChoice) -> bool:
    frame = saving.frame
    return (not choice.cameras or frame.camera_id in choice.cameras) and (
        not choice.models or frame.model.name in choice.models
    )


def _by_time(frames: Sequence[tuple[Saving, ...]]) -> Iterator[tuple[Saving, ...]]:
    yield from sorted(
        frames, key=lambda savings: (savings[0].frame.camera_id, savings[0].frame.acquired_at_ns)
    )


def _common_classes(frames: Sequence[tuple[Saving, ...]]) -> tuple[str, ...]:
    """The classes that all frames were looked at for: in a frame of another model the others were never labelled."""
    known = {savings[0].frame.model.class_names: savings[0].frame.model.name for savings in frames}
    if len(known) > 1:
        told = "; ".join(f"{name}: {', '.join(classes)}" for classes, name in known.items())
        raise TrainingError(
            f"the frames were counted by models of different classes ({told}); choose with --model or --camera."
        )
    return next(iter(known))


def _bytes_of(kept: CorrectionsFolder, saving: Saving) -> bytes:
    """The frame as its camera sent it. Raises CorrectionError where it is damaged or gone."""
    source, remedy = kept.image_of(saving.frame), "take it from a copy, or remove it and its savings."
    try:
        data = source.read_bytes()
    except OSError as error:
        raise CorrectionError(f"{source} cannot be read ({error.strerror or error}); {remedy}") from error
    if sha256(data).hexdigest() != saving.frame.frame_sha256:
        raise CorrectionError(f"{source} is not what was saved; {remedy}")
    return data


def _image_of(kept: CorrectionsFolder, saving: Saving) -> Image:
    """The pixels that the worker saw, and no JPEG: a reader of that might turn it as its camera was held."""
    data, frame = _bytes_of(kept, saving), saving.frame
    return decode_image(data, frame.content_type, frame.width_px * frame.height_px)


def _row(name: str, savings: Sequence[Saving], cells: Sequence[LabelledCell]) -> list[object]:
    frame = savings[0].frame
    return [
        name, frame.camera_id, frame.run_id, frame.sequence, _utc(frame.acquired_at_ns), frame.frame_sha256,
        frame.model.name, frame.model.sha256, len(savings), _utc(savings[-1].saved_at_ns), len(frame.found),
        len(cells), " | ".join(one.remark for one in savings if one.remark),
    ]  # fmt: skip


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")
