"""Groups of cameras as a fold: state and a camera's window in, state and the group's windows and alerts out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streamcount.alerts import AlertRule, AlertsState, evaluate
from streamcount.types import AnyEvent, WindowClosed
from streamcount.windows.groups import Group, GroupState, gather, relieve


class GroupRunState(msgspec.Struct, frozen=True):
    """All that one group's counting remembers."""

    gathered: GroupState = GroupState()
    alerts: AlertsState = AlertsState()


class GroupPipeline:
    """Sums the windows of a group's cameras and judges the sums. Holds settings only, as `Pipeline` does."""

    def __init__(self, group: Group, rules: Mapping[str, AlertRule] | None = None) -> None:
        self.group = group
        self.rules = rules or {}

    def initial_state(self) -> GroupRunState:
        """Before any window."""
        return GroupRunState()

    def step(self, state: GroupRunState, closed: WindowClosed) -> tuple[GroupRunState, tuple[AnyEvent, ...]]:
        """The state after a window, the group's windows that are final by it, and the alerts of each behind it."""
        return self._judged(state, *gather(state.gathered, closed, self.group))

    def relieve(self, state: GroupRunState) -> tuple[GroupRunState, tuple[AnyEvent, ...]]:
        """As `step`, but tells the older half of what waits, as it stands, where no more can be kept."""
        return self._judged(state, *relieve(state.gathered, self.group))

    def _judged(
        self, state: GroupRunState, gathered: GroupState, windows: tuple[WindowClosed, ...]
    ) -> tuple[GroupRunState, tuple[AnyEvent, ...]]:
        alerts, told = state.alerts, list[AnyEvent]()
        for window in windows:
            alerts, changes = evaluate(alerts, window, self.rules)
            told += [window, *changes]
        return GroupRunState(gathered, alerts), tuple(told)
