"""What `watch` knows of groups of cameras, and how it shows them; nothing of Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from streamcount.types import AlertCleared, AlertRaised, AnyEvent, WindowClosed

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class GroupView:
    """One group: the newest window that was told of each name, and the rules that are broken."""

    group_id: str
    windows: dict[str, WindowClosed] = field(default_factory=dict)
    alerts: set[str] = field(default_factory=set)

    def apply(self, event: AnyEvent) -> None:
        """Takes in an event of the group; a repeated or an older window changes nothing."""
        match event:
            case WindowClosed():
                known = self.windows.get(event.window)
                if known is None or known.window_end_ns < event.window_end_ns:
                    self.windows[event.window] = event
            case AlertRaised():
                self.alerts.add(event.rule)
            case AlertCleared():
                self.alerts.discard(event.rule)


def groups_table(groups: Sequence[GroupView]) -> Table:
    """One row a group and window."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="groups", expand=True)
    for name in ("group", "window", "until", "cameras", "cells", "by class", "not complete for", "alerts"):
        table.add_column(name, overflow="ellipsis")
    for group in groups:
        alerts = f"[red]{escape(', '.join(sorted(group.alerts)))}[/]" if group.alerts else ""
        if not group.windows:
            table.add_row(f"[bold]{escape(group.group_id)}[/]", *[""] * 6, alerts)
        for window in group.windows.values():
            cells, by_class = _cells(window)
            table.add_row(
                f"[bold]{escape(group.group_id)}[/]", escape(window.window), _until(window), _members(window), cells,
                escape(by_class), f"[yellow]{escape(_faults(window))}[/]", alerts,
            )  # fmt: skip
    return table


def group_lines(group: GroupView) -> list[str]:
    """One line a window, for a log."""
    alerts = f"; ALERT {', '.join(sorted(group.alerts))}" if group.alerts else ""
    lines = []
    for window in group.windows.values():
        cells, by_class = _cells(window)
        told = f"cells {cells}" + (f" ({by_class})" if by_class else "")
        faults = f"; not complete: {_faults(window)}" if _faults(window) else ""
        lines.append(
            f"group {group.group_id} of {_members(window)}; window {window.window} until {_until(window)}; "
            f"{told}{faults}{alerts}"
        )
    return lines or [f"group {group.group_id}{alerts}"]


def _cells(window: WindowClosed) -> tuple[str, str]:
    """The mean number of cells, and the same by class; "-" where the window does not tell it."""
    found = {one.class_name: one.value for one in window.figures if one.name == "cells" and not one.zone}
    by_class = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if name)
    return (f"{found['']:.4g}" if "" in found else "-"), by_class


def _members(window: WindowClosed) -> str:
    missing = len(window.members_missing)
    return f"{len(window.members)} of {len(window.members) + missing} cameras"


def _faults(window: WindowClosed) -> str:
    return ", ".join([*window.reasons, *(f"without {name}" for name in window.members_missing)])


def _until(window: WindowClosed) -> str:
    return datetime.fromtimestamp(window.window_end_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
