"""What the page and its API say of a camera: plain values, made in one look at the model."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from streamcount.service.dashboard.accounting import Account, RunFrames
from streamcount.service.dashboard.camera import STALE_S, CameraLive, CountPoint, LastWord
from streamcount.types import AnyEvent

SPARKLINE_POINTS = 120
# A frame's fate comes on several topics, which are read one after the other: for so long a difference is no fault.
DIFFERENCE_S = 3.0


class CameraSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One camera, now. Times are RFC 3339 in UTC, null where there is none.

    state: "live", "stale" (no frame comes, since `since`), "not-counted" (frames come, no counts, since `since`),
    "unheard" (it is configured, and nothing was heard since this page began at `since`, nor is kept of before) or
    "unknown" (nothing was heard yet). A camera that was silent since the page began is told as it was last counted,
    where the store or Kafka knows. age_ms: of the newest counted picture, from its capture to now.
    latency_ms: median from capture to the page over five seconds. account: of the run that is on.
    difference_lasts: it is no matter of reading order. unaccounted_before: frames of the runs before of which nobody
    has said anything. last_dead_letter: why the newest could not be counted, "" where there is none.
    """

    camera_id: str
    run_id: str
    state: str
    since: str | None
    sequence: int
    total: int
    counts: dict[str, int]
    cells_seen: int
    rate_hz: float
    latency_ms: float | None
    age_ms: float | None
    quality: tuple[str, ...]
    quality_why: str
    alerts: tuple[str, ...]
    severity: str
    account: Account | None
    difference_lasts: bool
    unaccounted_before: int
    dead_letters: int
    last_dead_letter: str
    sparkline: list[int]


def summary(camera: CameraLive, now_s: float, now_ns: int) -> CameraSummary:
    """The camera as it is now. now_s: the feed's monotonic clock; now_ns: wall time."""
    state, since_s = state_of(camera, now_s, now_ns)
    frames = camera.runs.get(camera.view.run_id)
    account = frames.account() if frames else None
    last: CountPoint | LastWord | None = camera.last_word if camera.heard_s() is None else None
    if camera.counts:
        last = camera.counts[-1]
    picture = camera.pictures[-1] if camera.pictures else None
    latency = camera.view.latency_ms(now_s)
    alerts = camera.active_alerts
    return CameraSummary(
        camera_id=camera.camera_id,
        run_id=camera.view.run_id or (last.run_id if last else ""),
        state=state,
        since=None if since_s is None else rfc3339(now_ns - int((now_s - since_s) * 1e9)),
        sequence=last.sequence if last and not camera.view.run_id else camera.view.sequence,
        total=last.total if last else 0,
        counts=dict(last.counts) if last else {},
        cells_seen=camera.view.cells_seen,
        rate_hz=round(camera.view.rate_hz(now_s), 2),
        latency_ms=None if latency is None else round(latency, 1),
        age_ms=None if picture is None else round(now_ns / 1e6 - picture.captured_at_ms),
        quality=camera.quality,
        quality_why=camera.quality_why,
        alerts=tuple(sorted(alerts)),
        severity=worst([alert.severity for alert in alerts.values()]),
        account=account,
        difference_lasts=frames is not None and difference_lasts(frames, account, now_s),
        unaccounted_before=unaccounted_before(camera, now_s),
        dead_letters=camera.dead_letters_seen,
        last_dead_letter=camera.dead_letters[-1].reason if camera.dead_letters else "",
        sparkline=[point.total for point in list(camera.counts)[-SPARKLINE_POINTS:]],
    )


def state_of(camera: CameraLive, now_s: float, now_ns: int) -> tuple[str, float | None]:
    """(state, since when on the feed's clock), as `CameraSummary` tells it."""
    if camera.heard_s() is None:
        return _unheard(camera, now_s, now_ns)
    stale = camera.stale_since_s(now_s)
    if stale is not None:
        return "stale", stale
    uncounted = camera.uncounted_since_s(now_s)
    if uncounted is not None:
        return "not-counted", uncounted
    return "live", None


def _unheard(camera: CameraLive, now_s: float, now_ns: int) -> tuple[str, float | None]:
    if camera.last_word is not None:
        return "stale", now_s - (now_ns / 1e9 - camera.last_word.at_ms / 1e3)
    # It has just begun: whoever sends is heard in a moment.
    if camera.expected_s is None or now_s - camera.expected_s <= STALE_S:
        return "unknown", None
    return "unheard", camera.expected_s


def difference_lasts(frames: RunFrames, account: Account | None, now_s: float) -> bool:
    """Whether frames are unaccounted for longer than the order of reading explains; notes since when."""
    if account is None or account.difference == 0:
        frames.unaccounted_since_s = None
        return False
    if frames.unaccounted_since_s is None:
        frames.unaccounted_since_s = now_s
    return now_s - frames.unaccounted_since_s >= DIFFERENCE_S


def earlier_runs(camera: CameraLive, now_s: float) -> list[tuple[Account, bool]]:
    """The sums of the runs that are kept beside the one that is on, the last first, and whether differences last."""
    found = []
    for frames in reversed(camera.runs.values()):
        account = frames.account()
        if frames.run_id != camera.view.run_id and account is not None:
            found.append((account, difference_lasts(frames, account, now_s)))
    return found


def unaccounted_before(camera: CameraLive, now_s: float) -> int:
    """Frames of runs before the one that is on of which nobody has said anything."""
    kept = sum(account.difference for account, lasts in earlier_runs(camera, now_s) if lasts)
    return camera.forgotten.difference + kept


def event_row(event: AnyEvent) -> dict[str, Any]:
    """An event as it is on the wire, its id and its time in words beside it."""
    row: dict[str, Any] = msgspec.to_builtins(event)
    row["id"] = event.message_id
    row["at"] = rfc3339(event.happened_at_ns)
    return row


def rfc3339(time_ns: int) -> str:
    """A time in UTC to the millisecond."""
    moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def clocks() -> tuple[float, int]:
    """The two clocks that `summary` wants."""
    return time.monotonic(), time.time_ns()


def worst(severities: list[str]) -> str:
    """The worst of alerts' severities, "" for none."""
    order = ("critical", "warning", "info")
    return next((one for one in order if one in severities), "")
