"""Anything that OpenCV opens as a source: a video file, a camera on USB, a stream on the network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from streamcount.errors import SourceError
from streamcount.sources.base import EMPTY_FILE, Run
from streamcount.sources.images import rgb_from_bgr
from streamcount.sources.recording import file_run
from streamcount.types import Frame, FrameMetadata

if TYPE_CHECKING:
    import cv2

VIDEO_SUFFIXES = frozenset(
    {
        ".avi",
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".ogv",
        ".mjpg",
        ".mjpeg",
        ".ts",
    }
)

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PASSWORD = re.compile(r"password.*", re.IGNORECASE | re.DOTALL)


class VideoConfig(BaseModel):
    """A video file, a USB camera, or a network stream, opened by OpenCV."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["video"] = "video"
    # Not shown in repr(): the URL of a network camera usually holds its password.
    location: int | str = Field(
        repr=False,
        description="path of a video, index of a USB camera (0 is the first), or rtsp:// or http:// address",
    )
    rate_hz: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="frames a second at which a file is played; as fast as taken if not given",
    )
    loop: bool = Field(default=False, description="play a file again and again; no use for cameras")
    pixel_size_um: float | None = Field(default=None, gt=0, description="µm per pixel")
    timeout_s: float = Field(
        default=10.0, gt=0, le=600, description="how long a stream may take to open or to send a frame"
    )

    def build(self) -> VideoSource:
        """The source. Raises SourceError where it cannot be opened."""
        return VideoSource(self)


class VideoSource:
    """Frames of a video or camera, 8-bit RGB. Opened for each call of `frames`, freed when it is closed."""

    def __init__(self, config: VideoConfig) -> None:
        self._config = config
        self._name = redacted(config.location)
        location = config.location
        self._is_file = isinstance(location, str) and not _URL.match(location)
        self._frames: int | None = None
        self._recorded_rate_hz: float | None = None
        if self._is_file:
            self._probe(Path(str(location)))

    @property
    def frame_count(self) -> int | None:
        """Frames of a file as its header tells; None where it does not, for a camera, a stream, a loop."""
        return None if self._config.loop else self._frames

    @property
    def rate_hz(self) -> float | None:
        """Frames a second, as configured."""
        return self._config.rate_hz

    @property
    def recorded_rate_hz(self) -> float | None:
        """Frames a second as a file's header tells; None for cameras."""
        return self._recorded_rate_hz

    def frames(self, run: Run) -> Iterator[Frame]:
        """The frames as they come. Raises SourceError where a camera or stream ends, a file is cut off."""
        capture = self._open()
        first = 0
        try:
            for sequence in count():
                read, pixels = capture.read()
                if not read and self._is_file:
                    self._check_complete(sequence - first)
                    if not self._config.loop:
                        return
                    capture.release()
                    capture, first = self._open(), sequence
                    read, pixels = capture.read()
                if not read:
                    raise SourceError(
                        f"{self._name}: no more frames after {sequence}; check cable, power, network"
                    )
                metadata = FrameMetadata(
                    camera_id=run.camera_id,
                    run_id=run.run_id,
                    sequence=sequence,
                    acquired_at_ns=run.clock(),
                    pixel_size_um=self._config.pixel_size_um,
                )
                yield Frame(rgb_from_bgr(pixels, self._name), metadata)
        finally:
            capture.release()

    def _probe(self, path: Path) -> None:
        import cv2

        if not path.is_file():
            raise SourceError(
                f"{path}: there is no such file (a camera on USB is a number, a stream has rtsp://)"
            )
        if not path.stat().st_size:
            raise SourceError(f"{path}: {EMPTY_FILE}")
        capture = self._open()
        frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = capture.get(cv2.CAP_PROP_FPS)
        capture.release()
        # A file that was not closed properly tells nonsense here, negative or astronomic.
        self._frames = int(frames) if 0 < frames < 1e9 else None
        self._recorded_rate_hz = float(rate) if 1e-3 < rate <= 1e4 else None

    def _open(self) -> cv2.VideoCapture:
        import cv2

        location = self._config.location
        capture: cv2.VideoCapture
        if isinstance(location, int):
            capture = cv2.VideoCapture(location)
        else:
            # FFmpeg only: the image-sequence backend would take "%" in a name for a pattern, and prints the
            # address, password and all, when it fails.
            wait_ms = int(self._config.timeout_s * 1000)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait_ms]
            capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            capture.release()
            what = (
                "no video that OpenCV can read"
                if self._is_file
                else "cannot be opened; check address, cable, access"
            )
            raise SourceError(f"{self._name}: {what}")
        return capture

    def _check_complete(self, frames: int) -> None:
        """A header's count may be a little off; a file that lacks more than that is cut off."""
        if frames == 0:
            raise SourceError(f"{self._name}: no frame in it can be read")
        told = self._frames or 0
        if frames < told - max(2, told // 50):
            raise SourceError(f"{self._name}: breaks off after {frames} of {told} frames; copy it again")


def redacted(location: int | str) -> str:
    """A location fit to be printed: user, password and query of an address are left out, a password in words too."""
    if isinstance(location, int):
        return f"camera {location}"
    # Anywhere in it: a location with a blank or a quote before the scheme holds its password all the same.
    if not _URL.search(location):
        # What databases take in place of an address: words, of which all from this one on may be secret.
        return _PASSWORD.sub("***", location)
    scheme, _, rest = location.partition("://")
    # A password may hold "/" or "?" unescaped; nothing before the last "@" is worth the risk of printing it.
    hidden, _, address = rest.rpartition("@")
    host = address.partition("?")[0].partition("#")[0]
    return f"{scheme}://{'***@' if hidden else ''}{host}"


def read_video(
    path: Path | str, *, rate_hz: float | None = None, pixel_size_um: float | None = None
) -> Iterator[Frame]:
    """The frames of a video file as those of camera "file" and a run named like the file, times from 0.

    rate_hz: frames a second; the file's own if not given, 1 if it tells none. Raises SourceError.
    """
    source = VideoConfig(location=str(path), pixel_size_um=pixel_size_um).build()
    return source.frames(file_run(Path(path), rate_hz or source.recorded_rate_hz or 1.0))
