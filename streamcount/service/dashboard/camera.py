"""One camera as the page knows it: the newest of everything, and a bounded past."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeVar

from streamcount.service.dashboard.accounting import Forgotten, RunFrames
from streamcount.service.watch_view import CameraView
from streamcount.types import (
    AlertAcknowledged,
    AlertCleared,
    AlertRaised,
    AnyEvent,
    CountsUpdated,
    FramesMissing,
    QualityChanged,
    WindowClosed,
)

# Runs that have ended; those whose frames still wait are kept beside them.
KEPT_RUNS = 3
MOST_RUNS = 50
KEPT_PICTURES = 64
KEPT_PICTURE_BYTES = 8 * 2**20
KEPT_SECONDS = 3600
KEPT_EVENTS = 500
KEPT_WINDOWS = 720
KEPT_ALERTS = 200
KEPT_REMARKS = 50
KEPT_DEAD_LETTERS = 50
# A camera is stale after so long, or after so many of its usual intervals, whichever is longer.
STALE_S = 3.0
STALE_INTERVALS = 5
# Cells that come later than this after their picture are not waited for: the newest picture is shown without them.
CELLS_WAIT_S = 10.0

T = TypeVar("T")
# What is remembered over time; of each, the oldest is dropped for the newest.
Memory = Literal["counts", "events", "windows"]


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded frame as its camera sent it. captured_at_ms: wall time; heard_s: when it came, feed's clock."""

    run_id: str
    sequence: int
    acquired_at_ns: int
    captured_at_ms: int
    content_type: str
    data: bytes
    heard_s: float
    pixel_size_um: float | None = None


@dataclass(frozen=True, slots=True)
class CountPoint:
    """The newest count in one second of acquisition. total, counts: cells, all and per class."""

    at_ns: int
    sequence: int
    total: int
    counts: dict[str, int]
    run_id: str


@dataclass(frozen=True, slots=True)
class DeadLetterNote:
    """A frame that could not be counted: where it lies and why. at_ms: when the camera took it, or wrote it."""

    partition: int
    offset: int
    at_ms: int
    reason: str
    message: str
    stage: str
    sequence: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies. time_ms: its timestamp, which is that of the frame that it came of."""

    partition: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert that was raised and is over."""

    raised: AlertRaised
    cleared: AlertCleared


@dataclass(frozen=True, slots=True)
class LastWord:
    """The last frame that was counted of a camera before this page began. at_ms: when its camera took it."""

    run_id: str
    sequence: int
    at_ms: int
    total: int
    counts: dict[str, int]


@dataclass
class CameraLive:
    """All that the page can show of one camera. Not safe for threads: the model holds the lock.

    Times `_s` are of the feed's monotonic clock. expected_s: since when it is listened for, because it is configured;
    None for any other. last_word: looked up where nothing was heard. alert_places: of alerts' records, by the
    alert's id. tracks, detections: undecoded records by (run, sequence): most of them nobody ever looks at.
    dropped_ns: the latest time of what was dropped from a memory: behind it, nothing is wanting.
    """

    camera_id: str
    expected_s: float | None = None
    last_word: LastWord | None = None
    view: CameraView = field(init=False)
    runs: dict[str, RunFrames] = field(default_factory=dict)
    pictures: deque[Picture] = field(default_factory=lambda: deque(maxlen=KEPT_PICTURES))
    tracks: dict[tuple[str, int], bytes] = field(default_factory=dict)
    detections: dict[tuple[str, int], bytes] = field(default_factory=dict)
    counts: deque[CountPoint] = field(default_factory=lambda: deque(maxlen=KEPT_SECONDS))
    events: deque[AnyEvent] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    windows: deque[WindowClosed] = field(default_factory=lambda: deque(maxlen=KEPT_WINDOWS))
    current_windows: dict[str, WindowClosed] = field(default_factory=dict)
    active_alerts: dict[str, AlertRaised] = field(default_factory=dict)
    past_alerts: deque[PastAlert] = field(default_factory=lambda: deque(maxlen=KEPT_ALERTS))
    acknowledged: dict[str, deque[AlertAcknowledged]] = field(default_factory=dict)
    alert_places: dict[str, Place] = field(default_factory=dict)
    dead_letters: deque[DeadLetterNote] = field(default_factory=lambda: deque(maxlen=KEPT_DEAD_LETTERS))
    dead_letters_seen: int = 0
    quality: tuple[str, ...] = ()
    quality_why: str = ""
    counted_s: float = 0.0
    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=20))
    forgotten: Forgotten = field(default_factory=Forgotten)
    dropped_ns: dict[Memory, int] = field(default_factory=dict)
    # The run that was counted last, and runs in the order in which they were sent.
    _counted_run: str = ""
    _sent: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_RUNS))
    _told: deque[str] = field(default_factory=lambda: deque(maxlen=2 * KEPT_EVENTS))

    def __post_init__(self) -> None:
        self.view = CameraView(self.camera_id)

    def run(self, run_id: str) -> RunFrames:
        """The run's frames; of the oldest runs only the sum is kept."""
        if run_id not in self.runs:
            ended = [one for one in self.runs.values() if one.ended]
            if len(ended) >= KEPT_RUNS or len(self.runs) >= MOST_RUNS:
                oldest = ended[0] if ended else next(iter(self.runs.values()))
                del self.runs[oldest.run_id]
                self.forgotten = self.forgotten.plus(oldest.account())
        return self.runs.setdefault(run_id, RunFrames(run_id))

    def published(self, run_id: str, first: int, last: int, *, live: bool) -> None:
        """The camera has sent, or told of, frames first..last; live: now, and not before anybody listened."""
        self.run(run_id).published(first, last, live=live)
        if live and run_id not in self._sent:
            self._sent.append(run_id)

    def add_picture(self, picture: Picture, *, live: bool) -> None:
        """Takes in a frame as it lies on the topic; live as of `published`."""
        self.published(picture.run_id, picture.sequence, picture.sequence, live=live)
        self.pictures.append(picture)
        while len(self.pictures) > 1 and sum(len(one.data) for one in self.pictures) > KEPT_PICTURE_BYTES:
            self.pictures.popleft()
        self.arrivals_s.append(picture.heard_s)

    def add_event(self, event: AnyEvent, now_s: float) -> bool:
        """Takes in an event of any topic. False where it was told before, as a killed worker may do."""
        if isinstance(event, CountsUpdated):
            return self._add_count(event, now_s)
        if event.message_id in self._told and not (isinstance(event, WindowClosed) and not event.final):
            return False
        self._told.append(event.message_id)
        match event:
            case WindowClosed(final=False):
                self.current_windows[event.window] = event
                return True
            case WindowClosed():
                self._keep("windows", self.windows, event, lambda one: one.window_start_ns)
                return True
            case AlertRaised():
                self.active_alerts[event.rule] = event
            case AlertCleared():
                raised = self.active_alerts.pop(event.rule, None)
                if raised is not None:
                    self.past_alerts.append(PastAlert(raised, event))
            case AlertAcknowledged():
                seen = deque[AlertAcknowledged](maxlen=KEPT_REMARKS)
                newest(self.acknowledged, _key(event.rule, event.raised_at_ns), seen, KEPT_ALERTS).append(
                    event
                )
            case QualityChanged():
                self.quality, self.quality_why = event.flags, event.explanation
            case FramesMissing():
                frames = self.run(event.run_id)
                kind = frames.dead_lettered if event.reason == "dead-lettered" else frames.missing
                kind.add(event.sequence, event.last_sequence)
        self._keep("events", self.events, event, lambda one: one.happened_at_ns)
        return True

    def _keep(self, memory: Memory, kept: deque[T], new: T, at_ns: Callable[[T], int]) -> None:
        if len(kept) == kept.maxlen:
            self.dropped_ns[memory] = max(self.dropped_ns.get(memory, 0), at_ns(kept[0]))
        kept.append(new)

    def acknowledged_of(self, raised: AlertRaised) -> list[AlertAcknowledged]:
        """Who has said that they have seen an alert, the first to say so first."""
        return list(self.acknowledged.get(_key(raised.rule, raised.decided_at_ns), ()))

    def _add_count(self, event: CountsUpdated, now_s: float) -> bool:
        frames = self.run(event.run_id)
        if event.sequence in frames.counted:
            return False
        frames.counted.add(event.sequence, event.sequence)
        if event.run_id != self._counted_run:
            self._end_runs_before(event.run_id)
        self.counted_s = now_s
        self.quality = event.quality
        point = CountPoint(event.happened_at_ns, event.sequence, event.total, event.counts, event.run_id)
        if self.counts and self.counts[-1].at_ns // 10**9 == point.at_ns // 10**9:
            self.counts.pop()
        self._keep("counts", self.counts, point, lambda one: one.at_ns)
        return True

    def _end_runs_before(self, run_id: str) -> None:
        """A run is counted: none of those before it is any longer."""
        before = {self._counted_run}
        # Frames of a run after it may have been sent already, and wait.
        if run_id in self._sent:
            before.update(itertools.takewhile(lambda one: one != run_id, self._sent))
        for name in before & self.runs.keys():
            self.runs[name].ended = True
        self.runs[run_id].ended = False
        self._counted_run = run_id

    def shown_picture(self, now_s: float) -> Picture | None:
        """The newest picture whose cells are known; the newest of all where cells do not come."""
        if not self.pictures:
            return None
        last = self.pictures[-1]
        for picture in reversed(self.pictures):
            if now_s - picture.heard_s > CELLS_WAIT_S and last.heard_s - picture.heard_s > CELLS_WAIT_S:
                break
            if (picture.run_id, picture.sequence) in self.tracks:
                return picture
        return last

    def picture(self, run_id: str, sequence: int) -> Picture | None:
        """A picture that is still kept."""
        found = (one for one in self.pictures if (one.run_id, one.sequence) == (run_id, sequence))
        return next(found, None)

    def patience_s(self) -> float:
        """How long this camera may say nothing before it is stale."""
        times = list(self.arrivals_s)
        gaps = [after - before for before, after in itertools.pairwise(times)]
        return max(STALE_S, STALE_INTERVALS * median(gaps)) if gaps else STALE_S

    def heard_s(self) -> float | None:
        """When the last frame came; of a camera whose frames nobody reads, when the last count came."""
        return self.arrivals_s[-1] if self.arrivals_s else (self.counted_s or None)

    def stale_since_s(self, now_s: float) -> float | None:
        """Since when no frame has come; None while the camera is alive."""
        heard = self.heard_s()
        return heard if heard is not None and now_s - heard > self.patience_s() else None

    def uncounted_since_s(self, now_s: float) -> float | None:
        """Since when frames come and none is counted; None while all is well, or the camera itself is stale."""
        if not self.arrivals_s or self.stale_since_s(now_s) is not None:
            return None
        since = self.counted_s or self.arrivals_s[0]
        return since if now_s - since > self.patience_s() else None


def _key(rule: str, raised_at_ns: int) -> str:
    return f"{rule}/{raised_at_ns}"


def newest(kept: dict[str, T], key: str, made: T, most: int) -> T:
    """The value of a key, `made` where it is new; beyond `most`, the oldest keys are forgotten."""
    value = kept.setdefault(key, made)
    while len(kept) > most:
        del kept[next(iter(kept))]
    return value
