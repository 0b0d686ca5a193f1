"""Events: what happened, in the words of a biologist, each with an id that a replay repeats."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

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
    """A cell is abnormal. reason: "class" where the model's class is marked so."""

    reason: str


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


class WindowClosed(Event, frozen=True, kw_only=True, tag=True):
    """A window of time is complete. Announced in the vocabulary; no window is computed yet."""

    window_start_ns: int
    window_end_ns: int
    complete: bool


class AlertRaised(Event, frozen=True, kw_only=True, tag=True):
    """A rule is broken. rule: its name; reason: the figures that broke it."""

    rule: str
    reason: str

    def subject(self) -> str:
        return self.rule


class AlertCleared(Event, frozen=True, kw_only=True, tag=True):
    """A rule holds again."""

    rule: str

    def subject(self) -> str:
        return self.rule


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
    """A camera sends nothing. Announced in the vocabulary; no watch over silence sends it yet."""

    silent_for_ns: int


AnyEvent: TypeAlias = (
    CellAppeared
    | CellDivided
    | CellDied
    | CellLeft
    | CellLost
    | ClassChanged
    | CellAbnormal
    | CountsUpdated
    | WindowClosed
    | AlertRaised
    | AlertCleared
    | FramesMissing
    | CameraStalled
)

CELL_EVENTS: tuple[type[CellEvent], ...] = (
    CellAppeared,
    CellDivided,
    CellDied,
    CellLeft,
    CellLost,
    ClassChanged,
    CellAbnormal,
)
