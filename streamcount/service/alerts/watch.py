"""Which cameras are silent or late: rules over what was heard and when, without Kafka and without a clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from streamcount.alerts import AlertRule, LatencyRule, SilentRule
from streamcount.types import AlertCleared, AlertRaised, CameraStalled, CountsUpdated, FramesMissing

# What alerts of this process have for `figure`; by it they are known again.
SILENCE, LATENCY = "silence_s", "latency_s"
SECOND_NS = 1_000_000_000
# The run_id of the silence of a camera that was never heard; for `sequence` it has the second from which on.
UNHEARD_RUN = "unheard"

Heard: TypeAlias = CountsUpdated | FramesMissing
Told: TypeAlias = CameraStalled | AlertRaised | AlertCleared


@dataclass
class _Camera:
    """partition: of Kafka. last, heard_s: the newest word of it, and when that came; of one that is expected and was
    never heard None, and since when it is listened for. late_since_s: by rule.
    """

    partition: int
    last: Heard | None
    heard_s: float
    late_since_s: dict[str, float] = field(default_factory=dict)


class CameraWatch:
    """All cameras that were heard of or are expected. Seconds are of any clock that never steps, but the same in all
    calls.

    What it would raise again after a restart is told to it by `recall`.
    """

    def __init__(self, rules: Mapping[str, AlertRule]) -> None:
        self._silent = {name: rule for name, rule in rules.items() if isinstance(rule, SilentRule)}
        self._latency = {name: rule for name, rule in rules.items() if isinstance(rule, LatencyRule)}
        self._cameras: dict[str, _Camera] = {}
        self._raised: dict[tuple[str, str], AlertRaised] = {}
        # Of each camera and rule the last alert that was cleared.
        self._ended: dict[tuple[str, str], AlertRaised] = {}
        self._expected_ns = 0
        # Where the alerts of cameras lie, as far as they were told before.
        self._recalled: dict[str, int] = {}

    @property
    def cameras(self) -> int:
        """How many cameras were heard of."""
        return sum(one.last is not None for one in self._cameras.values())

    def active(self, rule: str) -> int:
        """For how many cameras the rule is raised."""
        return sum(name == rule for _, name in self._raised)

    def partition_of(self, camera_id: str) -> int | None:
        """Where the camera's records are; None where nothing was ever told of it, and nobody expects it."""
        camera = self._cameras.get(camera_id)
        return self._recalled.get(camera_id) if camera is None else camera.partition

    def expect(self, cameras: Mapping[str, int], now_s: float, now_ns: int) -> None:
        """Cameras that ought to send, each with its partition: those that never do are silent, too, from now on.

        now_ns: wall time; no frame tells it.
        """
        self._expected_ns = now_ns
        for name, partition in cameras.items():
            self._cameras.setdefault(name, _Camera(partition, None, now_s))

    def recall(self, event: AlertRaised | AlertCleared, partition: int) -> None:
        """An alert as it was told before, in the order of the topic; those of others count for nothing.

        partition: of its record, which is its camera's.
        """
        key = (event.camera_id, event.rule)
        if isinstance(event, AlertCleared):
            known = self._raised.get(key)
            if known is not None and known.decided_at_ns == event.raised_at_ns:
                self._ended[key] = self._raised.pop(key)
        elif event.figure in (SILENCE, LATENCY):
            self._raised[key] = event
            self._recalled[event.camera_id] = partition

    def without_rule(self) -> list[AlertCleared]:
        """Ends of the alerts whose rules are gone, or now name other cameras. Ask once, after all `recall`."""
        rules: dict[str, Mapping[str, SilentRule] | Mapping[str, LatencyRule]] = {
            SILENCE: self._silent,
            LATENCY: self._latency,
        }
        told = []
        for one in list(self._raised.values()):
            rule = rules[one.figure].get(one.rule)
            if rule is None:
                told.append(self._clear(one, one, "the rule is gone"))
            elif not _is_meant(rule, one.camera_id):
                told.append(self._clear(one, one, "the rule no longer names the camera"))
        return told

    def taken_out(self, partitions: Collection[int], *, configured: bool) -> list[AlertCleared]:
        """Ends of the alerts of cameras that were taken out: nobody expects them, and nothing of them is read again.

        Ask once, after all that is read again. partitions: of what that was. configured: whether the settings have
        cameras at all; where they have none, only those that were expected can have been taken out.
        """
        gone = [
            one
            for one in self._raised.values()
            if one.camera_id not in self._cameras
            and self._recalled.get(one.camera_id) in partitions
            and (configured or one.run_id == UNHEARD_RUN)
        ]
        return [self._clear(one, one, "the camera was taken out") for one in gone]

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
        elif _is_repeat(event, camera.last):
            # A worker that was killed tells it again.
            return []
        camera.last, camera.heard_s, camera.partition = event, now_s, partition
        told: list[Told] = [
            self._clear(raised, event, "it sends again")
            for raised in self._active(event.camera_id, SILENCE)
            if live or _is_after(event, raised)
        ]
        if latency_s is not None:
            told += self._judge_latency(event, camera, latency_s, now_s)
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
            if since_s is not None and camera.last is not None:
                told += self._judge_waiting(camera.last, camera, since_s, now_s)
        return told

    def _judge_silence(self, name: str, camera: _Camera, sure_s: float) -> list[Told]:
        told: list[Told] = []
        for rule_name, rule in sorted(self._silent.items(), key=lambda item: (item[1].after_s, item[0])):
            is_new = (name, rule_name) not in self._raised
            if not is_new or not _is_meant(rule, name) or sure_s - camera.heard_s < rule.after_s:
                continue
            run_id, sequence, since_ns = self._last_of(camera)
            after_ns = int(rule.after_s * SECOND_NS)
            never = camera.last is None
            # What never ran has not come to a stop.
            if not never and not self._active(name, SILENCE):
                told.append(
                    CameraStalled(
                        camera_id=name,
                        run_id=run_id,
                        sequence=sequence,
                        happened_at_ns=since_ns,
                        decided_at_ns=since_ns + after_ns,
                        silent_for_ns=after_ns,
                    )
                )
            raised = AlertRaised(
                camera_id=name,
                run_id=run_id,
                sequence=sequence,
                happened_at_ns=since_ns,
                decided_at_ns=since_ns + after_ns,
                rule=rule_name,
                reason=f"no frame for {rule.after_s:g} s{', nor any before' if never else ''}",
                severity=rule.severity,
                figure=SILENCE,
                value=rule.after_s,
                limit=rule.after_s,
                since_ns=since_ns,
            )
            told.append(self._raise(raised))
        return told

    def _last_of(self, camera: _Camera) -> tuple[str, int, int]:
        """(run_id, sequence, ns) of the camera's last frame; of one that was never heard, of when that began."""
        last = camera.last
        if last is None:
            return UNHEARD_RUN, self._expected_ns // SECOND_NS, self._expected_ns
        return last.run_id, _number(last), last.decided_at_ns

    def _judge_waiting(self, last: Heard, camera: _Camera, since_s: float, now_s: float) -> list[Told]:
        told: list[Told] = []
        for name, rule in self._latency.items():
            if now_s - since_s > rule.above_s and since_s - camera.heard_s <= rule.above_s:
                told += self._late(name, rule, (camera, last), now_s - since_s, now_s)
        return told

    def _judge_latency(self, last: Heard, camera: _Camera, latency_s: float, now_s: float) -> list[Told]:
        told: list[Told] = []
        for name, rule in sorted(self._latency.items()):
            if latency_s > rule.above_s:
                told += self._late(name, rule, (camera, last), latency_s, now_s)
                continue
            camera.late_since_s.pop(name, None)
            raised = self._raised.get((last.camera_id, name))
            if raised is not None and raised.figure == LATENCY:
                told.append(self._clear(raised, last, f"frames are counted after {latency_s:.1f} s"))
        return told

    def _late(
        self, name: str, rule: LatencyRule, of: tuple[_Camera, Heard], latency_s: float, now_s: float
    ) -> list[Told]:
        camera, last = of
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
        key = (raised.camera_id, raised.rule)
        ended = self._ended.get(key)
        if ended is not None and (ended.run_id, ended.sequence) == (raised.run_id, raised.sequence):
            # Its rule was taken away and put back while nothing came. Sinks must not take it for the one they have.
            raised = msgspec.structs.replace(
                raised,
                again=ended.again + 1,
                decided_at_ns=max(raised.decided_at_ns, ended.decided_at_ns + 1),
            )
        self._raised[key] = raised
        return raised

    def _clear(self, raised: AlertRaised, at: Heard | AlertRaised, reason: str) -> AlertCleared:
        key = (raised.camera_id, raised.rule)
        self._ended[key] = self._raised.pop(key)
        return AlertCleared(
            camera_id=raised.camera_id,
            run_id=at.run_id,
            sequence=_number(at),
            happened_at_ns=at.decided_at_ns,
            decided_at_ns=at.decided_at_ns,
            rule=raised.rule,
            raised_at_ns=raised.decided_at_ns,
            reason=reason,
            again=raised.again,
        )


def _number(event: Heard | AlertRaised) -> int:
    return event.last_sequence if isinstance(event, FramesMissing) else event.sequence


def _is_repeat(event: Heard, last: Heard | None) -> bool:
    return last is not None and last.run_id == event.run_id and _number(event) <= _number(last)


def _is_after(event: Heard, raised: AlertRaised) -> bool:
    if event.run_id == raised.run_id:
        return _number(event) > raised.sequence
    return event.decided_at_ns > raised.happened_at_ns


def _is_meant(rule: SilentRule | LatencyRule, camera_id: str) -> bool:
    return not rule.cameras or camera_id in rule.cameras
