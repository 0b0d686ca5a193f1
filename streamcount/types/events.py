"""Events: what happened, in the words of a biologist, each with an id that a replay repeats."""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

import msgspec

# The run_id of what is told of a group of cameras.
GROUP_RUN = "group"

Certainty: TypeAlias = Literal["provisional", "confirmed", "retracted"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something that happened in one run of one camera.

    sequence: the frame in which it happened.
    happened_at_ns: when that frame was acquired, nanoseconds since 1970 UTC.
    decided_at_ns: acquisition time of the frame that made it known; never the computer's clock.
    """

    camera_id: str
    run_id: str
    sequence: int
    happened_at_ns: int
    decided_at_ns: int

    def subject(self) -> str:
        """What the event is about, beside its frame: a track id for cells, "" otherwise."""
        return ""

    @property
    def kind(self) -> str:
        """Name of the kind of event, as on the wire."""
        return type(self).__name__

    @property
    def event_id(self) -> str:
        """The same at each replay: camera, run, sequence, kind and subject (a track, a rule)."""
        parts = [self.camera_id, self.run_id, str(self.sequence), self.kind]
        subject = self.subject()
        return "/".join([*parts, subject] if subject else parts)

    @property
    def message_id(self) -> str:
        """What repeats of one message share: the id, and of an event that may be told in stages also its stage."""
        return self.event_id


class CellEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one cell.

    certainty: a provisional event is confirmed or retracted later under the same id.
    centroid_px: (y, x) at that frame. box_px: half-open (y0, x0, y1, x1).
    parent_id: the mother's track id, 0 where no mother is known. generation: divisions known between this cell
    and its first ancestor. birth_sequence: the frame in which its track begins.
    """

    track_id: int
    parent_id: int = 0
    generation: int = 0
    birth_sequence: int = 0
    class_name: str
    centroid_px: tuple[float, float]
    box_px: tuple[float, float, float, float]
    certainty: Certainty = "confirmed"

    def subject(self) -> str:
        return str(self.track_id)

    @property
    def message_id(self) -> str:
        return f"{self.event_id}/{self.certainty}"


class CellAppeared(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell is there that was not: it entered, or was first recognised. `sequence` is its first sighting."""

    entered: bool


class CellDivided(CellEvent, frozen=True, kw_only=True, tag=True):
    """A mother became two daughters; `sequence` is the first frame that shows them, the place is the mother's last.

    Provisional at once, then confirmed when both daughters were seen often enough to trust, or retracted.
    daughter_ids: their track ids, ascending.
    """

    daughter_ids: tuple[int, ...]


class CellDied(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell died in view; `sequence` is its last sighting, or the first frame in which it was told to be dead.

    reason: "class" (the model's class says so), "shrank" (it got small, and was gone), "fragmented" (small pieces
    are where it was), "vanished" (always in clear sight, and gone from one frame to the next).
    """

    reason: str


class CellLeft(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell left the field of view: last seen at the border, moving outward. It is not dead."""


class CellLost(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell was not found again, and nothing tells where it went."""


class ClassChanged(CellEvent, frozen=True, kw_only=True, tag=True):
    """The class that a cell is believed to have turned into another."""

    previous_class_name: str


class CellAbnormal(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell is abnormal. Each reason is told once of a cell.

    reason: "class" (the model's class is marked so), "size", "shape" or "intensity" (outside the camera's own cells
    of that class), "unsure" (the model cannot tell what it is).
    score: how far, in the reason's own unit: a probability for "class" and "unsure", robust standard deviations
    for the others. explanation: the figures, in words.
    snapshot: the name under which the cell's picture is kept, where somebody keeps pictures; "" where nobody can.
    """

    reason: str
    score: float = 0.0
    explanation: str = ""
    snapshot: str = ""

    def subject(self) -> str:
        return f"{self.track_id}/{self.reason}"


class ZoneEntered(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell came into a zone, or appeared in it."""

    zone: str

    def subject(self) -> str:
        return f"{self.track_id}/{self.zone}"


class ZoneLeft(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell is no longer in a zone.

    dwell_ns: how long it was, from the frame of `ZoneEntered` on.
    """

    zone: str
    dwell_ns: int

    def subject(self) -> str:
        return f"{self.track_id}/{self.zone}"


class LineCrossed(CellEvent, frozen=True, kw_only=True, tag=True):
    """A cell crossed a counting line.

    direction: "forward" (from the line's left to its right, looking from its first point to its last, in an image
    with y downwards) or "backward".
    """

    line: str
    direction: Literal["forward", "backward"]

    def subject(self) -> str:
        return f"{self.track_id}/{self.line}"


class CountsUpdated(Event, frozen=True, kw_only=True, tag=True):
    """The count of one frame.

    counts: cells per class in this frame, zeros included.
    confirmed_tracks: cells that are being followed and in view now.
    cells_seen: cells confirmed since the run began.
    """

    counts: dict[str, int]
    total: int
    confirmed_tracks: int
    cells_seen: int
    quality: tuple[str, ...] = ()


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number told of a window.

    name: what it is, as in docs/units.md, such as "cells" or "viability". unit: such as "1/mL"; "" for a pure number.
    zone: the zone or counting line that it holds for, "" for the whole field. class_name: the class, "" for all.
    low, high: its confidence interval at the level of the configuration; None where there is none.
    """

    name: str
    value: float
    unit: str = ""
    zone: str = ""
    class_name: str = ""
    low: float | None = None
    high: float | None = None


class WindowClosed(Event, frozen=True, kw_only=True, tag=True):
    """The figures of one window of time, [window_start_ns, window_end_ns) in the time of acquisition.

    window: the name of its setting. final: told once and for good; False for the figures so far.
    complete: nothing is wrong with it. reasons: what is: "frames-missing", "bad-picture", "run-began", "run-ended",
    "late-events", "late-frames", "settings-changed", and of a group "members-missing" and "late-members".
    frames, frames_missing, frames_flagged: counted in it, lost in it, counted though the picture was bad.
    late_events, late_frames: of a time in an earlier window, after that one was final; they are counted in none.
    members: the cameras whose windows a group's is the sum of; empty for a camera's own. members_missing: the other
    cameras of the group. late_members: cameras that told of an earlier window after the group's was final.
    A group's window has the group's name for camera_id, `GROUP_RUN` for run_id and the window's end, ms since 1970,
    for sequence.
    """

    window: str
    window_start_ns: int
    window_end_ns: int
    final: bool
    complete: bool
    reasons: tuple[str, ...] = ()
    frames: int = 0
    frames_missing: int = 0
    frames_flagged: int = 0
    late_events: int = 0
    late_frames: int = 0
    figures: tuple[Figure, ...] = ()
    members: tuple[str, ...] = ()
    members_missing: tuple[str, ...] = ()
    late_members: tuple[str, ...] = ()

    def subject(self) -> str:
        stage = "final" if self.final else "current"
        return f"{self.window}/{self.window_start_ns}/{stage}"


class RunStarted(Event, frozen=True, kw_only=True, tag=True):
    """A camera was started anew: track ids begin at 1 again. previous_run_id: the run that is over."""

    previous_run_id: str


class QualityChanged(Event, frozen=True, kw_only=True, tag=True):
    """What is wrong with the picture changed. flags: what is wrong from now on, () for nothing; previous: before.

    explanation: the figures that crossed their limits, in words.
    """

    flags: tuple[str, ...]
    previous: tuple[str, ...]
    explanation: str = ""


class AlertRaised(Event, frozen=True, kw_only=True, tag=True):
    """A rule is broken, and has been for as long as it asks.

    rule: its name. severity: "info", "warning" or "critical". reason: the figures that broke it, in words.
    figure, value, limit: what was watched, its value, and the limit that it crossed; None where there is no number.
    since_ns: when it began to be broken. again: how often it was told of the same frame before, because its rule was
    taken away and put back.
    """

    rule: str
    reason: str
    severity: Literal["info", "warning", "critical"] = "warning"
    figure: str = ""
    value: float | None = None
    limit: float | None = None
    since_ns: int = 0
    again: int = 0

    def subject(self) -> str:
        return f"{self.rule}/{self.again}" if self.again else self.rule


class AlertCleared(Event, frozen=True, kw_only=True, tag=True):
    """A rule holds again.

    raised_at_ns, again: `decided_at_ns` and `again` of the alert that it clears. reason: why, in words.
    """

    rule: str
    raised_at_ns: int = 0
    reason: str = ""
    again: int = 0

    def subject(self) -> str:
        return f"{self.rule}/{self.again}" if self.again else self.rule


class AlertAcknowledged(Event, frozen=True, kw_only=True, tag=True):
    """Somebody has seen an alert and says so. It changes neither the alert nor what clears it; nothing takes it back.

    `sequence`, `happened_at_ns` and `decided_at_ns` are the alert's own, since no frame knows of this.
    rule: the alert's. raised_at_ns: `decided_at_ns` of the alert. who, remark: as they were written.
    acknowledged_at_ns: when, by the clock of the computer that was told.
    """

    rule: str
    raised_at_ns: int
    who: str
    remark: str = ""
    acknowledged_at_ns: int = 0

    def subject(self) -> str:
        # The same words of the same person about the same alert are one message, however often they are sent.
        said = hashlib.sha256(f"{self.raised_at_ns}\n{self.who}\n{self.remark}".encode()).hexdigest()
        return f"{self.rule}/{said[:16]}"


class FramesMissing(Event, frozen=True, kw_only=True, tag=True):
    """Frames of a run that will not be counted, first and last included. `sequence` is the first of them.

    reason: "dropped" (the camera's buffer was full), "too-large", "cannot-encode" or "refused" (the camera could
    not send it), "dead-lettered" (unreadable, kept aside), or "not-received" (nobody said why).
    """

    last_sequence: int
    reason: str

    @property
    def frames(self) -> int:
        """How many frames are missing."""
        return self.last_sequence - self.sequence + 1


class CameraStalled(Event, frozen=True, kw_only=True, tag=True):
    """A camera has sent nothing for so long; `sequence` is its last frame.

    silent_for_ns: how long is too long.
    """

    silent_for_ns: int


AnyEvent: TypeAlias = (
    CellAppeared
    | CellDivided
    | CellDied
    | CellLeft
    | CellLost
    | ClassChanged
    | CellAbnormal
    | ZoneEntered
    | ZoneLeft
    | LineCrossed
    | CountsUpdated
    | WindowClosed
    | AlertRaised
    | AlertCleared
    | AlertAcknowledged
    | FramesMissing
    | RunStarted
    | QualityChanged
    | CameraStalled
)

# What happens in a cell's life; where it goes within the field (zones, lines) is no part of it.
LIFE_EVENTS: tuple[type[CellEvent], ...] = (
    CellAppeared,
    CellDivided,
    CellDied,
    CellLeft,
    CellLost,
    ClassChanged,
    CellAbnormal,
)
