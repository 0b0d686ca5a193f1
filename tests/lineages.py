"""A followed run made by hand, as lines of results: divisions, one of them retracted, a death, a gap, a leaving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES, STEP_NS, SHAPE = 12, 60 * 10**9, (60, 130)
# By track: its frames, and its place, which it keeps.
SEEN: dict[int, tuple[list[int], tuple[int, int]]] = {
    1: ([0, 1, 2, 3], (20, 30)),
    2: ([4, 5, 6, 7], (14, 24)),
    3: ([4, 5, 6, 8, 9, 10, 11], (28, 38)),
    4: ([8, 9, 10, 11], (8, 18)),
    5: ([8, 9], (8, 40)),
    6: (list(range(12)), (45, 60)),
    7: ([2, 3, 4, 5, 6], (20, 118)),
    8: ([1, 2, 3, 4, 5], (45, 90)),
}
MOTHERS = {2: 1, 3: 1, 4: 2, 5: 2}
# The reason of a death is told since there are deaths.
REASON = "shrank"


def cell_event(
    kind: str, track_id: int, sequence: int, decided: int | None = None, **more: Any
) -> dict[str, Any]:
    """A CloudEvent as on the topics."""
    y, x = SEEN[track_id][1] if track_id in SEEN else (0, 0)
    data = {
        "kind": kind, "camera_id": "cam", "run_id": "run-1", "sequence": sequence,
        "happened_at_ns": sequence * STEP_NS,
        "decided_at_ns": (sequence if decided is None else decided) * STEP_NS,
        "track_id": track_id, "class_name": "round", "centroid_px": [y, x],
        "box_px": [y - 4, x - 4, y + 4, x + 4],
        "certainty": "confirmed", "parent_id": MOTHERS.get(track_id, 0), **more,
    }  # fmt: skip
    return envelope(data)


def envelope(data: dict[str, Any]) -> dict[str, Any]:
    """Around an event's data."""
    return {
        "specversion": "1.0", "id": "any", "source": "/cameras/cam", "type": "any",
        "time": "2026-01-01T00:00:00.000000000Z", "datacontenttype": "application/json", "data": data,
    }  # fmt: skip


def counted(sequence: int, run_id: str = "run-1") -> dict[str, Any]:
    """The event that closes a frame."""
    return envelope(
        {
            "kind": "CountsUpdated", "camera_id": "cam", "run_id": run_id, "sequence": sequence,
            "happened_at_ns": sequence * STEP_NS, "decided_at_ns": sequence * STEP_NS,
            "counts": {}, "total": 0, "confirmed_tracks": 0, "cells_seen": 0,
        }
    )  # fmt: skip


def told_in() -> dict[int, list[dict[str, Any]]]:
    """Events by the frame whose line has them. Cells are confirmed two frames after they are first seen."""
    events: dict[int, list[dict[str, Any]]] = {}
    for track_id, (frames, _) in SEEN.items():
        late = min(frames[0] + 2, frames[-1])
        appeared = cell_event("CellAppeared", track_id, frames[0], late, entered=track_id == 7)
        events.setdefault(late, []).append(appeared)
    stages = [
        (4, 1, 4, "provisional", (2, 3)), (6, 1, 4, "confirmed", (2, 3)),
        (8, 2, 8, "provisional", (4, 5)), (10, 2, 8, "confirmed", (4, 5)),
        (5, 6, 5, "provisional", (90, 91)), (7, 6, 5, "retracted", (90, 91)),
    ]  # fmt: skip
    for late, mother, sequence, certainty, daughters in stages:
        event = cell_event("CellDivided", mother, sequence, late, certainty=certainty, daughter_ids=daughters)
        events.setdefault(late, []).append(event)
    events.setdefault(11, []).append(cell_event("CellDied", 5, 9, 11, reason="shrank"))
    events.setdefault(9, []).append(cell_event("CellLeft", 7, 6, 9))
    events.setdefault(8, []).append(cell_event("CellLost", 8, 5, 8))
    return events


def result_lines(run_id: str = "run-1", unconfirmed: int = 2) -> list[dict[str, Any]]:
    """The run as `streamcount count --track --output` writes it; the first sightings of each have no id."""
    events = told_in()
    lines = []
    for frame in range(FRAMES):
        detections = [
            {
                "box": [y - 4, x - 4, y + 4, x + 4], "centroid": [y, x], "class": "odd" if track_id == 6 else "round",
                "score": 0.9, "area_px": 64.0,
                "track_id": track_id if frames.index(frame) >= unconfirmed else None,
            }
            for track_id, (frames, (y, x)) in SEEN.items() if frame in frames
        ]  # fmt: skip
        told = json.loads(json.dumps([*events.get(frame, []), counted(frame)]))
        for event in told:
            event["data"]["run_id"] = run_id
        lines.append(
            {
                "source": f"film/{frame:02d}.png", "index": 0, "counts": {}, "detections": detections,
                "model": {"name": "m", "sha256": "0"}, "events": told,
            }
        )  # fmt: skip
    return lines


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    """As a file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def label_image(frame: int) -> NDArray[np.uint16]:
    """The cells of a frame, squares of 8 px: value i + 1 for the i-th detection of its line."""
    mask = np.zeros(SHAPE, np.uint16)
    here = [place for frames, place in SEEN.values() if frame in frames]
    for value, (y, x) in enumerate(here, 1):
        mask[y - 4 : y + 4, x - 4 : x + 4] = value
    return mask
