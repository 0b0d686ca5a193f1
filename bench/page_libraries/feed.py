"""Cameras that the walls of the load test show; the standard library alone, for their environment is its own.

A tile shows its newest picture and, in a `span.words`, "SEQUENCE AT", the frame's number and when it was taken,
milliseconds since 1970: what a browser reads there tells how old that is which it shows.
"""

from __future__ import annotations

import base64
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

CAMERAS, COLUMNS = 16, 4
RATE_HZ = 5.0
WIDTH_PX = 320


@dataclass(frozen=True)
class Shown:
    """What one tile shows: a JPEG and its words."""

    jpeg: bytes
    sequence: int
    at_ms: int

    @property
    def words(self) -> str:
        """The number and the time, as HTML."""
        return f'<span class="words">{self.sequence} {self.at_ms}</span>'

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"


class Feed:
    """All cameras' newest pictures, replaced RATE_HZ times a second, one after the other as real cameras would."""

    def __init__(self, folder: Path) -> None:
        self._pictures = [file.read_bytes() for file in sorted(folder.glob("*.jpg"))]
        self.newest = [self._shown(0, camera) for camera in range(CAMERAS)]
        threading.Thread(target=self._run, daemon=True).start()

    def _shown(self, sequence: int, camera: int) -> Shown:
        picture = self._pictures[(sequence + camera) % len(self._pictures)]
        return Shown(picture, sequence, time.time_ns() // 1_000_000)

    def _run(self) -> None:
        began, turn = time.monotonic(), 0
        while True:
            turn += 1
            time.sleep(max(0.0, began + turn / (RATE_HZ * CAMERAS) - time.monotonic()))
            camera = turn % CAMERAS
            self.newest[camera] = self._shown(turn // CAMERAS, camera)


def arguments() -> tuple[Feed, int]:
    """The feed and the port that a page was started with: FOLDER PORT."""
    return Feed(Path(sys.argv[1])), int(sys.argv[2])
