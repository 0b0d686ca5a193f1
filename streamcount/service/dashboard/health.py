"""Whether what is shown can be trusted: frames accounted for, workers, models, latencies, dead letters."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from streamcount.service.dashboard.accounting import Account, Forgotten
from streamcount.service.dashboard.camera import CameraLive, DeadLetterNote
from streamcount.service.dashboard.cells import model_identity
from streamcount.service.dashboard.views import CameraSummary, earlier_runs, summary
from streamcount.service.workers import Member
from streamcount.sinks.store.questions import Answer
from streamcount.types import ModelIdentity

# Upper ends of the histogram's bins, ms; what is above the last is in one more.
LATENCY_BINS_MS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
LATENCY_WINDOW_S = 300.0


class LatencyBin(msgspec.Struct, frozen=True, kw_only=True):
    """Frames whose time from capture to the page was above the bin before and at most to_ms; null: above all."""

    to_ms: int | None
    frames: int


class EarlierRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run beside the one that is on, ended or not counted yet. difference_lasts: as of `CameraSummary`."""

    account: Account
    difference_lasts: bool


class CameraHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One camera, and which of its frames could not be counted.

    earlier: runs beside the one that is on, the last first. forgotten: the sum of those that are no longer kept.
    model: of the newest detections; null where none was heard. latencies: of the last five minutes, at most of 5,000
    frames; empty where none is known.
    """

    camera_id: str
    summary: CameraSummary
    earlier: list[EarlierRun]
    forgotten: Forgotten
    model: ModelIdentity | None
    latencies: list[LatencyBin]
    dead_letters: list[DeadLetterNote]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what is shown can be trusted. trouble: what is wrong with Kafka, or "". lag: frames not committed.

    workers: the members of the workers' consumer group; null while nobody knows. workers_state: the group's.
    """

    kafka: str
    trouble: str
    lag: int | None
    unreadable_records: int
    workers: list[Member] | None
    workers_state: str
    cameras: list[CameraHealth]


def camera_health(camera: CameraLive, now_s: float, now_ns: int) -> CameraHealth:
    """The camera as it is now. now_s: the feed's monotonic clock; now_ns: wall time."""
    newest = next(reversed(camera.detections.values()), None)
    return CameraHealth(
        camera_id=camera.camera_id,
        summary=summary(camera, now_s, now_ns),
        earlier=[
            EarlierRun(account=account, difference_lasts=lasts)
            for account, lasts in earlier_runs(camera, now_s)
        ],
        forgotten=camera.forgotten,
        model=None if newest is None else model_identity(newest),
        latencies=histogram([ms for at_s, ms in camera.view.latencies if now_s - at_s <= LATENCY_WINDOW_S]),
        dead_letters=list(camera.dead_letters),
    )


def latency_table(cameras: Iterable[CameraHealth]) -> Answer:
    """The histograms as rows: frames whose latency is above over_ms and at most to_ms, which is None for the last."""
    rows = [
        (one.camera_id, over_ms, each.to_ms, each.frames)
        for one in cameras
        for over_ms, each in zip((0, *LATENCY_BINS_MS), one.latencies, strict=False)
    ]
    return Answer(("camera", "over_ms", "to_ms", "frames"), tuple(rows))


def histogram(latencies_ms: list[float]) -> list[LatencyBin]:
    """How many latencies lie in each bin; none at all where there is no latency."""
    if not latencies_ms:
        return []
    frames = [0] * (len(LATENCY_BINS_MS) + 1)
    for latency_ms in latencies_ms:
        frames[bisect_left(LATENCY_BINS_MS, latency_ms)] += 1
    return [
        LatencyBin(to_ms=to_ms, frames=n) for to_ms, n in zip((*LATENCY_BINS_MS, None), frames, strict=True)
    ]
