"""One alert: why it was raised, the picture of the moment, its rule and figures, and who has seen it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import suppress
from html import escape
from urllib.parse import quote, unquote

from nicegui import context, ui

from streamcount.errors import BrokerError, FrameError, SinkError, SourceError
from streamcount.service.alerts.watch import UNHEARD_RUN
from streamcount.service.dashboard.alerting import (
    LONGEST_NAME,
    LONGEST_REMARK,
    Known,
    acknowledge,
    cells_of_alert,
    find_alert,
    find_stored,
    picture_of,
    rule_toml,
    windows_at,
    windows_held,
    with_heard,
)
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.cells import CellsView
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.parts import Link, number
from streamcount.types import GROUP_RUN, WindowClosed

WIDTH_PX = 960
WHO_COOKIE = "streamcount_who"
NO_RULE = "No rule of this name is set here now; it was when the alert was raised."
NO_FIGURES = "No window that closed with its frame is still kept here; a store (streamcount sink) keeps them."


class AlertPage:
    """The page of one alert in one browser."""

    def __init__(self, dashboard: Dashboard, alert_id: str, known: Known) -> None:
        self._dashboard = dashboard
        self._alert_id = alert_id
        self._known = known
        self._stored: list[WindowClosed] = []
        with ui.element("div").classes("two"):
            with ui.element("div").classes("column-of"):
                self._facts = parts.panel("What was told")
                self._build_picture(known)
            with ui.element("div").classes("column-of"):
                self._build_seen()
                with ui.element("section").classes("panel"):
                    ui.html("<h2>Rule, as it is set here now</h2>", sanitize=False)
                    rule = rule_toml(dashboard.settings, known.raised.rule)
                    text = (
                        f'<pre class="rule">{escape(rule)}</pre>'
                        if rule
                        else f'<p class="soft">{NO_RULE}</p>'
                    )
                    ui.html(text, sanitize=False).classes("scroll").props("tabindex=0")
                self._figures = parts.panel("Figures at that time")
        self.look()
        ui.timer(1.0, self.look)
        ui.timer(0.1, self._load, once=True)

    def _build_picture(self, known: Known) -> None:
        raised = known.raised
        with ui.element("section").classes("panel"):
            ui.html("<h2>Picture of the moment</h2>", sanitize=False)
            if raised.run_id not in (GROUP_RUN, UNHEARD_RUN):
                ui.label(f"Frame {raised.sequence} of run {raised.run_id}").classes("soft")
            self._picture = ui.html('<p class="soft">Looking for it in Kafka …</p>', sanitize=False)
            self._picture.props("aria-live=polite")

    def _build_seen(self) -> None:
        request = context.client.request
        who = request.cookies.get(WHO_COOKIE, "") if request is not None else ""
        with ui.element("section").classes("panel"):
            ui.html("<h2>Seen by</h2>", sanitize=False)
            self._seen = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            self._who = ui.input("Your name", value=unquote(who)[:LONGEST_NAME]).props(
                f"maxlength={LONGEST_NAME}"
            )
            self._remark = ui.textarea("Remark").props(f"maxlength={LONGEST_REMARK} autogrow rows=2")
            self._button = parts.action("Acknowledge", self._acknowledge)
            self._answer = ui.label().props("role=status")
            ui.label("It changes nothing of the alert, and cannot be taken back.").classes("soft")

    def look(self) -> None:
        """Shows the alert as it is now."""
        known = self._now()
        raised, cleared = known.raised, known.cleared
        state = (
            "active" if cleared is None else f"cleared {parts.clock(cleared.decided_at_ns)}: {cleared.reason}"
        )
        kind = "group" if raised.run_id == GROUP_RUN else "camera"
        rows: list[list[object]] = [
            [kind, Link(raised.camera_id, f"/{kind}/{quote(raised.camera_id)}")],
            ["rule", raised.rule],
            ["severity", raised.severity],
            ["why", raised.reason],
            ["raised", parts.clock(raised.decided_at_ns)],
            ["broken since", parts.clock(raised.since_ns) if raised.since_ns else "–"],
            ["figure", raised.figure or "–"],
            ["value", "–" if raised.value is None else f"{raised.value:.6g}"],
            ["limit", "–" if raised.limit is None else f"{raised.limit:.6g}"],
            ["state", state],
        ]
        parts.set_html(self._facts, parts.table_html("What was told", ("what", "told"), rows, ""))
        remarks = [[parts.clock(one.acknowledged_at_ns), one.who, one.remark] for one in known.acknowledged]
        table = parts.table_html("Seen by", ("when", "who", "remark"), remarks, "Nobody has said so yet.")
        parts.set_html(self._seen, table)
        self._show_figures(known)

    def _show_figures(self, known: Known) -> None:
        rows: list[list[object]] = []
        windows = windows_held(self._dashboard, known) or self._stored
        for window, figure in ((one.window, figure) for one in windows for figure in one.figures):
            sure = figure.low is not None and figure.high is not None
            interval = f"{figure.low:.4g} – {figure.high:.4g}" if sure else ""
            value = number(f"{figure.value:.4g}")
            rows.append([window, figure.name, figure.class_name, figure.zone, value, interval, figure.unit])
        columns = ("window", "figure", "class", "zone", "value", "interval", "unit")
        parts.set_html(self._figures, parts.table_html("Figures", columns, rows, NO_FIGURES))

    def _now(self) -> Known:
        """The alert as it is kept now; of what memory no longer has, as it was when the page was opened."""
        found = find_alert(self._dashboard, self._alert_id)
        return with_heard(self._dashboard, self._known) if found is None else found

    async def _load(self) -> None:
        known = self._now()
        # Where the store fails the page says that there are no figures; why is told on the list of alerts.
        with suppress(SinkError):
            self._stored = await asyncio.to_thread(windows_at, self._dashboard, known)
        await self._load_picture(known)

    async def _load_picture(self, known: Known) -> None:
        try:
            data = await asyncio.to_thread(picture_of, self._dashboard, known, WIDTH_PX)
        except (FrameError, SourceError, BrokerError) as error:
            self._picture.set_content(f'<p class="soft">There is no picture: {escape(str(error))}.</p>')
            return
        try:
            found = await asyncio.to_thread(cells_of_alert, self._dashboard, known)
        except BrokerError:
            # They lie beside the picture, which was found: what is wrong is told on every page.
            found = None
        cells = None if found is None else found.cells
        words = f"Frame {known.raised.sequence} of {known.raised.camera_id}, at which the alert was raised"
        self._picture.set_content(self._still(known.raised.camera_id, data, words, cells))

    def _still(self, camera_id: str, jpeg: bytes, words: str, cells: CellsView | None) -> str:
        source = f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
        if cells is None:
            image = f'<img class="still" alt="{escape(words, quote=True)}" src="{source}">'
            return f'{image}<p class="soft">Its cells are no longer kept in Kafka.</p>'
        styles = parts.class_styles(self._dashboard.settings, camera_id, cells.class_names)
        words = f"{words}, with its {len(cells.ids)} cells outlined"
        counts = {name: sum(one == i for one in cells.class_ids) for i, name in enumerate(cells.class_names)}
        return (
            f'<div class="marked"><img class="still" alt="{escape(words, quote=True)}" src="{source}">'
            f"{outlines_svg(cells, styles)}</div>"
            f'<div class="classes"><b>{len(cells.ids)}</b> cells {parts.classes_html(counts, styles)}</div>'
        )

    async def _acknowledge(self) -> None:
        who, remark = (self._who.value or "").strip(), (self._remark.value or "").strip()
        known = self._now()
        if not who:
            self._answer.set_text("Give your name first.")
            return
        self._button.disable()
        try:
            said = await asyncio.to_thread(
                acknowledge, self._dashboard, known, who[:LONGEST_NAME], remark[:LONGEST_REMARK]
            )
            self._answer.set_text(f"Kept, {parts.clock(said.acknowledged_at_ns)}.")
            self._remark.set_value("")
            kept = f"{WHO_COOKIE}={quote(who)};path=/;max-age=31536000;samesite=strict"
            ui.run_javascript(f'document.cookie = "{kept}"')
        except BrokerError as error:
            self._answer.set_text(f"It was not kept: {error}")
        finally:
            self._button.enable()


def outlines_svg(cells: CellsView, styles: dict[str, tuple[str, int]]) -> str:
    """The cells' outlines, or the ellipses in their boxes, to be laid over a picture of any size: as on the wall."""
    drawn = []
    for (y0, x0, y1, x1), points, class_id, confirmed in zip(
        cells.boxes_px, cells.outlines_px(), cells.class_ids, cells.confirmed, strict=True
    ):
        color, dash = styles[cells.class_names[class_id]]
        if points is None:
            centre = f'cx="{(x0 + x1) / 2:g}" cy="{(y0 + y1) / 2:g}"'
            name, place = "ellipse", f'{centre} rx="{(x1 - x0) / 2:g}" ry="{(y1 - y0) / 2:g}"'
        else:
            name, place = "polygon", f'points="{" ".join(f"{x:g},{y:g}" for y, x in points)}"'
        dashes = parts.DASHES[dash % len(parts.DASHES)]
        drawn.append(
            f'<{name} class="under" {place}/><{name} {place} stroke="{color}" stroke-dasharray="{dashes}" '
            f'stroke-width="{2 if confirmed else 1}"/>'
        )
    box = f"0 0 {cells.width_px} {cells.height_px}"
    return f'<svg viewBox="{box}" aria-hidden="true">{"".join(drawn)}</svg>'


async def alert_page(dashboard: Dashboard, alert_id: str) -> None:
    """Builds the page for one browser."""
    known, fault = find_alert(dashboard, alert_id), ""
    if known is None:
        try:
            known = await asyncio.to_thread(find_stored, dashboard, alert_id)
        except SinkError as error:
            fault = f" {error}"
    title = "Alert" if known is None else f"Alert {known.raised.rule} on {known.raised.camera_id}"
    with parts.framed(dashboard, title, "/alerts"):
        if known is None:
            ui.label("There is no such alert, or it is no longer kept here." + fault)
            ui.link("All alerts", "/alerts")
        else:
            AlertPage(dashboard, alert_id, known)
