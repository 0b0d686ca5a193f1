"""One frame that could not be counted: why, its picture where it is one, and sending it again."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from html import escape

from nicegui import ui

from streamcount.errors import BrokerError, FrameError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.pictures import scaled_jpeg
from streamcount.service.dead_letters import DeadLetter, letter_image

WIDTH_PX = 960
ASKED = (
    "{what} to the workers again? Do it once the cause is mended (a limit raised, a model replaced): it is counted "
    "in a run of its own, under the camera's name with .replay behind it, and cannot be taken back."
)


class SendAgain:
    """A button that asks before it sends dead letters again, and says what became of them."""

    def __init__(self, dashboard: Dashboard, words: str, places: list[tuple[int, int]]) -> None:
        self._dashboard = dashboard
        self.places = places
        self._asked: list[tuple[int, int]] = []
        self._button = parts.action(words, self._ask, quiet=True)
        with ui.element("div").classes("question").props('role=group aria-label="Send again?"') as self._box:
            self._question = ui.label()
            parts.action("Send", self._send)
            self._leave = parts.action("Leave it", self._hide, quiet=True)
        self._box.on("keydown.escape", self._hide)
        self._box.set_visibility(False)
        self._answer = ui.label().props("role=status")

    def offer(self, words: str, places: list[tuple[int, int]]) -> None:
        """Other letters; none at all hides the button."""
        self.places = places
        self._button.set_text(words)
        self._button.set_visibility(bool(places))
        if not places:
            self._hide()

    def _ask(self) -> None:
        # What is sent is what was asked about, whatever comes meanwhile.
        self._asked = list(self.places)
        self._question.set_text(ASKED.format(what=self._button.text))
        self._box.set_visibility(True)
        # What a hasty Enter hits next is the harmless answer.
        ui.run_javascript(f'document.getElementById("{self._leave.html_id}").focus()')

    def _hide(self) -> None:
        self._box.set_visibility(False)

    async def _send(self) -> None:
        places = self._asked
        self._hide()
        self._button.disable()
        try:
            done = await asyncio.to_thread(self._dashboard.on_demand.replay, places)
        except BrokerError as error:
            self._answer.set_text(f"It was not sent: {error}")
        else:
            words = [f"{done.sent} sent again"]
            words += [f"{done.gone} no longer in Kafka"] if done.gone else []
            words += [f"{times} passed over: {why}" for why, times in done.passed_over.items()]
            self._answer.set_text("; ".join(words) + ".")
        finally:
            self._button.enable()


async def letter_page(dashboard: Dashboard, partition: int, offset: int) -> None:
    """Builds the page for one browser."""
    with parts.framed(dashboard, "Frame that could not be counted", "/health"):
        box = ui.element("div").classes("column-of")
        try:
            letter = await asyncio.to_thread(dashboard.on_demand.dead_letter, partition, offset)
        except BrokerError as error:
            with box:
                ui.label(str(error)).classes("fault")
            return
        with box:
            if letter is None:
                ui.label("Kafka has no such record, or no longer.")
                ui.link("Health", "/health")
            else:
                _build(dashboard, letter)


def _build(dashboard: Dashboard, letter: DeadLetter) -> None:
    with ui.element("section").classes("panel"):
        rows: list[list[object]] = [
            ["camera", letter.camera],
            ["taken", parts.clock(letter.timestamp_ms * 10**6)],
            ["reason", letter.reason],
            ["message", letter.message],
            ["stage", letter.stage],
            ["bytes", len(letter.value or b"")],
            ["came from", letter.origin],
        ]
        ui.html(parts.table_html("Dead letter", ("what", "told"), rows, ""), sanitize=False)
        SendAgain(dashboard, "Send this frame", [(letter.partition, letter.offset)])
    with ui.element("section").classes("panel"):
        ui.html("<h2>Picture</h2>", sanitize=False)
        ui.html(_picture_html(letter, dashboard.settings.limits.frame_pixels), sanitize=False)


def _picture_html(letter: DeadLetter, max_pixels: int) -> str:
    try:
        data = scaled_jpeg(letter_image(letter, max_pixels), WIDTH_PX)
    except FrameError as error:
        return f'<p class="soft">It is no picture that can be shown: {escape(str(error))}.</p>'
    words = escape(f"The frame of {letter.camera} that could not be counted", quote=True)
    return f'<img class="still" alt="{words}" src="data:image/jpeg;base64,{b64encode(data).decode()}">'
