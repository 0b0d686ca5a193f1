"""A folder of images as a source: one file a frame, in order of name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Literal

from pydantic import Field

from streamcount.errors import SourceError
from streamcount.sources.base import Run
from streamcount.sources.images import is_image_name, natural_key, read_still
from streamcount.sources.recording import file_run
from streamcount.sources.tiff_choice import TiffChoiceConfig
from streamcount.types import Frame, FrameMetadata


class FolderConfig(TiffChoiceConfig):
    """A folder of PNG, JPEG, TIFF, BMP or WebP images, t2 before t10; no subfolders.

    What to take of a file is asked of TIFFs alone.
    """

    kind: Literal["folder"] = "folder"
    path: Path = Field(description="the folder")
    rate_hz: float | None = Field(
        default=None, gt=0, le=10_000, description="frames a second; as fast as taken if not given"
    )
    loop: bool = Field(default=False, description="begin again at the end, for ever")
    pixel_size_um: float | None = Field(
        default=None, gt=0, description="µm per pixel, in place of what a TIFF says"
    )

    def build(self) -> FolderSource:
        """The source. Raises SourceError where there is no such folder or no image in it."""
        return FolderSource(self)


class FolderSource:
    """Frames of a folder; its files are listed once, when the source is built."""

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        self._files = list_images(config.path)
        if not self._files:
            raise SourceError(f"{config.path}: no PNG, JPEG, TIFF, BMP or WebP image in this folder")

    @property
    def files(self) -> tuple[Path, ...]:
        """The images in the order in which they are played."""
        return self._files

    @property
    def frame_count(self) -> int | None:
        """Images in the folder; None if it loops."""
        return None if self._config.loop else len(self._files)

    @property
    def rate_hz(self) -> float | None:
        """Frames a second, as configured."""
        return self._config.rate_hz

    def frames(self, run: Run) -> Iterator[Frame]:
        """The images in order. Raises SourceError, naming the file, where one cannot be read."""
        for sequence in count() if self._config.loop else range(len(self._files)):
            still = read_still(self._files[sequence % len(self._files)], self._config.choice())
            metadata = FrameMetadata(
                camera_id=run.camera_id,
                run_id=run.run_id,
                sequence=sequence,
                acquired_at_ns=run.clock(),
                pixel_size_um=self._config.pixel_size_um or still.pixel_size_um,
                channel=still.channel,
            )
            yield Frame(still.image, metadata)


def list_images(folder: Path) -> tuple[Path, ...]:
    """The images in a folder, sorted naturally, without hidden files. Raises SourceError."""
    try:
        return tuple(
            sorted(
                (path for path in folder.iterdir() if is_image_name(path) and path.is_file()), key=natural_key
            )
        )
    except OSError as error:
        raise SourceError(f"{folder}: no folder that can be read ({error.strerror or error})") from error


def read_folder(
    path: Path | str, *, rate_hz: float = 1.0, pixel_size_um: float | None = None
) -> Iterator[Frame]:
    """The images of a folder as frames of camera "file" and a run named like the folder.

    Times go from 0 at `rate_hz`. Raises SourceError.
    """
    config = FolderConfig(path=Path(path), pixel_size_um=pixel_size_um)
    return config.build().frames(file_run(config.path, rate_hz))
