"""Reading recordings again: a made-up clock that repeats, and names of runs taken from names of files."""

from __future__ import annotations

import re
from pathlib import Path

from streamcount.sources.base import Run

FILE_CAMERA_ID = "file"

_SECOND_NS = 1_000_000_000


class FrameClock:
    """A clock that is 0 at first and goes on by one frame's time each time it is asked."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._asked = 0

    def __call__(self) -> int:
        """Nanoseconds."""
        now = round(self._asked * _SECOND_NS / self._rate_hz)
        self._asked += 1
        return now


def run_name(path: Path) -> str:
    """A run_id from a file's or folder's name: what a name may not hold becomes "-"."""
    name = path.resolve().name
    for suffix in (".ome.tif", ".ome.tiff", ".ome.btf", path.suffix):
        if suffix and name.lower().endswith(suffix.lower()) and not path.is_dir():
            name = name[: -len(suffix)]
            break
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "run"


def file_run(path: Path, rate_hz: float) -> Run:
    """The run of a recount of files; its clock is for frames that carry no time of their own."""
    return Run(camera_id=FILE_CAMERA_ID, run_id=run_name(path), clock=FrameClock(rate_hz))
