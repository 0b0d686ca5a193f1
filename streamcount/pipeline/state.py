"""All that one camera's counting remembers."""

from __future__ import annotations

import msgspec

from streamcount.alerts import AlertsState
from streamcount.events import CellMemory, empty_memory
from streamcount.events.places import PlacesMemory, empty_places
from streamcount.quality import QualityState, empty_quality
from streamcount.tracking import TrackerState
from streamcount.types import AnyEvent, Detections, Tracks
from streamcount.windows import WindowsState, no_windows

# Late frames of an ended run come within seconds; sixteen runs back is far beyond that.
REMEMBERED_RUNS = 16


class PipelineState(msgspec.Struct, frozen=True, eq=False):
    """One camera's state: plain numbers, strings and arrays.

    run_id: the run being counted, "" before the first frame.
    last_sequence: the last frame accounted for, counted or missing; -1 before the first.
    last_acquired_at_ns: when it was acquired, as far as is known. latest_acquired_at_ns: the latest such time in the
    run, which a camera's clock that was put back leaves behind.
    first_sequence: the first frame of the run that was counted, -1 before it.
    missed_frames: frames missing since the last one counted, which the tracker was not told of yet.
    tracker: what the tracker remembers. cells: what the events remember. quality: what the judge of pictures does.
    places: who is in which zone, and beside which line. windows: sums of the windows that are open.
    alerts: what rules remember; it outlives a run.
    cells_seen: cells confirmed since the run began.
    finished_runs: runs that were given up for a later one, the latest last; their frames come too late.
    runs_begun: how many runs have begun. `order` grows with every step that changes anything.
    """

    camera_id: str
    tracker: TrackerState
    cells: CellMemory = msgspec.field(default_factory=empty_memory)
    quality: QualityState = msgspec.field(default_factory=empty_quality)
    windows: WindowsState = msgspec.field(default_factory=no_windows)
    places: PlacesMemory = msgspec.field(default_factory=empty_places)
    alerts: AlertsState = AlertsState()
    run_id: str = ""
    last_sequence: int = -1
    last_acquired_at_ns: int = 0
    latest_acquired_at_ns: int = 0
    first_sequence: int = -1
    missed_frames: int = 0
    cells_seen: int = 0
    finished_runs: tuple[str, ...] = ()
    runs_begun: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """(runs begun, last sequence): of two states of a camera, the one with the larger is the later."""
        return self.runs_begun, self.last_sequence


class TrackNumbers(msgspec.Struct, frozen=True):
    """Of a tracker's state, how far its ids go."""

    next_track_id: int = 1


class RunPosition(msgspec.Struct, frozen=True):
    """How far a camera was counted: the fields of `PipelineState` that have the same meaning in all its versions."""

    run_id: str = ""
    last_sequence: int = -1
    last_acquired_at_ns: int = 0
    latest_acquired_at_ns: int = 0
    cells_seen: int = 0
    finished_runs: tuple[str, ...] = ()
    runs_begun: int = 0
    tracker: TrackNumbers = TrackNumbers()
    alerts: AlertsState = AlertsState()


class StepResult(msgspec.Struct, frozen=True, eq=False):
    """What one step gave. detections, tracks: None where no frame was counted.

    skipped: the frame, or the record of a loss, told nothing new and changed nothing.
    """

    detections: Detections | None = None
    tracks: Tracks | None = None
    events: tuple[AnyEvent, ...] = ()
    skipped: bool = False


SKIPPED = StepResult(skipped=True)
