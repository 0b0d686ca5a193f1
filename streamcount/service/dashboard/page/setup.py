"""Setting up: a new camera, zones and lines, the scale; and what will be written, before it is."""

from __future__ import annotations

from html import escape

from nicegui import run, ui

from streamcount.errors import ConfigurationError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.setup_camera import CameraForm
from streamcount.service.dashboard.page.setup_places import PlacesPanel
from streamcount.service.dashboard.setup import NOT_ALLOWED, SetupDraft, Step


class SetupPage:
    """The page in one browser, with its own draft of the settings file."""

    def __init__(self, dashboard: Dashboard, draft: SetupDraft) -> None:
        self._draft = draft
        with ui.element("div").classes("two"):
            with ui.element("div").classes("column-of"):
                self._places = PlacesPanel(dashboard, draft, self.add)
                self._camera = CameraForm(draft, self.add)
            with ui.element("div").classes("column-of"):
                self._build_file()
        self._show()

    def _build_file(self) -> None:
        with ui.element("section").classes("panel").props('aria-label="What will be written"'):
            ui.html("<h2>What will be written</h2>", sanitize=False)
            self._steps = ui.html(sanitize=False)
            self._diff = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            with ui.element("div").classes("switches"):
                self._undo = ui.button("Undo", on_click=self._take_back).props(parts.PLAIN).classes("plain")
                self._save = ui.button(f"Write to {self._draft.path.name}", on_click=self.save)
                self._save.props("no-caps").classes("main")
            self._told = ui.label().props("role=status")
            if not self._draft.may_save:
                ui.label(f"{NOT_ALLOWED[0].upper()}{NOT_ALLOWED[1:]}.").classes("soft")

    def add(self, step: Step) -> None:
        """Takes a step into the draft. Raises ConfigurationError where the settings would be wrong with it."""
        self._draft.add(step)
        self._told.set_text("")
        self._show()

    def _take_back(self) -> None:
        self._draft.undo()
        self._show()

    async def save(self) -> None:
        """Writes the file and says what is to be done for it to apply."""
        try:
            path = await run.io_bound(self._draft.save)
        except ConfigurationError as error:
            self._told.set_text(f"Not written: {error}.")
            return
        if path is None:
            # The server is ending.
            return
        self._show()
        self._told.set_text(
            f"Written to {path}. Worker, cameras and page read it when they start: restart them."
        )

    def _show(self) -> None:
        rows = [[i, words] for i, words in enumerate(self._draft.steps, 1)]
        parts.set_html(
            self._steps, parts.table_html("Set up", ("", "not written yet"), rows, "Nothing is set up yet.")
        )
        diff = self._draft.diff()
        parts.set_html(self._diff, diff_html(diff))
        self._undo.set_enabled(bool(rows))
        self._save.set_enabled(bool(diff) and self._draft.may_save)
        self._places.show()


def diff_html(diff: str) -> str:
    """A unified diff, its lines coloured; all text is escaped."""
    styles = {"+": "added", "-": "gone"}
    lines = (f'<span class="{styles.get(line[:1], "")}">{escape(line)}</span>' for line in diff.splitlines())
    return f'<pre class="diff" aria-label="Changes of the file">{chr(10).join(lines)}</pre>' if diff else ""


def setup_page(dashboard: Dashboard) -> None:
    """Builds the page for one browser."""
    with parts.framed(dashboard, "Setting up", "/setup"):
        try:
            draft = SetupDraft(dashboard.writing)
        except ConfigurationError as error:
            ui.label(f"The settings are wrong as they stand; set them right first: {error}.").props(
                "role=alert"
            )
            return
        SetupPage(dashboard, draft)
