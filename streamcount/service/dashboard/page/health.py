"""Alerts and health: why something was told, and whether the figures add up."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from streamcount.service.dashboard.api import Dashboard, alert_rows
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.parts import Cell, number
from streamcount.service.dashboard.views import CameraSummary, clocks, summary

EMPTY_PAST = "None has been cleared in what was looked back on."


def alerts(dashboard: Dashboard) -> None:
    """Builds the page of alerts for one browser."""
    with parts.framed(dashboard, "Alerts", "/alerts"):
        boxes = {}
        for state, title in (("active", "Active"), ("past", "Past")):
            with ui.element("section").classes("panel"):
                ui.html(f"<h2>{title}</h2>", sanitize=False)
                boxes[state] = ui.html(sanitize=False).classes("scroll").props("tabindex=0")

        def look() -> None:
            with dashboard.model.reading() as cameras:
                active = [row for camera in cameras.values() for row in alert_rows(camera, "active")]
                past = [row for camera in cameras.values() for row in alert_rows(camera, "past")]
            columns: tuple[str, ...] = ("since", "camera", "rule", "severity", "why", "value", "limit")
            rows = [_alert(row) for row in active]
            parts.set_html(
                boxes["active"], parts.table_html("Active alerts", columns, rows, "No alert is active.")
            )
            rows = [
                [*_alert(row), parts.clock_of(row["cleared"]["at"]), row["cleared"]["reason"]] for row in past
            ]
            columns = (*columns, "cleared", "because")
            parts.set_html(boxes["past"], parts.table_html("Past alerts", columns, rows, EMPTY_PAST))

        look()
        ui.timer(1.0, look)


def health(dashboard: Dashboard) -> None:
    """Builds the page of health for one browser."""
    with parts.framed(dashboard, "Health", "/health"):
        with ui.element("section").classes("panel"):
            kafka = ui.label()
            frames = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            ui.label(
                "Frames are summed from the first that this page heard of. Difference: frames, up to the newest "
                "whose fate is known, of which nobody has said anything. It is 0, or something is wrong."
            ).classes("soft")
        with ui.element("section").classes("panel"):
            ui.html("<h2>Frames that could not be counted</h2>", sanitize=False)
            letters = ui.html(sanitize=False).classes("scroll").props("tabindex=0")

        def look() -> None:
            with dashboard.model.reading() as cameras:
                found = [summary(camera, *clocks()) for camera in cameras.values()]
                notes = [
                    (camera.camera_id, note) for camera in cameras.values() for note in camera.dead_letters
                ]
            lag = dashboard.feed.lag.lag
            told = "nobody has committed yet" if lag is None else f"the workers lag {lag} frames"
            unread = dashboard.model.unreadable
            kafka.set_text(f"Kafka at {dashboard.feed.address}; {told}; {unread} records could not be read.")
            parts.set_html(
                frames, parts.table_html("Frames", FRAMES, [_frames(one) for one in found], "No camera yet.")
            )
            rows = [
                [
                    parts.clock(note.at_ms * 10**6),
                    camera_id,
                    note.sequence,
                    note.reason,
                    note.message,
                    note.stage,
                ]
                for camera_id, note in sorted(notes, key=lambda one: -one[1].at_ms)
            ]
            columns = ("taken", "camera", "frame", "reason", "message", "stage")
            parts.set_html(
                letters, parts.table_html("Dead letters", columns, rows, "None: all could be read.")
            )

        look()
        ui.timer(1.0, look)


FRAMES = (
    "camera", "run", "state", "frames/s", "latency, ms", "from", "published", "counted", "missing", "dead-lettered",
    "in work", "difference",
)  # fmt: skip


def _frames(now: CameraSummary) -> list[object]:
    account = now.account
    latency = "" if now.latency_ms is None else f"{now.latency_ms:.0f}"
    bad = "bad-figure" if now.state in ("stale", "not-counted") else ""
    row: list[object] = [
        now.camera_id,
        now.run_id,
        Cell(parts.state_words(now), bad),
        number(f"{now.rate_hz:.1f}"),
    ]
    row.append(number(latency))
    if account is None:
        return [*row, *[number("")] * 7]
    row += [
        number(account.first),
        number(account.published),
        number(account.counted),
        number(account.missing),
    ]
    row += [number(account.dead_lettered), number(account.waiting)]
    return [*row, Cell(account.difference, "bad-figure number" if now.difference_lasts else "number")]


def _alert(row: dict[str, Any]) -> list[object]:
    since_ns = row["since_ns"] or row["happened_at_ns"]
    shown = ["" if row[name] is None else f"{row[name]:.4g}" for name in ("value", "limit")]
    figures = [number(text) for text in shown]
    return [parts.clock(since_ns), row["camera_id"], row["rule"], row["severity"], row["reason"], *figures]
