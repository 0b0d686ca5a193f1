"""All alerts, active and past, and trying a rule on what is past."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from streamcount.alerts import AlertSpan
from streamcount.errors import StreamcountError
from streamcount.service.dashboard.api import Dashboard, alert_rows, with_stored
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.parts import Link, number
from streamcount.service.dashboard.page.trial import trial_panel

EMPTY_PAST = "None has been cleared in what was looked back on."
STORED_S = 15.0
COLUMNS = ("since", "camera", "rule", "severity", "why", "value", "limit", "seen by")


def alerts(dashboard: Dashboard) -> None:
    """Builds the page for one browser."""
    with parts.framed(dashboard, "Alerts", "/alerts"):
        boxes = {}
        for state, title in (("active", "Active"), ("past", "Past")):
            with ui.element("section").classes("panel"):
                ui.html(f"<h2>{title}</h2>", sanitize=False)
                boxes[state] = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
        fault = ui.label().classes("fault").props("role=status")
        trial_panel(dashboard)
        stored: list[AlertSpan] = []

        async def load() -> None:
            try:
                stored[:] = await asyncio.to_thread(dashboard.past_alerts.newest)
                fault.set_text("")
            except StreamcountError as error:
                fault.set_text(f"Older alerts are not shown: {error}")

        def look() -> None:
            with dashboard.model.reading_all() as cameras:
                active = [row for camera in cameras.values() for row in alert_rows(camera, "active")]
                past = [row for camera in cameras.values() for row in alert_rows(camera, "past")]
            rows = [_alert(row) for row in active]
            parts.set_html(
                boxes["active"], parts.table_html("Active alerts", COLUMNS, rows, "No alert is active.")
            )
            past = with_stored(past, stored)
            rows = [
                [*_alert(row), parts.clock_of(row["cleared"]["at"]), row["cleared"]["reason"]] for row in past
            ]
            columns = (*COLUMNS, "cleared", "because")
            parts.set_html(boxes["past"], parts.table_html("Past alerts", columns, rows, EMPTY_PAST))

        look()
        ui.timer(1.0, look)
        ui.timer(STORED_S, load)


def _alert(row: dict[str, Any]) -> list[object]:
    since_ns = row["since_ns"] or row["happened_at_ns"]
    shown = ["" if row[name] is None else f"{row[name]:.4g}" for name in ("value", "limit")]
    figures = [number(text) for text in shown]
    rule = Link(row["rule"], f"/alert?{urlencode({'alert': row['id']})}")
    seen = ", ".join(dict.fromkeys(one["who"] for one in row["acknowledged"]))
    return [
        parts.clock(since_ns),
        row["camera_id"],
        rule,
        row["severity"],
        row["reason"],
        *figures,
        seen or "nobody",
    ]
