"""What is asked of a zone or line beside its points: which classes, how far beyond the border, pixels or µm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from nicegui import ui

from streamcount.config import Settings
from streamcount.detection.bundle import load_bundle
from streamcount.detection.tflite import TfliteConfig
from streamcount.errors import StreamcountError
from streamcount.events.places import LineConfig, ZoneConfig
from streamcount.events.places.config import DEFAULT_HYSTERESIS_DIAMETERS
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.camera import CameraLive
from streamcount.service.dashboard.setup import HysteresisUnit, PlaceOptions

UNITS = {"diameters": "diameters of the cell", "px": "pixels"}
USUAL = f"{DEFAULT_HYSTERESIS_DIAMETERS:g} diameters where empty"


class PlaceForm:
    """Asks for it. What is left empty is as usual for a new place; one that is there keeps what it has."""

    def __init__(self) -> None:
        self._loaded = ""
        # A line of its own in the row that it stands in.
        with ui.element("div").classes("form-grid").style("width: 100%") as self._all:
            self._classes = ui.select([], label="only cells of", multiple=True, value=[])
            self._hysteresis = ui.input("beyond the border").props("inputmode=decimal")
            self._unit = ui.select(UNITS, label="in", value="diameters")
            for one, hint in ((self._classes, "all classes where empty"), (self._hysteresis, USUAL)):
                one._props["hint"] = hint
            for field in (self._classes, self._hysteresis, self._unit):
                field.props("dense outlined stack-label")
            self._in_um = ui.switch("write the points in µm")

    def set_visibility(self, on: bool) -> None:
        """Shows or hides it."""
        self._all.set_visibility(on)

    def offer(self, names: Sequence[str]) -> None:
        """The classes that can be chosen; what is chosen stays."""
        known = list(dict.fromkeys((*names, *self._classes.value)))
        if known != self._classes.options:
            self._classes.set_options(known, value=self._classes.value)

    def load(self, name: str, place: ZoneConfig | LineConfig) -> None:
        """Shows what a place has."""
        self._loaded = name
        self._classes.set_value([])
        self.offer([*cast(list[str], self._classes.options), *place.classes])
        self._classes.set_value(list(place.classes))
        unit: HysteresisUnit = "diameters" if place.hysteresis_px is None else "px"
        value = place.hysteresis_diameters if place.hysteresis_px is None else place.hysteresis_px
        self._unit.set_value(unit)
        self._hysteresis.set_value("" if value is None else f"{value:g}")
        self._in_um.set_value(place.points_um is not None)

    def clear(self) -> None:
        """Ready for another place."""
        self._loaded = ""
        self._classes.set_value([])
        self._hysteresis.set_value("")
        self._unit.set_value("diameters")
        self._in_um.set_value(False)

    def value(self, name: str) -> PlaceOptions:
        """What was said. Of a place that was not loaded, what is empty stays as it is."""
        classes, typed = tuple(self._classes.value), str(self._hysteresis.value or "")
        loaded = name == self._loaded
        return PlaceOptions(
            classes if classes or loaded else None,
            typed if typed.strip() or loaded else None,
            cast(HysteresisUnit, self._unit.value),
            bool(self._in_um.value),
        )


def class_names(dashboard: Dashboard, settings: Settings, camera_id: str | None) -> list[str]:
    """The classes of a camera's cells: its model's, or those that were counted."""
    if camera_id not in settings.cameras:
        return []
    detector = settings.detector_for(camera_id)
    if isinstance(detector, TfliteConfig):
        try:
            return [one.name for one in load_bundle(detector.model).classes]
        except StreamcountError:
            # The page may run where the models are not.
            pass
    return dashboard.model.look(camera_id, _counted) or []


def _counted(camera: CameraLive) -> list[str]:
    return list(camera.counts[-1].counts) if camera.counts else []
