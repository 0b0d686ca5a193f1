"""Frames that are held still while somebody corrects them, and the folder that keeps what was said."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from streamcount.errors import CorrectionError, FrameError
from streamcount.service.dashboard.camera import CameraLive, Picture
from streamcount.service.dashboard.model import LiveModel
from streamcount.sinks.corrections import CorrectionsFolder
from streamcount.types import Detections
from streamcount.types.corrections import (
    LONGEST_REMARK,
    MOST_CORRECTIONS,
    CorrectedModel,
    Correction,
    FoundCell,
    FrameFacts,
    LabelledCell,
    Saving,
    labelled,
    new_classes_of,
)
from streamcount.wire import decode_detections, decode_image

HELD_FRAMES = 32
HELD_BYTES = 64 * 2**20
MOST_NEW_CLASSES = 50
OFF = "this page keeps no corrections: start it with streamcount dashboard --corrections FOLDER"


@dataclass(frozen=True)
class HeldFrame:
    """A frame that is looked at: its picture, what was found in it, and what was saved about it until then.

    new_classes: those beside the model's that were saved of any frame of a model with its classes.
    """

    picture: Picture
    facts: FrameFacts
    saved: tuple[Saving, ...] = ()
    new_classes: tuple[str, ...] = ()

    @property
    def checked(self) -> bool:
        """Whether the last saving said that all else in the frame is right."""
        return bool(self.saved) and self.saved[-1].checked

    def cells(
        self, said: Sequence[Correction] = (), new_classes: Sequence[str] = ()
    ) -> tuple[LabelledCell, ...]:
        """The cells as saved, and after what is said now, with more classes. Raises CorrectionError."""
        before = [one for saving in self.saved for one in saving.corrections]
        return labelled(self.facts, [*before, *said], (*self.new_classes, *new_classes))


class NoSuchFrameError(CorrectionError):
    """The frame, or what was found in it, is not there or no longer kept."""


class Corrections:
    """Holds frames and keeps their corrections. Safe for threads.

    A frame is known by the sha256 of its bytes. One that was corrected before begins as it was left, with the cells
    of the model of that time. folder: None where nothing is to be kept.
    """

    def __init__(self, folder: Path | None, max_pixels: int) -> None:
        self._folder = None if folder is None else CorrectionsFolder(folder)
        self._max_pixels = max_pixels
        self._lock = threading.RLock()
        self._held: OrderedDict[tuple[str, str, int], HeldFrame] = OrderedDict()
        # By the model's classes; read from the folder once, which may hold thousands of savings.
        self._new_classes: dict[tuple[str, ...], tuple[str, ...]] | None = None

    @property
    def enabled(self) -> bool:
        """Whether there is a folder to keep them in."""
        return self._folder is not None

    def hold(self, model: LiveModel, camera_id: str, frame: tuple[str, int] | None = None) -> HeldFrame:
        """Holds a frame, (run, sequence), or else the camera's newest one whose cells are known.

        Raises NoSuchFrameError, and CorrectionError where the frame cannot be read or nothing is to be kept.
        """
        folder = self._kept_in()
        with self._lock:
            if frame is not None and (camera_id, *frame) in self._held:
                return self._refreshed(folder, (camera_id, *frame))
        found = model.look(camera_id, lambda camera: _correctable(camera, frame))
        if found is None:
            which = (
                "no frame whose cells are known" if frame is None else f"no such frame, {frame[0]}/{frame[1]}"
            )
            raise NoSuchFrameError(f"{camera_id} has {which}, or it is no longer kept")
        picture, record = found
        facts = self._facts(camera_id, picture, record)
        key = (camera_id, picture.run_id, picture.sequence)
        with self._lock:
            self._held[key] = HeldFrame(picture, facts)
            held = self._refreshed(folder, key)
            while len(self._held) > 1 and self._too_many():
                self._held.popitem(last=False)
        return held

    def picture(self, camera_id: str, run_id: str, sequence: int) -> Picture | None:
        """The picture of a frame that is held."""
        with self._lock:
            held = self._held.get((camera_id, run_id, sequence))
        return None if held is None else held.picture

    def save(
        self,
        held: HeldFrame,
        corrections: tuple[Correction, ...],
        checked: bool,
        remark: str = "",
        new_classes: Sequence[str] = (),
    ) -> Saving:
        """Keeps corrections of a held frame, as it was when it was held; what it gives is on the disk.

        new_classes: beside the model's and those that were saved before; the frame was looked at for all of them.
        Raises CorrectionError where one does not fit the frame, or where the frame was corrected in between.
        """
        folder = self._kept_in()
        if len(corrections) > MOST_CORRECTIONS or len(remark) > LONGEST_REMARK:
            raise CorrectionError(
                f"at most {MOST_CORRECTIONS} corrections and {LONGEST_REMARK} characters of remark are kept at once"
            )
        with self._lock:
            if len(folder.of_frame(held.facts.frame_sha256)) != len(held.saved):
                raise CorrectionError("somebody else corrected this frame meanwhile; look at it anew")
            held.cells(corrections, new_classes)
            model = held.facts.model.class_names
            known = dict.fromkeys((*held.new_classes, *new_classes))
            known = {name: None for name in known if name not in model}
            if len(known) > MOST_NEW_CLASSES:
                raise CorrectionError(f"at most {MOST_NEW_CLASSES} classes are kept beside the model's")
            saving = Saving(
                frame=held.facts,
                number=len(held.saved) + 1,
                saved_at_ns=time.time_ns(),
                corrections=corrections,
                checked=checked,
                remark=remark,
                new_classes=tuple(known),
            )
            folder.keep(saving, held.picture.data)
            self._known_new(folder)[model] = saving.new_classes
        return saving

    def newest(self, most: int) -> tuple[Saving, ...]:
        """The last savings, newest first; none where nothing is kept. Raises CorrectionError."""
        return () if self._folder is None else self._folder.newest(most)

    def _kept_in(self) -> CorrectionsFolder:
        if self._folder is None:
            raise CorrectionError(OFF)
        return self._folder

    def _refreshed(self, folder: CorrectionsFolder, key: tuple[str, str, int]) -> HeldFrame:
        """The held frame as its savings leave it now."""
        held = self._held.pop(key)
        saved = folder.of_frame(held.facts.frame_sha256)
        facts = saved[0].frame if saved else held.facts
        new = self._known_new(folder).get(facts.model.class_names, ())
        held = HeldFrame(held.picture, facts, saved, tuple(dict.fromkeys((*new, *new_classes_of(saved)))))
        self._held[key] = held
        return held

    def _known_new(self, folder: CorrectionsFolder) -> dict[tuple[str, ...], tuple[str, ...]]:
        if self._new_classes is None:
            self._new_classes = {}
            for savings in folder.frames():
                model = savings[0].frame.model.class_names
                found = (*self._new_classes.get(model, ()), *new_classes_of(savings))
                self._new_classes[model] = tuple(dict.fromkeys(found))
        return self._new_classes

    def _too_many(self) -> bool:
        total = sum(len(held.picture.data) for held in self._held.values())
        return len(self._held) > HELD_FRAMES or total > HELD_BYTES

    def _facts(self, camera_id: str, picture: Picture, record: bytes) -> FrameFacts:
        try:
            image = decode_image(picture.data, picture.content_type, self._max_pixels)
            detections = decode_detections(record)
        except FrameError as error:
            raise NoSuchFrameError(f"the frame cannot be read: {error}") from error
        if not isinstance(detections, Detections):
            raise NoSuchFrameError("nothing was looked for in this frame")
        return FrameFacts(
            camera_id=camera_id,
            run_id=picture.run_id,
            sequence=picture.sequence,
            acquired_at_ns=picture.acquired_at_ns,
            frame_sha256=sha256(picture.data).hexdigest(),
            content_type=picture.content_type,
            height_px=image.shape[0],
            width_px=image.shape[1],
            pixel_size_um=picture.pixel_size_um,
            model=CorrectedModel(
                detections.model.name, detections.model.sha256, detections.model.class_names
            ),
            found=_found(detections),
        )


def _correctable(camera: CameraLive, frame: tuple[str, int] | None) -> tuple[Picture, bytes] | None:
    """A picture with the record of its detections."""
    for picture in reversed(camera.pictures):
        key = (picture.run_id, picture.sequence)
        if frame in (None, key) and key in camera.detections:
            return picture, camera.detections[key]
    return None


def _found(detections: Detections) -> tuple[FoundCell, ...]:
    names = detections.model.class_names
    rows = zip(
        detections.boxes_px.tolist(), detections.class_ids.tolist(), detections.scores.tolist(), strict=True
    )
    return tuple(
        FoundCell(tuple(round(v, 2) for v in box), names[class_id], round(score, 4))
        for box, class_id, score in rows
    )


def counted(saving: Saving) -> dict[str, int]:
    """How many of a saving's corrections are of which kind: relabel, strike, draw."""
    kinds = [msgspec.to_builtins(one)["kind"] for one in saving.corrections]
    return {kind: kinds.count(kind) for kind in ("relabel", "strike", "draw")}
