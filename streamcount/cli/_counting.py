"""Counting files without a broker: read and detect on threads; follow, write and draw in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from streamcount.cli._inputs import Recording, Shot
from streamcount.cli._tables import Tally
from streamcount.detection import Detector
from streamcount.errors import FrameError, SourceError
from streamcount.pipeline import Pipeline, PipelineState, StepResult
from streamcount.sinks.ctc import CtcWriter
from streamcount.sinks.masks import write_mask
from streamcount.sinks.overlay import write_overlay
from streamcount.sinks.results import ResultWriter, confirmed_ids, result_line
from streamcount.sources.recording import FILE_CAMERA_ID
from streamcount.types import AnyEvent, Detections, Frame, FramesMissing, WindowClosed


@dataclass(frozen=True)
class Outputs:
    """Where results go besides the table; None for nowhere."""

    results: ResultWriter | None = None
    overlays: Path | None = None
    masks: Path | None = None
    ctc: CtcWriter | None = None

    @property
    def need_labels(self) -> bool:
        """Whether the detector must tell which pixels are whose."""
        return not (self.overlays is None and self.masks is None and self.ctc is None)


@dataclass(frozen=True)
class Seen:
    """A shot after reading and detecting: the frame and its cells, or the error that ended it."""

    shot: Shot
    frame: Frame | None = None
    detections: Detections | None = None
    error: SourceError | FrameError | None = None


@dataclass
class Report:
    """What counting gave: tallies of each run's sources, what could not be read, and windows, each with its run."""

    runs: list[tuple[str, list[Tally]]] = field(default_factory=list)
    errors: list[SourceError | FrameError] = field(default_factory=list)
    windows: list[tuple[str, WindowClosed]] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Frames counted."""
        return sum(tally.frames for _, tallies in self.runs for tally in tallies)


@dataclass(frozen=True)
class _Line:
    """What a line of results is made of."""

    shot: Shot
    detections: Detections
    step: StepResult | None


class FileCounter:
    """Counts recordings one after the other. pipeline: follows the cells of each; None counts frames only."""

    def __init__(self, detector: Detector, pipeline: Pipeline | None, outputs: Outputs, threads: int) -> None:
        self._detector = detector
        self._pipeline = pipeline
        self._outputs = outputs
        self._held: _Line | None = None
        self._threads = threads

    def count(self, recordings: Iterable[Recording], done: Callable[[Seen], None]) -> Report:
        """Count all; `done` is called after each shot, in order. Raises ModelError, ConfigurationError."""
        report = Report()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="detect") as pool:
            for recording in recordings:
                tallies: list[Tally] = []
                report.runs.append((recording.name, tallies))
                follower = None if self._pipeline is None else _Follower(self._pipeline, recording.run_id)
                seen_shots = in_order(pool, self._see, recording.shots(), 2 * self._threads)
                for seen in seen_shots:
                    self._take(seen, follower, tallies, report)
                    done(seen)
                if follower is not None:
                    self._end(follower, report)
        return report

    def _see(self, shot: Shot) -> Seen:
        try:
            frame = shot.load()
            # Without following nobody judges the picture, so it is not measured.
            detect = self._detector.detect if self._pipeline is None else self._pipeline.detect
            detections = detect(frame, labels=self._outputs.need_labels)
        except SourceError as error:
            return Seen(shot, error=error)
        except FrameError as error:
            # A detector does not know the name of the file that it looks at.
            named = FrameError(error.reason, f"{shot.source}: frame {shot.index}: {error}")
            return Seen(shot, error=named)
        return Seen(shot, frame, detections)

    def _take(self, seen: Seen, follower: _Follower | None, tallies: list[Tally], report: Report) -> None:
        shot, detections = seen.shot, seen.detections
        if seen.error is not None or detections is None or seen.frame is None:
            if seen.error is not None:
                report.errors.append(seen.error)
            if follower is not None:
                follower.miss(shot)
            return
        if not tallies or tallies[-1].name != shot.source:
            tallies.append(Tally(shot.source))
        tallies[-1].add(detections.counts(), detections.foreground_fraction)
        step = None if follower is None else follower.follow(detections)
        if step is not None:
            _keep_windows(step, report)
        if follower is not None:
            # A run's cells are told in its last row: those of a row of stills belong to no single file.
            for tally in tallies:
                tally.cells_seen = None
            tallies[-1].cells_seen = follower.cells_seen
        self._write(seen.frame, shot, detections, step)

    def _write(self, frame: Frame, shot: Shot, detections: Detections, step: StepResult | None) -> None:
        outputs = self._outputs
        self._write_line(_Line(shot, detections, step))
        if outputs.ctc is not None and step is not None and step.tracks is not None:
            outputs.ctc.write(shot.sequence, detections, step.tracks)
        if outputs.masks is not None:
            write_mask(outputs.masks, shot.source, shot.index, detections)
        if outputs.overlays is not None:
            ids = [] if step is None else confirmed_ids(len(detections), step.tracks)
            write_overlay(outputs.overlays, shot.source, frame.image, detections, shot.index, ids)

    def _end(self, follower: _Follower, report: Report) -> None:
        """The run is over: what that makes known is told with its last frame."""
        step = follower.finish()
        _keep_windows(step, report)
        if self._held is not None and self._held.step is not None:
            last = msgspec.structs.replace(self._held.step, events=self._held.step.events + step.events)
            self._held = replace(self._held, step=last)
        self._write_line(None)

    def _write_line(self, line: _Line | None) -> None:
        """Writes the line that was held back. Of a followed run this one is held until the next comes, or the end."""
        held, self._held = self._held, line
        if line is not None and line.step is None:
            held, self._held = line, None
        if held is not None and self._outputs.results is not None:
            self._outputs.results.write(
                result_line(held.shot.source, held.shot.index, held.detections, held.step)
            )


def _keep_windows(step: StepResult, report: Report) -> None:
    name = report.runs[-1][0]
    report.windows += [(name, event) for event in step.events if isinstance(event, WindowClosed)]


class _Follower:
    """Follows the cells of one run; its state is made anew for each."""

    def __init__(self, pipeline: Pipeline, run_id: str) -> None:
        self._pipeline = pipeline
        self._run_id = run_id
        self._state: PipelineState = pipeline.initial_state(FILE_CAMERA_ID)
        self._untold: tuple[AnyEvent, ...] = ()

    @property
    def cells_seen(self) -> int:
        """Different cells followed so far."""
        return self._state.cells_seen

    def follow(self, detections: Detections) -> StepResult:
        """The next frame, told together with what was lost before it."""
        self._state, step = self._pipeline.advance(self._state, detections)
        step = msgspec.structs.replace(step, events=self._untold + step.events)
        self._untold = ()
        return step

    def finish(self) -> StepResult:
        """The run is over, told together with what was lost at its end."""
        self._state, step = self._pipeline.finish(self._state)
        return msgspec.structs.replace(step, events=self._untold + step.events)

    def miss(self, shot: Shot) -> None:
        """A frame that cannot be counted."""
        missing = FramesMissing(
            camera_id=FILE_CAMERA_ID,
            run_id=self._run_id,
            sequence=shot.sequence,
            last_sequence=shot.sequence,
            happened_at_ns=shot.time_ns,
            decided_at_ns=shot.time_ns,
            reason="dead-lettered",
        )
        self._state, step = self._pipeline.miss(self._state, missing)
        self._untold += step.events


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Shot], Seen], shots: Iterator[Shot], window: int
) -> Iterator[Seen]:
    """`function` of each shot in order, computed on the pool's threads, at most `window` of them ahead.

    The window bounds how many frames are in memory; the shots themselves are taken in the caller's thread.
    """
    pending: deque[Future[Seen]] = deque()
    try:
        for shot in shots:
            pending.append(pool.submit(function, shot))
            if len(pending) >= window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
