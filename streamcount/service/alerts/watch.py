"""Which cameras are silent or late: rules over what was heard and when, without Kafka and without a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from streamcount.alerts import AlertRule, LatencyRule, SilentRule
from streamcount.types import AlertCleared, AlertRaised, CameraStalled, CountsUpdated, FramesMissing

# What alerts of this process have for `figure`; by it they are known again.
SILENCE, LATENCY = "silence_s", "latency_s"
SECOND_NS = 1_000_000_000

Heard: TypeAlias = CountsUpdated | FramesMissing
Told: TypeAlias = CameraStalled | AlertRaised | AlertCleared


@dataclass
class _Camera:
    """partition: of Kafka. last, heard_s: the newest word of it, and when that came. late_since_s: by rule."""

    partition: int
    last: Heard
    heard_s: float
    late_since_s: dict[str, float] = field(default_factory=dict)


class CameraWatch:
    """All cameras that were heard of. Seconds are of any clock that never steps, but the same in all calls.

    What it would raise again after a restart is told to it by `recall`.
    """

    def __init__(self, rules: Mapping[str, AlertRule]) -> None:
        self._silent = {name: rule for name, rule in rules.items() if isinstance(rule, SilentRule)}
        self._latency = {name: rule for name, rule in rules.items() if isinstance(rule, LatencyRule)}
        self._cameras: dict[str, _Camera] = {}
        self._raised: dict[tuple[str, str], AlertRaised] = {}

    @property
    def cameras(self) -> int:
        """How many cameras were heard of."""
        return len(self._cameras)

    def active(self, rule: str) -> int:
        """For how many cameras the rule is raised."""
        return sum(name == rule for _, name in self._raised)

    def partition_of(self, camera_id: str) -> int | None:
        """Where the camera's records are; None where it was not heard of."""
        camera = self._cameras.get(camera_id)
        return None if camera is None else camera.partition

    def recall(self, event: AlertRaised | AlertCleared) -> None:
        """An alert as it was told before, in the order of the topic; those of others count for nothing."""
        key = (event.camera_id, event.rule)
        if isinstance(event, AlertCleared):
            known = self._raised.get(key)
            if known is not None and known.decided_at_ns == event.raised_at_ns:
                del self._raised[key]
        elif event.figure in (SILENCE, LATENCY):
            self._raised[key] = event

    def without_rule(self) -> list[AlertCleared]:
        """Ends of the alerts whose rules are gone. Call it once, after the last `recall`."""
        kinds = {**dict.fromkeys(self._silent, SILENCE), **dict.fromkeys(self._latency, LATENCY)}
        gone = [one for one in self._raised.values() if kinds.get(one.rule) != one.figure]
        return [self._clear(one, one, "the rule is gone") for one in gone]

    def pause(self, seconds: float) -> None:
        """So much time is no silence of any camera: nothing could be heard."""
        for camera in self._cameras.values():
            camera.heard_s += seconds

    def heard(
        self, event: Heard, partition: int, now_s: float, *, live: bool, latency_s: float | None = None
    ) -> list[Told]:
        """A frame was counted, or was told to be missing: either way its camera lives.

        live: it came just now; False for what is read again after a start. latency_s: from capture to count; None
        where nobody knows.
        """
        camera = self._cameras.get(event.camera_id)
        if camera is None:
            camera = self._cameras[event.camera_id] = _Camera(partition, event, now_s)
        elif camera.last.run_id == event.run_id and _number(event) <= _number(camera.last):
            # A worker that was killed tells it again.
            return []
        camera.last, camera.heard_s, camera.partition = event, now_s, partition
        told: list[Told] = [
            self._clear(raised, event, "it sends again")
            for raised in self._active(event.camera_id, SILENCE)
            if live or _is_after(event, raised)
        ]
        if latency_s is not None:
            told += self._judge_latency(camera, latency_s, now_s)
        return told

    def tick(self, now_s: float, waiting_since_s: Mapping[int, float]) -> list[Told]:
        """What has come with time alone.

        waiting_since_s: by partition, since when at least a frame there is not counted. A camera may have sent since
        then, so its silence counts up to then only; and its latency is known to be as long.
        """
        told: list[Told] = []
        for name in sorted(self._cameras):
            camera = self._cameras[name]
            since_s = waiting_since_s.get(camera.partition)
            told += self._judge_silence(name, camera, min(now_s, now_s if since_s is None else since_s))
            # Whether a camera's own frames are among those that wait is not known; if it was sending, they are.
            if since_s is not None:
                told += self._judge_waiting(camera, since_s, now_s)
        return told

    def _judge_silence(self, name: str, camera: _Camera, sure_s: float) -> list[Told]:
        told: list[Told] = []
        for rule_name, rule in sorted(self._silent.items(), key=lambda item: (item[1].after_s, item[0])):
            is_new = (name, rule_name) not in self._raised
            if not is_new or not _is_meant(rule, name) or sure_s - camera.heard_s < rule.after_s:
                continue
            last, after_ns = camera.last, int(rule.after_s * SECOND_NS)
            decided_at_ns = last.decided_at_ns + after_ns
            if not self._active(name, SILENCE):
                told.append(
                    CameraStalled(
                        camera_id=name,
                        run_id=last.run_id,
                        sequence=_number(last),
                        happened_at_ns=last.decided_at_ns,
                        decided_at_ns=decided_at_ns,
                        silent_for_ns=after_ns,
                    )
                )
            raised = AlertRaised(
                camera_id=name,
                run_id=last.run_id,
                sequence=_number(last),
                happened_at_ns=last.decided_at_ns,
                decided_at_ns=decided_at_ns,
                rule=rule_name,
                reason=f"no frame for {rule.after_s:g} s",
                severity=rule.severity,
                figure=SILENCE,
                value=rule.after_s,
                limit=rule.after_s,
                since_ns=last.decided_at_ns,
            )
            told.append(self._raise(raised))
        return told

    def _judge_waiting(self, camera: _Camera, since_s: float, now_s: float) -> list[Told]:
        told: list[Told] = []
        for name, rule in self._latency.items():
            if now_s - since_s > rule.above_s and since_s - camera.heard_s <= rule.above_s:
                told += self._late(name, rule, camera, now_s - since_s, now_s)
        return told

    def _judge_latency(self, camera: _Camera, latency_s: float, now_s: float) -> list[Told]:
        told: list[Told] = []
        for name, rule in sorted(self._latency.items()):
            if latency_s > rule.above_s:
                told += self._late(name, rule, camera, latency_s, now_s)
                continue
            camera.late_since_s.pop(name, None)
            raised = self._raised.get((camera.last.camera_id, name))
            if raised is not None and raised.figure == LATENCY:
                told.append(self._clear(raised, camera.last, f"frames are counted after {latency_s:.1f} s"))
        return told

    def _late(
        self, name: str, rule: LatencyRule, camera: _Camera, latency_s: float, now_s: float
    ) -> list[Told]:
        last = camera.last
        since_s = camera.late_since_s.setdefault(name, now_s)
        is_new = (last.camera_id, name) not in self._raised
        if not is_new or not _is_meant(rule, last.camera_id) or now_s - since_s < rule.for_s:
            return []
        raised = AlertRaised(
            camera_id=last.camera_id,
            run_id=last.run_id,
            sequence=_number(last),
            happened_at_ns=last.decided_at_ns,
            decided_at_ns=last.decided_at_ns,
            rule=name,
            reason=f"frames are counted after {latency_s:.1f} s, above {rule.above_s:g} s",
            severity=rule.severity,
            figure=LATENCY,
            value=round(latency_s, 3),
            limit=rule.above_s,
            since_ns=max(last.decided_at_ns - int((now_s - since_s) * SECOND_NS), 0),
        )
        return [self._raise(raised)]

    def _active(self, camera_id: str, figure: str) -> list[AlertRaised]:
        return [
            one for (camera, _), one in self._raised.items() if camera == camera_id and one.figure == figure
        ]

    def _raise(self, raised: AlertRaised) -> AlertRaised:
        self._raised[raised.camera_id, raised.rule] = raised
        return raised

    def _clear(self, raised: AlertRaised, at: Heard | AlertRaised, reason: str) -> AlertCleared:
        del self._raised[raised.camera_id, raised.rule]
        return AlertCleared(
            camera_id=raised.camera_id,
            run_id=at.run_id,
            sequence=_number(at),
            happened_at_ns=at.decided_at_ns,
            decided_at_ns=at.decided_at_ns,
            rule=raised.rule,
            raised_at_ns=raised.decided_at_ns,
            reason=reason,
        )


def _number(event: Heard | AlertRaised) -> int:
    return event.last_sequence if isinstance(event, FramesMissing) else event.sequence


def _is_after(event: Heard, raised: AlertRaised) -> bool:
    if event.run_id == raised.run_id:
        return _number(event) > raised.sequence
    return event.decided_at_ns > raised.happened_at_ns


def _is_meant(rule: SilentRule | LatencyRule, camera_id: str) -> bool:
    return not rule.cameras or camera_id in rule.cameras
