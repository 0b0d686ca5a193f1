"""Sliding back in time: a range, a slider over it, steps, and the way back to the present."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from nicegui import ui

from streamcount.errors import SinkError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.history import Span
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.past import MS

SECOND_MS = 1000
RANGES_MS = {"10 minutes": 600_000, "1 hour": 3_600_000, "1 day": 86_400_000, "7 days": 604_800_000, "all": 0}
STEPS_MS = {"−1 min": -60_000, "−10 s": -10_000, "+10 s": 10_000, "+1 min": 60_000}
SETTLED_S = 0.3
# In the colour of the text: that of the theme is too pale on one of the two grounds.
BUTTON = "outline dense no-caps color=inherit"


class TimeBar:
    """Which time the page shows. at_ms: the moment of the past that was chosen, None for the present.

    changed: awaited when another moment or range was chosen.
    """

    def __init__(self, dashboard: Dashboard, camera_id: str, changed: Callable[[], Awaitable[None]]) -> None:
        self._dashboard = dashboard
        self._camera_id = camera_id
        self._changed = changed
        self.at_ms: int | None = None
        self._first_ms: int | None = None
        self._now_ms = time.time_ns() // MS
        with ui.element("div").classes("timebar").props('role=group aria-label="Time"'):
            self._range = ui.select(list(RANGES_MS), value="10 minutes", label="Range").props(
                "dense outlined"
            )
            self._slider = (
                ui.slider(min=0, max=1, step=SECOND_MS).props('aria-label="Moment"').classes("grow")
            )
            self._words = ui.label().classes("time-words").props("aria-live=polite")
            for name, by_ms in STEPS_MS.items():
                ui.button(name, on_click=lambda by_ms=by_ms: self._step(by_ms)).props(BUTTON)
            self._live = ui.button("Live", on_click=self._back).props(BUTTON)
        self._follow()
        self._slider.on("update:model-value", self._slid, throttle=SETTLED_S, leading_events=False)
        self._range.on_value_change(self._ranged)
        ui.timer(2.0, self._follow)
        ui.timer(0.1, self._ranged, once=True)

    def span(self) -> Span:
        """The range, ending now; in the past, as it was when one left the present."""
        length_ms = RANGES_MS[self._range.value]
        first_ms = self._now_ms - length_ms
        if not length_ms:
            first_ms = self._first_ms if self._first_ms is not None else self._now_ms - RANGES_MS["1 hour"]
        return Span(first_ms * MS, (self._now_ms + 1) * MS)

    def _follow(self) -> None:
        if self.at_ms is None:
            self._now_ms = time.time_ns() // MS
            self._show()

    def _show(self) -> None:
        span = self.span()
        first_ms = span.from_ns // MS
        self._slider.props(f"min={first_ms} max={self._now_ms}")
        self._slider.set_value(self._now_ms if self.at_ms is None else self.at_ms)
        now = "now" if self.at_ms is None else parts.clock(self.at_ms * MS)
        self._words.set_text(now)
        self._live.set_enabled(self.at_ms is not None)

    async def _ranged(self) -> None:
        try:
            known = await asyncio.to_thread(self._dashboard.history.extent_ns, self._camera_id)
        except SinkError:
            known = None
        self._first_ms = None if known is None else known[0] // MS
        self._show()
        await self._changed()

    async def _slid(self) -> None:
        # The slider follows the present by itself; only what a person has chosen is another moment.
        value = int(self._slider.value)
        if value != (self._now_ms if self.at_ms is None else self.at_ms):
            await self.go(value)

    async def _step(self, by_ms: int) -> None:
        await self.go((self._now_ms if self.at_ms is None else self.at_ms) + by_ms)

    async def go(self, at_ms: int) -> None:
        """Shows the page as it was then; what lies after now is now."""
        if at_ms >= self._now_ms:
            await self._back()
            return
        self.at_ms = at_ms
        self._show()
        await self._changed()

    async def _back(self) -> None:
        self.at_ms = None
        self._follow()
        await self._changed()
