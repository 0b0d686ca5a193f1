"""What `watch` knows of each camera, and how it shows it; nothing of Kafka."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from streamcount.service.watch_groups import GroupView
from streamcount.types import (
    GROUP_RUN,
    AlertAcknowledged,
    AlertCleared,
    AlertRaised,
    AnyEvent,
    CountsUpdated,
    FramesMissing,
    WindowClosed,
)

if TYPE_CHECKING:
    from rich.table import Table

# Rates and latencies are of the last seconds; a camera silent for so long is marked.
WINDOW_S = 5.0
SILENT_S = 3.0
KEPT_RUNS = 4
# A frame's own time tells how late its count is only where its camera lives now, and is not a recording.
LIVE_NS = 60_000_000_000


@dataclass
class CameraView:
    """One camera, as its counts, events and dead letters show it; times of arrival in s of any one clock."""

    camera_id: str
    run_id: str = ""
    sequence: int = -1
    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0
    cells_seen: int = 0
    quality: tuple[str, ...] = ()
    missing_of_runs: dict[str, tuple[int, int]] = field(default_factory=dict)
    dead_letters: int = 0
    last_reason: str = ""
    alerts: set[str] = field(default_factory=set)
    last_event: str = ""
    last_event_s: float = 0.0
    heard_s: float = 0.0
    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=5000))
    latencies: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=5000))

    def rate_hz(self, now_s: float) -> float:
        """Frames counted a second, over the last seconds."""
        recent = [at for at in self.arrivals_s if now_s - at <= WINDOW_S]
        if len(recent) < 2:
            return 0.0
        # A camera that has just begun is not to look slow; one that has stopped is to fall.
        return (len(recent) - 1) / max(now_s - recent[0], 1e-3)

    def latency_ms(self, now_s: float) -> float | None:
        """Median time from capture to here over the last seconds; None where it cannot be known."""
        recent = [latency for at, latency in self.latencies if now_s - at <= WINDOW_S]
        return median(recent) if recent else None

    @property
    def missing(self) -> int:
        """Frames of this run that are told as missing."""
        return self.missing_of_runs.get(self.run_id, (0, -1))[0]

    def missed(self, event: FramesMissing) -> None:
        """Counts frames that are missing, each once however often it is told."""
        frames, until = self.missing_of_runs.get(event.run_id, (0, -1))
        frames += max(0, event.last_sequence - max(event.sequence - 1, until))
        self.missing_of_runs[event.run_id] = frames, max(until, event.last_sequence)
        while len(self.missing_of_runs) > KEPT_RUNS:
            del self.missing_of_runs[next(iter(self.missing_of_runs))]

    def silent_s(self, now_s: float) -> float:
        """Seconds since the last word of it."""
        return now_s - self.heard_s


class WatchState:
    """All cameras and groups that were heard of. Not safe for threads: the caller holds a lock."""

    def __init__(self) -> None:
        self.cameras: dict[str, CameraView] = {}
        self.groups: dict[str, GroupView] = {}

    def apply(self, event: AnyEvent, captured_at_ms: int | None, now_s: float, now_ns: int) -> None:
        """Takes in an event. A repeated one changes nothing but the sign of life.

        captured_at_ms: the record's timestamp, where a producer set it; None where the broker did.
        """
        if event.run_id == GROUP_RUN:
            self.groups.setdefault(event.camera_id, GroupView(event.camera_id)).apply(event)
            return
        if isinstance(event, WindowClosed):
            # A camera's figures: what is shown of a camera is of its newest frame.
            return
        view = self._view(event.camera_id, now_s)
        match event:
            case CountsUpdated():
                self._counted(view, event, captured_at_ms, now_s, now_ns)
            case FramesMissing():
                view.missed(event)
                self._happened(
                    view, f"FramesMissing {event.sequence}-{event.last_sequence} ({event.reason})", now_s
                )
            case AlertRaised():
                view.alerts.add(event.rule)
                self._happened(view, f"AlertRaised {event.rule}: {event.reason}", now_s)
            case AlertCleared():
                view.alerts.discard(event.rule)
                self._happened(view, f"AlertCleared {event.rule}", now_s)
            case AlertAcknowledged():
                self._happened(view, f"AlertAcknowledged {event.rule} by {event.who}", now_s)
            case _:
                self._happened(view, " ".join(part for part in (event.kind, event.subject()) if part), now_s)

    def dead_letter(self, camera_id: str, reason: str, now_s: float) -> None:
        """Takes in a frame that could not be counted."""
        view = self._view(camera_id, now_s)
        view.dead_letters += 1
        view.last_reason = reason

    def _view(self, camera_id: str, now_s: float) -> CameraView:
        view = self.cameras.setdefault(camera_id, CameraView(camera_id))
        view.heard_s = now_s
        return view

    @staticmethod
    def _counted(
        view: CameraView, event: CountsUpdated, captured_at_ms: int | None, now_s: float, now_ns: int
    ) -> None:
        # Only counts tell which run is on: events of the one before may come after the new one has begun.
        if event.run_id == view.run_id and event.sequence <= view.sequence:
            return
        view.run_id, view.sequence = event.run_id, event.sequence
        view.counts, view.total, view.cells_seen = event.counts, event.total, event.cells_seen
        view.quality = event.quality
        view.arrivals_s.append(now_s)
        if captured_at_ms is None and abs(now_ns - event.happened_at_ns) < LIVE_NS:
            captured_at_ms = event.happened_at_ns // 1_000_000
        if captured_at_ms is not None:
            view.latencies.append((now_s, now_ns / 1e6 - captured_at_ms))

    @staticmethod
    def _happened(view: CameraView, what: str, now_s: float) -> None:
        view.last_event, view.last_event_s = what, now_s


def as_table(cameras: Sequence[CameraView], now_s: float, caption: str) -> Table:
    """One row a camera."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="streamcount", caption=escape(caption), caption_justify="left", expand=True)
    for name, justify in (
        ("camera", "left"),
        ("frames/s", "right"),
        ("cells", "right"),
        ("by class", "left"),
        ("seen", "right"),
        ("latency", "right"),
        ("missing", "right"),
        ("dead", "right"),
        ("last event", "left"),
    ):
        # Numbers and their headings stay whole on a narrow screen; words are folded.
        number = justify == "right"
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for view in cameras:
        silent = view.silent_s(now_s) > SILENT_S
        name = f"[bold]{escape(view.camera_id)}[/]\n[dim]{escape(view.run_id)}[/]"
        if silent:
            name += f"\n[red]silent for {view.silent_s(now_s):.0f} s[/]"
        latency = view.latency_ms(now_s)
        missing = f"[yellow]{view.missing}[/]" if view.missing else "0"
        dead = f"[red]{view.dead_letters}[/] {escape(view.last_reason)}" if view.dead_letters else "0"
        table.add_row(
            name,
            f"{view.rate_hz(now_s):.1f}",
            str(view.total),
            escape(_by_class(view)),
            str(view.cells_seen),
            "" if latency is None else f"{latency:.0f} ms",
            missing,
            dead,
            escape(_last_event(view, now_s)),
            style="dim" if silent else "",
        )
    if not cameras:
        table.add_row("[dim]nothing counted yet[/]", *[""] * 8)
    return table


def as_line(view: CameraView, now_s: float, lag: int | None) -> str:
    """One camera on one line, for a log."""
    latency = view.latency_ms(now_s)
    parts = [
        f"{view.camera_id} run {view.run_id or '-'}",
        f"{view.rate_hz(now_s):.1f} frames/s",
        f"cells {view.total}" + (f" ({_by_class(view)})" if view.counts else ""),
        f"seen {view.cells_seen}",
        f"latency {'-' if latency is None else f'{latency:.0f} ms'}",
        f"missing {view.missing}",
        f"dead letters {view.dead_letters}",
        f"lag {'-' if lag is None else lag}",
    ]
    if view.last_event:
        parts.append(f"last {_last_event(view, now_s)}")
    if view.silent_s(now_s) > SILENT_S:
        parts.append(f"SILENT for {view.silent_s(now_s):.0f} s")
    return "; ".join(parts)


def _by_class(view: CameraView) -> str:
    return ", ".join(f"{name} {count}" for name, count in view.counts.items())


def _last_event(view: CameraView, now_s: float) -> str:
    if view.alerts:
        return f"ALERT {', '.join(sorted(view.alerts))}"
    return f"{view.last_event}, {now_s - view.last_event_s:.0f} s ago" if view.last_event else ""
