"""The chosen cell: what is seen of it now, and its life: size over time, family tree, snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from nicegui import ui

from streamcount.errors import StreamcountError
from streamcount.lineage.style import check_drawing
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.history import Told
from streamcount.service.dashboard.lives import Family
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.charts import SizeChart
from streamcount.service.dashboard.page.parts import number
from streamcount.service.dashboard.past import MS
from streamcount.types import AnyEvent, CellAbnormal, CellEvent

NO_SHOT = '<div class="no-shot soft">no picture was kept</div>'
KEEPING = (
    "<code>streamcount snapshots run</code> keeps pictures of abnormal cells, for as long as Kafka has them."
)
EMPTY = "Click a cell, or move through them with the arrow keys when the picture has the focus."
# Whoever moves through the cells with the keys does not want each one's life.
SETTLED_S = 0.6
MEMBERS = ("cell", "mother", "generation", "class", "first seen", "last seen", "end")


class CellPanel:
    """Tells of the cell that is chosen; its life is read once it has been chosen for a moment."""

    def __init__(self, dashboard: Dashboard, camera_id: str) -> None:
        self._dashboard = dashboard
        self._camera_id = camera_id
        self._chosen: dict[str, Any] = {}
        self._reading: asyncio.Task[None] | None = None
        with ui.element("section").classes("panel").props('aria-label="Chosen cell"'):
            ui.html("<h2>Cell</h2>", sanitize=False)
            self._words = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            self._note = ui.label().classes("soft").props("aria-live=polite")
            self._tree = ui.html(sanitize=False)
            self._shots = ui.html(sanitize=False).classes("shots")
        self._box = ui.element("div")
        self._box.set_visibility(False)
        with self._box:
            self._sizes = SizeChart()
        self.show([])

    def choose(self, cell: dict[str, Any]) -> None:
        """Takes in what the picture tells of the chosen cell, again and again while it is in view."""
        before, self._chosen = self._chosen, cell
        if (before.get("id"), before.get("run")) == (cell.get("id"), cell.get("run")):
            return
        self._box.set_visibility(False)
        for element in (self._tree, self._shots):
            parts.set_html(element, "")
        self._note.set_text("")
        if self._reading is not None:
            self._reading.cancel()
        if cell.get("id"):
            self._reading = asyncio.create_task(self._read(int(cell["id"]), str(cell["run"])))

    def show(self, events: Sequence[AnyEvent]) -> None:
        """What is seen of it, and which of the events are about it."""
        rows = _words(self._chosen, events) if self._chosen.get("id") else []
        parts.set_html(self._words, parts.table_html("Cell", ("", ""), rows, EMPTY))

    async def _read(self, track_id: int, run_id: str) -> None:
        await asyncio.sleep(SETTLED_S)
        self._note.set_text("Reading its life …")
        lives = self._dashboard.lives
        try:
            told = await asyncio.to_thread(lives.sizes, self._camera_id, run_id, track_id)
            family = await asyncio.to_thread(lives.family, self._camera_id, run_id, track_id)
            shots = await asyncio.to_thread(lives.snapshots, self._camera_id, run_id, track_id)
        except StreamcountError as error:
            self._note.set_text(f"Its life cannot be told: {error}")
            return
        base = f"/api/v1/cameras/{quote(self._camera_id)}/tracks/{track_id}"
        self._note.set_text(_sightings(told))
        self._box.set_visibility(bool(told.answer.rows))
        self._sizes.draw(told, f"{base}/sizes", run_id)
        parts.set_html(self._tree, family_html(family, track_id, f"{base}/tree?run={quote(run_id)}"))
        parts.set_html(self._shots, shots_html(shots, base, run_id))


def _words(cell: dict[str, Any], events: Sequence[AnyEvent]) -> list[list[object]]:
    certain = "followed for certain" if cell["confirmed"] else "seen too seldom to be certain"
    rows: list[list[object]] = [
        ["id", cell["id"]],
        ["now", certain if cell["in_view"] else "no longer in view"],
        ["class in this frame", cell["class_name"] or "–"],
        ["probability", _or_dash(cell["probability"], "{:.2f}")],
        ["class so far", cell["believed"] or "–"],
        ["age", _or_dash(cell["age_s"], "{:.1f} s")],
        ["area", _or_dash(cell["area_px"], "{:.0f} px²")],
        ["mother", cell["parent"] or "none known"],
        ["generation", _or_dash(cell["generation"], "{}")],
    ]
    return rows + [
        [event.kind, parts.clock(event.happened_at_ns)]
        for event in events
        if isinstance(event, CellEvent) and event.track_id == cell["id"]
    ]


def _sightings(told: Told) -> str:
    rows = told.answer.rows
    if not rows:
        return "No record of its sightings is left in Kafka."
    at = told.answer.columns.index("happened_at_ns")
    return f"Seen in {len(rows)} frames that Kafka still has, since {parts.clock(rows[0][at])}."


def family_html(family: Family, track_id: int, tree: str) -> str:
    """The family as a picture and a table. track_id: the chosen one. tree: where the picture is."""
    if len(family.members) < 2:
        return '<p class="soft">No division is known of it or its ancestors.</p>'
    title = f"Family of cell {family.root}: {len(family.members)} cells in {family.generations} generations"
    rows: list[list[object]] = [
        [
            number(f"{one.track_id} (chosen)" if one.track_id == track_id else one.track_id),
            number(one.parent_id or ""),
            number(one.generation),
            one.class_name,
            parts.clock(one.first_ms * MS) if one.first_ms else "",
            parts.clock(one.last_ms * MS) if one.last_ms else "",
            one.fate,
        ]
        for one in family.members
    ]
    try:
        check_drawing()
        picture = f'<img class="tree" alt="{escape(title)}, as a tree" src="{escape(tree, quote=True)}">'
    except StreamcountError as error:
        picture = f'<p class="soft">{escape(str(error))}</p>'
    table = parts.table_html(title, MEMBERS, rows, "")
    return f'<h3>{escape(title)}</h3><div class="scroll" tabindex="0">{picture}{table}</div>'


def shots_html(found: Sequence[tuple[CellAbnormal, bool]], base: str, run_id: str) -> str:
    """What was found abnormal of a cell, each with its picture or with the word that none is kept."""
    figures = "".join(
        f"<figure>{_shot(one, base, run_id) if kept else NO_SHOT}"
        f"<figcaption>{escape(one.reason)}, {parts.clock(one.happened_at_ns)}: {escape(one.explanation)}"
        "</figcaption></figure>"
        for one, kept in found
    )
    return figures if all(kept for _, kept in found) else f'{figures}<p class="soft">{KEEPING}</p>'


def _shot(one: CellAbnormal, base: str, run_id: str) -> str:
    path = f"{base}/snapshot?run={quote(run_id)}&reason={quote(one.reason)}"
    return f'<img alt="Cell at {parts.clock(one.happened_at_ns)}" src="{escape(path, quote=True)}">'


def _or_dash(value: object, form: str) -> str:
    return "–" if value is None else form.format(value)
