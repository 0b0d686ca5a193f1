"""Alerts as somebody looks into one: its rule, its figures, who has seen it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from streamcount.config import Settings
from streamcount.config.explain import to_toml
from streamcount.errors import SourceError
from streamcount.service.alerts.watch import UNHEARD_RUN
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.camera import CameraLive, Place
from streamcount.service.dashboard.cells import Cells, cells_of
from streamcount.service.dashboard.on_demand import clock_back_ms
from streamcount.service.dashboard.pictures import scaled_jpeg
from streamcount.service.dashboard.views import event_row
from streamcount.types import GROUP_RUN, AlertAcknowledged, AlertCleared, AlertRaised, WindowClosed

LONGEST_NAME, LONGEST_REMARK = 80, 1000


class AlertDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One alert.

    alert: its event, with `cleared` and `acknowledged` as the list of alerts has them. rule: as this page's settings
    have it now, TOML; "" where they have none of that name. windows: final ones that closed with the alert's frame,
    as far as they are still kept.
    """

    alert: dict[str, Any]
    rule: str
    windows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Known:
    """An alert that is still kept. place: of its record; None where the store alone knows the alert."""

    raised: AlertRaised
    cleared: AlertCleared | None
    acknowledged: tuple[AlertAcknowledged, ...]
    place: Place | None


def find_alert(dashboard: Dashboard, alert_id: str) -> Known | None:
    """The alert with this id, if it is still kept in memory."""
    camera_id = alert_id.partition("/")[0]
    return dashboard.model.look_any(camera_id, lambda camera: _found(camera, alert_id))


def find_stored(dashboard: Dashboard, alert_id: str) -> Known | None:
    """The same of the store, with what was said of it since. Raises SinkError."""
    span = dashboard.past_alerts.alert(alert_id)
    return None if span is None else with_heard(dashboard, Known(*span, None))


def with_heard(dashboard: Dashboard, known: Known) -> Known:
    """With the remarks that were heard since."""
    raised = known.raised
    heard = dashboard.model.look_any(raised.camera_id, lambda camera: camera.acknowledged_of(raised)) or []
    seen = {one.message_id: one for one in (*known.acknowledged, *heard)}
    return replace(known, acknowledged=tuple(seen.values()))


def windows_held(dashboard: Dashboard, known: Known) -> list[WindowClosed]:
    """Final windows that closed with the alert's frame, as far as memory has them."""
    raised = known.raised
    held = dashboard.model.look_any(
        raised.camera_id,
        lambda camera: [
            one for one in camera.windows if (one.run_id, one.sequence) == (raised.run_id, raised.sequence)
        ],
    )
    return held or []


def windows_at(dashboard: Dashboard, known: Known) -> list[WindowClosed]:
    """The same, from the store where memory has none. Raises SinkError."""
    return windows_held(dashboard, known) or dashboard.past_alerts.windows_of(known.raised)


def _found(camera: CameraLive, alert_id: str) -> Known | None:
    kept: list[tuple[AlertRaised, AlertCleared | None]] = [
        (one, None) for one in camera.active_alerts.values()
    ]
    kept += [(past.raised, past.cleared) for past in reversed(camera.past_alerts)]
    for raised, cleared in kept:
        if raised.event_id == alert_id:
            seen = tuple(camera.acknowledged_of(raised))
            return Known(raised, cleared, seen, camera.alert_places.get(alert_id))
    return None


def detail(dashboard: Dashboard, known: Known) -> AlertDetail:
    """All that is known of an alert, but for its picture. Raises SinkError."""
    raised = known.raised
    windows = [event_row(one) for one in windows_at(dashboard, known)]
    row = {**event_row(raised), "acknowledged": [event_row(one) for one in known.acknowledged]}
    if known.cleared is not None:
        row["cleared"] = event_row(known.cleared)
    return AlertDetail(alert=row, rule=rule_toml(dashboard.settings, raised.rule), windows=windows)


def rule_toml(settings: Settings, name: str) -> str:
    """The rule as one writes it in streamcount.toml; "" where there is none of that name."""
    rule = settings.alerts.get(name)
    if rule is None:
        return ""
    fields = type(rule).model_fields
    told = [one for one in fields if one == "kind" or one in rule.model_fields_set]
    told.sort(key=lambda one: one != "kind")
    lines = [f"{fields[one].alias or one} = {to_toml(getattr(rule, one))}" for one in told]
    # A name may have a dot, which would be a table of its own; a string of JSON is one of TOML.
    head = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
    return "\n".join([f"[alerts.{head}]", *lines]) + "\n"


def picture_of(dashboard: Dashboard, known: Known, width_px: int) -> bytes:
    """JPEG of the frame at which the alert was raised.

    Raises SourceError where there was none or it is no longer in Kafka, FrameError where it cannot be decoded,
    BrokerError where Kafka fails.
    """
    raised = known.raised
    if raised.run_id == GROUP_RUN:
        raise SourceError("the alert is of a group of cameras, and so of no one frame")
    if raised.run_id == UNHEARD_RUN:
        raise SourceError("the camera had never sent a frame")
    kept = dashboard.model.look(
        raised.camera_id, lambda camera: camera.picture(raised.run_id, raised.sequence)
    )
    if kept is not None:
        return dashboard.pictures.jpeg(raised.camera_id, kept, width_px)
    if known.place is None:
        old = dashboard.past.picture((raised.camera_id, raised.run_id, raised.sequence), _taken_ms(raised))
        if old is not None:
            return dashboard.pictures.jpeg(raised.camera_id, old, width_px)
    frame = None if known.place is None else dashboard.on_demand.frame_of(raised, known.place)
    if frame is None:
        raise SourceError(f"frame {raised.sequence} of run {raised.run_id} is no longer in Kafka")
    return scaled_jpeg(frame.image, width_px)


def cells_of_alert(dashboard: Dashboard, known: Known) -> Cells | None:
    """The cells of the frame at which the alert was raised; None for an alert of no one frame.

    Raises BrokerError where Kafka fails.
    """
    raised = known.raised
    if raised.run_id in (GROUP_RUN, UNHEARD_RUN):
        return None
    key = (raised.run_id, raised.sequence)
    held = dashboard.model.look(
        raised.camera_id, lambda camera: (camera.tracks.get(key), camera.detections.get(key))
    )
    captured_at_ms = _taken_ms(raised)
    if known.place is not None:
        captured_at_ms = max(0, known.place.time_ms - clock_back_ms(raised))
    if held is None or held[0] is None:
        held = dashboard.past.cells((raised.camera_id, *key), captured_at_ms)
    return cells_of(*key, captured_at_ms, held or (None, None))


def acknowledge(dashboard: Dashboard, known: Known, who: str, remark: str) -> AlertAcknowledged:
    """Tells Kafka that somebody has seen the alert; what was said already is not said again.

    Raises BrokerError where Kafka does not take it.
    """
    raised = known.raised
    said = AlertAcknowledged(
        camera_id=raised.camera_id,
        run_id=raised.run_id,
        sequence=raised.sequence,
        happened_at_ns=raised.happened_at_ns,
        decided_at_ns=raised.decided_at_ns,
        rule=raised.rule,
        raised_at_ns=raised.decided_at_ns,
        who=who,
        remark=remark,
        acknowledged_at_ns=time.time_ns(),
    )
    before = next((one for one in known.acknowledged if one.message_id == said.message_id), None)
    if before is not None:
        return before
    # Without a place it goes where its camera's records go.
    dashboard.on_demand.tell(said, None if known.place is None else known.place.partition)
    return said


def _taken_ms(raised: AlertRaised) -> int:
    """About when the alert's frame was taken, where nobody knows its record."""
    return raised.happened_at_ns // 10**6
