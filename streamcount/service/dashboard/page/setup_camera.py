"""The form of a new camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from nicegui import ui

from streamcount.errors import ConfigurationError
from streamcount.service.dashboard.camera_form import (
    COMMON_DETECTOR,
    FormError,
    FormField,
    camera_step,
    detectors,
    fields_of,
    kinds,
)
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.setup import SetupDraft, Step
from streamcount.wire.images import Encoding

KIND_WORDS = {
    "simulated": "simulated microscope",
    "folder": "folder of images",
    "tiff": "TIFF stack",
    "video": "video file, USB camera or network stream",
}


class CameraForm:
    """Asks for a camera's settings by the kind of its source."""

    def __init__(self, draft: SetupDraft, add: Callable[[Step], None]) -> None:
        self._draft = draft
        self._add = add
        self._inputs: dict[str, Any] = {}
        with ui.element("section").classes("panel").props('aria-label="A new camera"'):
            ui.html("<h2>A new camera</h2>", sanitize=False)
            with ui.element("div").classes("form-grid"):
                self._name = _text("name", "how it is called, such as scope-3")
                self._kind = ui.select(
                    {kind: KIND_WORDS.get(kind, kind) for kind in kinds()},
                    label="kind",
                    value=kinds()[0],
                    on_change=self._ask,
                ).props("dense outlined stack-label")
                self._detector = _select("detector", "what finds its cells", detectors(), COMMON_DETECTOR)
                self._encoding = _select(
                    "encoding", "jpeg is small; png and raw are exact", get_args(Encoding), "jpeg"
                )
            self._fields = ui.element("div")
            self._told = ui.label().props("role=alert").classes("bad-figure")
            ui.button("Set up this camera", on_click=self._take).props(parts.PLAIN).classes("plain")
        self._ask()

    def _ask(self) -> None:
        """Asks anew for what this kind of source needs."""
        self._fields.clear()
        self._inputs.clear()
        fields = list(fields_of(self._kind.value))
        with self._fields:
            with ui.element("div").classes("form-grid"):
                for field in fields:
                    if field.comes_first:
                        self._inputs[field.name] = _input(field)
            later = [field for field in fields if not field.comes_first]
            if later:
                with ui.expansion("More of it").props("dense"), ui.element("div").classes("form-grid"):
                    for field in later:
                        self._inputs[field.name] = _input(field)

    def _take(self) -> None:
        inputs = {**self._inputs, "name": self._name, "detector": self._detector, "encoding": self._encoding}
        for one in inputs.values():
            if hasattr(one, "error"):
                one.error = None
        self._told.set_text("")
        try:
            self._add(
                camera_step(
                    self._draft.settings,
                    str(self._name.value or "").strip(),
                    self._kind.value,
                    {name: one.value for name, one in self._inputs.items()},
                    {"detector": self._detector.value, "encoding": self._encoding.value},
                )
            )
        except FormError as error:
            for name, words in error.fields.items():
                if hasattr(inputs.get(name), "error"):
                    inputs[name].error = words
            self._told.set_text(f"Not set up: {error}.")
        except ConfigurationError as error:
            self._told.set_text(f"Not set up: {error}.")
        else:
            self._name.set_value("")


def _input(field: FormField) -> Any:
    if field.is_switch:
        return ui.switch(f"{field.label}: {field.meaning}", value=field.default == "true")
    if field.choices:
        default = next(choice for choice in field.choices if str(choice) == field.default)
        return _select(field.label, field.meaning, field.choices, default)
    label = f"{field.label}, must be given" if field.required else field.label
    return _text(label, field.meaning, field.default)


def _text(label: str, meaning: str, default: str = "") -> ui.input:
    made = ui.input(label, placeholder=default).props("dense outlined stack-label")
    made._props["hint"] = meaning
    return made


def _select(label: str, meaning: str, choices: tuple[Any, ...], value: Any) -> ui.select:
    made = ui.select(list(choices), label=label, value=value).props("dense outlined stack-label")
    made._props["hint"] = meaning
    return made
