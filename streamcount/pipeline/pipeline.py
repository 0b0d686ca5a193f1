"""Counting as a fold: state and frame in, state and events out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from streamcount.alerts import AlertRule, evaluate
from streamcount.detection.base import Detector
from streamcount.detection.features import described
from streamcount.errors import StreamcountError
from streamcount.events import EventsConfig, cell_events
from streamcount.events.places import CellsAround, PlacesConfig, PlacesMap, place_events, places_map
from streamcount.pipeline.stage import stage_shift
from streamcount.pipeline.state import REMEMBERED_RUNS, SKIPPED, PipelineState, RunPosition, StepResult
from streamcount.pipeline.surroundings import surroundings
from streamcount.quality import QualityConfig, QualityState, judge, measurable, measure
from streamcount.tracking import Tracker
from streamcount.types import (
    AnyEvent,
    CellAppeared,
    CountsUpdated,
    Detections,
    Frame,
    FramesMissing,
    RunStarted,
    Tracks,
    TrackStatus,
    WindowClosed,
)
from streamcount.types.halves import halved
from streamcount.windows import Seen, WindowsSetup, end_run, lose, observe

# What a detector says of a frame in which it found none. The judge of pictures says so of a field that is empty.
NO_CELL = "empty"


class Pipeline:
    """Detects, follows and tells. Holds settings only; all memory is in the state that is handed in and out.

    Frames that were counted before, or come from a run that a later one replaced, are skipped. A camera has
    one run at a time: the first frame (or declared loss) of another run gives up the tracks of the old one,
    without events about their cells, of which nothing is known; RunStarted says so.
    """

    def __init__(
        self,
        detector: Detector,
        tracker: Tracker,
        events: EventsConfig | None = None,
        quality: QualityConfig | None = None,
        windows: WindowsSetup | None = None,
        rules: Mapping[str, AlertRule] | None = None,
        places: PlacesMap | None = None,
    ) -> None:
        self.detector = detector
        self.tracker = tracker
        self.events = events or EventsConfig()
        self.quality = quality or QualityConfig()
        self.windows = windows or WindowsSetup()
        self.rules = rules or {}
        self.places = places or places_map(PlacesConfig())

    def initial_state(self, camera_id: str = "") -> PipelineState:
        """Before the camera's first frame; without a name, the state becomes that of the first frame's camera."""
        return PipelineState(camera_id=camera_id, tracker=self.tracker.initial_state())

    def resumed_state(self, camera_id: str, position: RunPosition) -> PipelineState:
        """Behind the last frame of a state that cannot be read, with nothing remembered of the cells in view.

        Frames that were counted are not counted again nor told as missing, ids are not given twice, and alerts that
        are raised can be cleared; cells that are in view get new ids.
        """
        tracker = msgspec.structs.replace(
            self.tracker.initial_state(), next_track_id=position.tracker.next_track_id
        )
        told = {name: getattr(position, name) for name in RunPosition.__struct_fields__ if name != "tracker"}
        return PipelineState(camera_id=camera_id, tracker=tracker, **told)

    def detect(self, frame: Frame, labels: bool = False, outlines: bool = False) -> Detections:
        """The cells of a frame, and how good it is as a picture. Stateless and expensive.

        labels, outlines: see Detector.detect; nothing that follows depends on them. A frame too small to be measured
        has no `picture`. Raises FrameError, ModelError.
        """
        found = self.detector.detect(frame, labels=labels, outlines=outlines)
        if not measurable(frame.image):
            return described(found, frame.image)
        half = halved(frame.image)
        found = described(found, frame.image, half)
        return msgspec.structs.replace(found, picture=measure(frame.image, half))

    def step(self, state: PipelineState, frame: Frame) -> tuple[PipelineState, StepResult]:
        """advance(state, detect(frame))."""
        return self.advance(state, self.detect(frame))

    def advance(self, state: PipelineState, detections: Detections) -> tuple[PipelineState, StepResult]:
        """Follow the cells into the next frame. Cheap, and the only way that state changes besides `miss`.

        A hole before the frame is told as FramesMissing ("not-received"); the first frame of a run is
        expected to be number 0. Raises StreamcountError for another camera's detections.
        """
        meta = detections.metadata
        state = _of_camera(state, meta.camera_id)
        if not is_news(state, meta.run_id, meta.sequence):
            return state, SKIPPED
        state, events = self._in_run(state, meta.run_id, meta.sequence, meta.acquired_at_ns)
        hole = meta.sequence - state.last_sequence - 1
        if hole:
            events.append(_hole(state, meta.sequence - 1, meta.acquired_at_ns))
        tracker, tracks = self.tracker.update(state.tracker, detections, state.missed_frames + hole)
        first_sequence = meta.sequence if state.first_sequence < 0 else state.first_sequence
        quality, flags, turned = self._judged(state, detections, tracks)
        cells, told = cell_events(
            state.cells,
            tracks,
            detections.model,
            first_sequence,
            self.events,
            msgspec.structs.replace(detections, quality=flags),
        )
        events.extend(told)
        around = CellsAround(state.cells, cells)
        found = self.places.zones_of(detections.centroids_px, detections.boxes_px)
        places, moved, inside = place_events(
            state.places, tracks, around, detections.model, self.places, found
        )
        events.extend(moved)
        events.extend(turned)
        state = msgspec.structs.replace(
            state,
            tracker=tracker,
            cells=cells,
            places=places,
            quality=quality,
            last_sequence=meta.sequence,
            last_acquired_at_ns=meta.acquired_at_ns,
            latest_acquired_at_ns=max(state.latest_acquired_at_ns, meta.acquired_at_ns),
            first_sequence=first_sequence,
            missed_frames=0,
            cells_seen=state.cells_seen + sum(isinstance(event, CellAppeared) for event in told),
        )
        events.append(_counts(state, detections, tracks, flags))
        where = surroundings(self.places, detections, found, inside, events)
        seen = Seen(detections, tracks, tuple(events), flagged=_is_faulty(quality, flags), surroundings=where)
        state, closed = self._windowed(state, seen)
        events.extend(closed)
        return state, StepResult(detections=detections, tracks=tracks, events=_with_unique_ids(events))

    def miss(self, state: PipelineState, missing: FramesMissing) -> tuple[PipelineState, StepResult]:
        """Account for frames that will never come: dropped by the camera, or dead-lettered.

        Told once: what was accounted for before is clipped away, and nothing left means skipped. Frames
        between the last one accounted for and this loss are told as a hole of their own. The tracker hears
        of it with the next frame. Raises StreamcountError for another camera's loss.
        """
        state = _of_camera(state, missing.camera_id)
        if missing.last_sequence < missing.sequence or not is_news(
            state, missing.run_id, missing.last_sequence
        ):
            return state, SKIPPED
        state, events = self._in_run(state, missing.run_id, missing.sequence, missing.happened_at_ns)
        losses, spans = list[FramesMissing](), list[FramesMissing]()
        if missing.sequence > state.last_sequence + 1:
            losses.append(_hole(state, missing.sequence - 1, missing.decided_at_ns))
            # It was over when the declared loss began.
            spans.append(msgspec.structs.replace(losses[0], decided_at_ns=missing.happened_at_ns))
        first = max(missing.sequence, state.last_sequence + 1)
        losses.append(msgspec.structs.replace(missing, sequence=first))
        events.extend(losses)
        for loss in (*spans, losses[-1]):
            windows, closed = lose(state.windows, loss, self.windows)
            state, told = self._alerted(msgspec.structs.replace(state, windows=windows), closed)
            events.extend(told)
        state = msgspec.structs.replace(
            state,
            last_sequence=missing.last_sequence,
            last_acquired_at_ns=missing.decided_at_ns,
            latest_acquired_at_ns=max(state.latest_acquired_at_ns, missing.decided_at_ns),
            missed_frames=state.missed_frames + missing.last_sequence - state.last_sequence,
        )
        return state, StepResult(events=_with_unique_ids(events))

    def finish(self, state: PipelineState) -> tuple[PipelineState, StepResult]:
        """The run is over, and takes no more frames: its open windows are told. For recordings, which have an end."""
        state, told = self._run_closed(state)
        return state, StepResult(events=told)

    def _run_closed(self, state: PipelineState) -> tuple[PipelineState, tuple[AnyEvent, ...]]:
        windows, closed = end_run(state.windows, self.windows, state.camera_id, state.run_id)
        return self._alerted(msgspec.structs.replace(state, windows=windows), closed)

    def _windowed(self, state: PipelineState, seen: Seen) -> tuple[PipelineState, tuple[AnyEvent, ...]]:
        windows, closed = observe(state.windows, seen, self.windows)
        return self._alerted(msgspec.structs.replace(state, windows=windows), closed)

    def _alerted(
        self, state: PipelineState, closed: Iterable[WindowClosed]
    ) -> tuple[PipelineState, tuple[AnyEvent, ...]]:
        """The state after these windows, the windows, and the alerts that each of them raised or cleared."""
        alerts, told = state.alerts, list[AnyEvent]()
        for window in closed:
            alerts, changes = evaluate(alerts, window, self.rules)
            told += [window, *changes]
        return msgspec.structs.replace(state, alerts=alerts), tuple(told)

    def _judged(
        self, state: PipelineState, detections: Detections, tracks: Tracks
    ) -> tuple[QualityState, tuple[str, ...], tuple[AnyEvent, ...]]:
        """The state, what is wrong with the frame (the detector's word included), and the event if that changed."""
        if detections.picture is None:
            return state.quality, detections.quality, ()
        quality, flags, change = judge(
            state.quality,
            detections.metadata,
            detections.picture,
            self.quality,
            cells=len(detections),
            foreground_fraction=detections.foreground_fraction,
            shift=stage_shift(state.tracker, tracks, detections),
        )
        flags = tuple(dict.fromkeys((*detections.quality, *flags)))
        return quality, flags, () if change is None else (change,)

    def _in_run(
        self, state: PipelineState, run_id: str, sequence: int, at_ns: int
    ) -> tuple[PipelineState, list[AnyEvent]]:
        """The state within the run whose frame or loss this is; where it replaces one, what that leaves is told."""
        if run_id == state.run_id:
            return state, []
        state, left = self._run_closed(state)
        finished = (*state.finished_runs, state.run_id) if state.run_id else state.finished_runs
        begun = PipelineState(
            camera_id=state.camera_id,
            tracker=self.tracker.initial_state(),
            run_id=run_id,
            alerts=state.alerts,
            finished_runs=finished[-REMEMBERED_RUNS:],
            runs_begun=state.runs_begun + 1,
        )
        if not state.run_id:
            return begun, []
        told = RunStarted(
            camera_id=state.camera_id,
            run_id=run_id,
            sequence=sequence,
            happened_at_ns=at_ns,
            decided_at_ns=at_ns,
            previous_run_id=state.run_id,
        )
        return begun, [*left, told]


def _is_faulty(quality: QualityState, flags: tuple[str, ...]) -> bool:
    """Whether anything is wrong with a frame: that its detector found no cell is a count like any other."""
    return any(flag != NO_CELL or flag in quality.flags for flag in flags)


def _of_camera(state: PipelineState, camera_id: str) -> PipelineState:
    if not state.camera_id:
        return msgspec.structs.replace(state, camera_id=camera_id)
    if camera_id != state.camera_id:
        raise StreamcountError(
            f"the state of camera {state.camera_id!r} was given a frame of {camera_id!r}; "
            "keep one state for each camera"
        )
    return state


def is_news(state: PipelineState, run_id: str, sequence: int) -> bool:
    """Whether this frame of the state's camera is neither accounted for nor of a run that is over."""
    if run_id == state.run_id:
        return sequence > state.last_sequence
    return run_id not in state.finished_runs


def _hole(state: PipelineState, last_sequence: int, known_at_ns: int) -> FramesMissing:
    """Frames from the last one accounted for up to `last_sequence` that nobody gave a reason for."""
    began_ns = state.last_acquired_at_ns if state.last_sequence >= 0 else known_at_ns
    return FramesMissing(
        camera_id=state.camera_id,
        run_id=state.run_id,
        sequence=state.last_sequence + 1,
        happened_at_ns=began_ns,
        decided_at_ns=known_at_ns,
        last_sequence=last_sequence,
        reason="not-received",
    )


def _counts(
    state: PipelineState, detections: Detections, tracks: Tracks, flags: tuple[str, ...]
) -> CountsUpdated:
    meta = detections.metadata
    return CountsUpdated(
        camera_id=meta.camera_id,
        run_id=meta.run_id,
        sequence=meta.sequence,
        happened_at_ns=meta.acquired_at_ns,
        decided_at_ns=meta.acquired_at_ns,
        counts=detections.counts(),
        total=len(detections),
        confirmed_tracks=int((tracks.status == TrackStatus.CONFIRMED).sum()),
        cells_seen=state.cells_seen,
        quality=flags,
    )


def _with_unique_ids(events: Sequence[AnyEvent]) -> tuple[AnyEvent, ...]:
    """The events, after making sure that a sink which drops what it has would drop none of them."""
    numbers = Counter(event.message_id for event in events)
    if len(numbers) != len(events):
        doubled = next(name for name, number in numbers.items() if number > 1)
        raise StreamcountError(
            f"two events of one step have the id {doubled}; report it as a fault of the events"
        )
    return tuple(events)
