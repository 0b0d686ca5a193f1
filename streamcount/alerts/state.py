"""What alerts remember between two windows."""

from __future__ import annotations

import msgspec

NOT_RAISED = -1


class RuleState(msgspec.Struct, frozen=True):
    """One rule of one camera.

    watched: what it watches (window, figure, zone, class); an entry for something else counts for nothing.
    broken_since_ns: start of the first window of the streak that breaks it, -1 where it holds.
    broken_ns: how much time the windows of the streak cover.
    judged_to_ns: end of the last window that was judged.
    raised_at_ns: `decided_at_ns` of the alert that is active, -1 where none is.
    changed_at: run and sequence of the last event of the rule. Ids are made of these, so one frame tells a change
        once.
    history: values of the last windows, the newest last; of jump rules only, at most `JumpRule.over`.
    """

    rule: str
    watched: str
    broken_since_ns: int = -1
    broken_ns: int = 0
    judged_to_ns: int = -1
    raised_at_ns: int = NOT_RAISED
    changed_at: str = ""
    history: tuple[float, ...] = ()

    @property
    def raised(self) -> bool:
        """Whether its alert is active."""
        return self.raised_at_ns != NOT_RAISED


class AlertsState(msgspec.Struct, frozen=True):
    """At most one entry a rule, by name. It is the camera's and outlives its runs, or alerts would never be cleared.

    run_id: of the last window; what is usual is learnt anew in another run.
    """

    entries: tuple[RuleState, ...] = ()
    run_id: str = ""
