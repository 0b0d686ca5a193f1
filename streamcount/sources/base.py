"""What a source is: where frames come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from streamcount.types import Frame

EMPTY_FILE = "the file is empty; copy it again from where it was taken"


@dataclass(frozen=True)
class Run:
    """One unbroken sequence of frames of one camera.

    clock: nanoseconds since 1970 UTC; asked once for each frame that does not carry its own time, so that a
    live camera has the computer's time and a recount of files a made-up one that repeats.
    """

    camera_id: str
    run_id: str
    clock: Callable[[], int]


class Source(Protocol):
    """Yields the frames of a run, numbered from 0 without a hole.

    frame_count: how many frames there will be, None where nobody knows (live, endless).
    rate_hz: frames a second at which a recording is to be played, None for as fast as they are taken.
    """

    @property
    def frame_count(self) -> int | None: ...

    @property
    def rate_hz(self) -> float | None: ...

    def frames(self, run: Run) -> Iterator[Frame]:
        """The frames in order. Closing the iterator frees the camera or file.

        Raises SourceError where the source cannot be opened or breaks off, naming file and remedy.
        """
        ...
