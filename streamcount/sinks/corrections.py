"""A folder of corrections: each saving a file of its own, and beside them the frames that they speak of.

FOLDER/frames/SHA256.jpg (or .png, .raw) is the image as the camera sent it, since Kafka lets go of it.
FOLDER/savings/SHA256-0001.json is the first saving about that frame. Nothing is ever written over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import msgspec

from streamcount.errors import CorrectionError
from streamcount.sinks.files import part_of
from streamcount.sinks.store.index import sync_folder
from streamcount.types.corrections import FrameFacts, Saving
from streamcount.wire.images import CONTENT_TYPES

SUFFIXES = dict(zip(CONTENT_TYPES.values(), (".jpg", ".png", ".raw"), strict=True))
_NAME = re.compile(r"([0-9a-f]{64})-(\d{4,})\.json")


class CorrectionsFolder:
    """Keeps savings, and gives them again. A folder that is not there holds none; it is made by the first.

    Two processes may keep in one folder: of two that make the same saving of a frame, one is refused.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frames, self._savings = folder / "frames", folder / "savings"

    def keep(self, saving: Saving, data: bytes) -> Path:
        """Writes a saving and the encoded image of its frame; when it returns, both are on the disk.

        Raises CorrectionError where the image is not that of the saving, where a saving of this number is there
        already, or where nothing can be written.
        """
        if sha256(data).hexdigest() != saving.frame.frame_sha256:
            raise CorrectionError(f"the image is not that of frame {saving.frame.frame_sha256[:12]}")
        try:
            self._frames.mkdir(parents=True, exist_ok=True)
            self._savings.mkdir(exist_ok=True)
            image = self.image_of(saving.frame)
            if not image.exists():
                _written(image, data).replace(image)
                sync_folder(self._frames)
            path = self._savings / f"{saving.frame.frame_sha256}-{saving.number:04d}.json"
            text = msgspec.json.format(msgspec.json.encode(saving), indent=1) + b"\n"
            part = _written(path, text)
            try:
                # Unlike a rename, a link is refused where another saving got there first.
                path.hardlink_to(part)
            finally:
                part.unlink()
            sync_folder(self._savings)
        except FileExistsError as error:
            raise CorrectionError(
                f"saving {saving.number} of this frame is there already: somebody else corrected it; look at it anew"
            ) from error
        except OSError as error:
            raise CorrectionError(f"{self.folder}: cannot be written ({error.strerror or error})") from error
        return path

    def image_of(self, frame: FrameFacts) -> Path:
        """Where the image of a frame lies."""
        kind = frame.content_type.partition(";")[0].strip().lower()
        return self._frames / f"{frame.frame_sha256}{SUFFIXES.get(kind, '.bin')}"

    def of_frame(self, frame_sha256: str) -> tuple[Saving, ...]:
        """The savings of one frame, in order. Raises CorrectionError where one cannot be read."""
        return tuple(map(_read, self._paths(f"{frame_sha256}-*.json")))

    def frames(self) -> Iterator[tuple[Saving, ...]]:
        """The savings of each frame, in order; frames by their hashes. Raises CorrectionError."""
        for _, group in groupby(self._paths("*.json"), key=lambda path: _order(path)[0]):
            yield tuple(map(_read, group))

    def newest(self, most: int) -> tuple[Saving, ...]:
        """The last savings, newest first. Raises CorrectionError."""
        last = sorted(self._paths("*.json"), key=lambda path: path.stat().st_mtime_ns)[-most:]
        return tuple(sorted(map(_read, last), key=lambda saving: -saving.saved_at_ns))

    def _paths(self, pattern: str) -> list[Path]:
        return sorted((p for p in self._savings.glob(pattern) if _NAME.fullmatch(p.name)), key=_order)


def _read(path: Path) -> Saving:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Saving)
    except (OSError, msgspec.DecodeError) as error:
        raise CorrectionError(f"{path} is no saved correction ({error}); move it elsewhere") from error


def _order(path: Path) -> tuple[str, int]:
    sha, _, number = path.stem.rpartition("-")
    return sha, int(number)


def _written(path: Path, data: bytes) -> Path:
    """A file beside `path` with the data, on the disk."""
    part = part_of(path)
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return part
