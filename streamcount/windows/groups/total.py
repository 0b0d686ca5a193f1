"""The sum of cameras' windows: what adds is added, and all else is made of the sums as of a camera's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum

from streamcount.types import GROUP_RUN, WindowClosed
from streamcount.types.figures import DERIVED
from streamcount.windows.figures import EVENTS, Key, figures_of
from streamcount.windows.groups.config import Group
from streamcount.windows.groups.state import Gathering, Untold

NS_PER_MS = 1_000_000
# Of two parts of one camera's window these add; all else is a mean per frame.
ADDED = frozenset({*EVENTS, "abnormal", "cells_seen", "dwell_total_s"})
# Each is told beside the number that it is divided by, so cameras that do not tell it are simply not in it.
OF_WHOM_IT_IS_KNOWN = frozenset(
    {"fields", "foreground", "patches", "cells_sized", "cell_area_um2", "cell_area_squares_um4"}
)
# The order in which reasons are told.
REASONS = (
    "frames-missing",
    "bad-picture",
    "run-began",
    "run-ended",
    "settings-changed",
    "late-events",
    "late-frames",
)


def group_window(
    group: Group, gathered: Gathering, untold: Untold | None = None, *, waited: bool = False
) -> WindowClosed:
    """The window of a group, made of the final windows of its cameras for one span of time.

    untold: what came too late for an earlier window of that name. waited: some camera was waited for in vain.
    """
    untold = untold or Untold()
    by_camera: dict[str, list[WindowClosed]] = {}
    for part in gathered.parts:
        by_camera.setdefault(part.camera_id, []).append(part)
    missing = tuple(name for name in sorted(group.cameras) if name not in by_camera)
    parts = gathered.parts
    seen = {reason for part in parts for reason in part.reasons}
    reasons = [reason for reason in REASONS if reason in seen]
    reasons += ["members-missing"] if missing else []
    reasons += ["late-members"] if untold.cameras else []
    decided_at_ns = max(part.decided_at_ns for part in parts)
    if waited:
        decided_at_ns = max(decided_at_ns, gathered.end_ns + group.wait_ns)
    return WindowClosed(
        camera_id=group.name,
        run_id=GROUP_RUN,
        sequence=gathered.end_ns // NS_PER_MS,
        happened_at_ns=gathered.end_ns,
        decided_at_ns=decided_at_ns,
        window=gathered.window,
        window_start_ns=gathered.start_ns,
        window_end_ns=gathered.end_ns,
        final=True,
        complete=not reasons,
        reasons=tuple(reasons),
        frames=sum(part.frames for part in parts),
        frames_missing=sum(part.frames_missing for part in parts),
        frames_flagged=sum(part.frames_flagged for part in parts),
        late_events=sum(part.late_events for part in parts),
        late_frames=sum(part.late_frames for part in parts) + untold.frames,
        figures=figures_of(total_of(by_camera), group.rule),
        members=tuple(sorted(by_camera)),
        members_missing=missing,
        late_members=untold.cameras,
    )


def total_of(by_camera: Mapping[str, Sequence[WindowClosed]]) -> dict[Key, float]:
    """The sums of cameras, each with the parts of its window in the order told.

    A zone is summed over the cameras that have one of that name. What only some of them tell, such as an area where
    one pixel size is not known, is left out: no ratio to it would be one of the whole.
    """
    sums = {camera: sums_of_camera(by_camera[camera]) for camera in sorted(by_camera)}
    # A camera of which no frame was counted tells its events only.
    asked = {
        camera: {key.zone for key in sums[camera]}
        for camera in sums
        if any(part.frames for part in by_camera[camera])
    }
    total: dict[Key, float] = {}
    for key in sorted({key for each in sums.values() for key in each}):
        whole = all(key in sums[camera] for camera, zones in asked.items() if key.zone in zones)
        if whole or key.name in OF_WHOM_IT_IS_KNOWN:
            total[key] = fsum(each[key] for each in sums.values() if key in each)
    return total


def sums_of_camera(parts: Sequence[WindowClosed]) -> dict[Key, float]:
    """What adds in one camera's window, over the parts of it that its runs tell."""
    told = [(part.frames, sums_told(part)) for part in parts]
    keys = {key for _, sums in told for key in sums}
    return {
        key: _over_time(key, [(frames, sums[key]) for frames, sums in told if key in sums]) for key in keys
    }


def sums_told(closed: WindowClosed) -> dict[Key, float]:
    """What adds in a window; all its other figures follow from these, but those of growth."""
    return {
        Key(one.name, one.zone, one.class_name): one.value
        for one in closed.figures
        if one.name not in DERIVED
    }


def _over_time(key: Key, told: Sequence[tuple[int, float]]) -> float:
    """told: (frames, value) of each part."""
    if len(told) == 1 or key.name == "cells_now":
        return told[-1][1]
    if key.name in ADDED:
        return fsum(value for _, value in told)
    frames = sum(number for number, _ in told) or 1
    # A mean's weights are shares of the frames, and its variance goes with their squares.
    power = 2 if key.name.endswith("variance") else 1
    return fsum((number / frames) ** power * value for number, value in told)
