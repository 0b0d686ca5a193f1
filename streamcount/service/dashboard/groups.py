"""Groups of cameras as the page and its API tell them: who is in them, their last windows, their alerts."""

from __future__ import annotations

from typing import Any

import msgspec

from streamcount.config import Settings
from streamcount.service.dashboard.camera import CameraLive
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.views import event_row, worst
from streamcount.types import WindowClosed


class GroupSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One group, now.

    cameras: as the settings of this page have it; empty where they do not know it. windows: the last of each name,
    the shortest first, as on the wire. alerts: rules that are broken now. severity: the worst of theirs, "" for none.
    """

    group_id: str
    cameras: tuple[str, ...]
    windows: list[dict[str, Any]]
    alerts: tuple[str, ...]
    severity: str


def groups_of(settings: Settings, model: LiveModel) -> list[GroupSummary]:
    """The groups that the settings have, or that something was told of, by name."""
    names = sorted({*settings.groups, *model.group_names()})
    return [group_summary(settings, model, name) for name in names]


def group_summary(settings: Settings, model: LiveModel, name: str) -> GroupSummary:
    """One group; without windows and alerts where nothing was told of it."""
    windows, alerts = model.look_group(name, _copied) or ([], {})
    config = settings.groups.get(name)
    return GroupSummary(
        group_id=name,
        cameras=tuple(config.cameras) if config else (),
        windows=[event_row(one) for one in windows],
        alerts=tuple(sorted(alerts)),
        severity=worst(list(alerts.values())),
    )


def last_windows(group: CameraLive) -> list[WindowClosed]:
    """The last window of each name, the shortest first."""
    last = {one.window: one for one in group.windows}
    return sorted(last.values(), key=lambda one: (one.window_end_ns - one.window_start_ns, one.window))


def _copied(group: CameraLive) -> tuple[list[WindowClosed], dict[str, str]]:
    return last_windows(group), {rule: one.severity for rule, one in group.active_alerts.items()}
