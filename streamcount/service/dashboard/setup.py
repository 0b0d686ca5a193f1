"""What somebody sets up on the page and has not saved yet: changes of the settings file, checked one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from streamcount.config import Settings, parse_settings
from streamcount.config.edit import Change, Value, edited, save_text, shown_diff, text_of
from streamcount.config.load import DEFAULT_FILE
from streamcount.errors import ConfigurationError
from streamcount.events.places import LineConfig, ZoneConfig
from streamcount.service.dashboard.writing import Writing
from streamcount.types import IDENTIFIER

Point: TypeAlias = tuple[float, float]
PlaceKind: TypeAlias = Literal["zones", "lines"]
HysteresisUnit: TypeAlias = Literal["diameters", "px"]

NAME_RULE = "a name has up to 64 letters, digits, '.', '_' or '-', and begins with a letter or digit"
NOT_ALLOWED = (
    "this page may not write: start it with streamcount dashboard --allow-setup, or copy what is shown"
)


@dataclass(frozen=True)
class Step:
    """Something that was set up: what it is in words, and the changes that make it so."""

    words: str
    changes: tuple[Change, ...]


class SetupDraft:
    """The settings file as it was read, and the steps on top of it. Each leaves settings that are right.

    path: of the file, which need not be there yet. Raises ConfigurationError where it is wrong as it stands.
    """

    def __init__(self, writing: Writing) -> None:
        self.path = writing.settings_file or DEFAULT_FILE
        self.may_save = writing.may_set_up
        self._before = text_of(self.path)
        self._steps: list[Step] = []
        self._after = self._before or ""
        self.settings: Settings = parse_settings(self._after, str(self.path))

    @property
    def steps(self) -> tuple[str, ...]:
        """What was set up, in words."""
        return tuple(step.words for step in self._steps)

    def diff(self) -> str:
        """What changes in the file; "" for nothing."""
        return shown_diff(self._before or "", self._after, self.path.name)

    def add(self, step: Step) -> None:
        """Sets something up. Raises ConfigurationError, and changes nothing, where that would be wrong."""
        self._set([*self._steps, step])

    def undo(self) -> None:
        """Takes back the last step."""
        self._set(self._steps[:-1])

    def save(self) -> Path:
        """Writes the file; the draft goes on from there. Raises ConfigurationError where it may or can not."""
        if not self.may_save:
            raise ConfigurationError(NOT_ALLOWED)
        save_text(self.path, self._before, self._after)
        self._before, self._steps = self._after, []
        return self.path

    def _set(self, steps: list[Step]) -> None:
        text = edited(self._before or "", [change for step in steps for change in step.changes])
        self.settings = parse_settings(text, str(self.path))
        self._steps, self._after = steps, text


@dataclass(frozen=True)
class PlaceOptions:
    """What is said of a zone or line beside its points; None: as it is, or as usual.

    classes: only cells of these are told of, () for all. hysteresis: how far beyond the border a cell must be, as it
    was typed, "" for the usual; in `hysteresis_in`. in_um: whether the points are written in µm, and so stay where
    they are when the pixel size changes.
    """

    classes: tuple[str, ...] | None = None
    hysteresis: str | None = None
    hysteresis_in: HysteresisUnit = "diameters"
    in_um: bool = False


def place_step(
    settings: Settings,
    camera_id: str,
    kind: PlaceKind,
    name: str,
    points_px: Sequence[Point],
    options: PlaceOptions = PlaceOptions(),
) -> Step:
    """A zone or line as it was drawn, (y, x) in pixels; one of this name gets these points and keeps all else.

    Raises ConfigurationError for a name that is none, a hysteresis that is no number, points in µm without a scale.
    """
    if not IDENTIFIER.fullmatch(name):
        raise ConfigurationError(f"{name!r}: {NAME_RULE}")
    camera = settings.cameras[camera_id]
    there = (camera.zones if kind == "zones" else camera.lines).get(name)
    path = ("cameras", camera_id, kind, name)
    if options.in_um and camera.pixel_size_um is None:
        raise ConfigurationError(f"points in µm need the scale of {camera_id}: draw a known length first")
    scale = (camera.pixel_size_um or 1.0) if options.in_um else 1.0
    points = [[_plain(y * scale), _plain(x * scale)] for y, x in points_px]
    named, other = ("points_um", "points_px") if options.in_um else ("points_px", "points_um")
    changes = [Change((*path, named), points)]
    wanted: dict[str, Value | None] = {other: None}
    if options.classes is not None:
        wanted["classes"] = list(options.classes) or None
    if options.hysteresis is not None:
        wanted["hysteresis_px"] = wanted["hysteresis_diameters"] = None
        if options.hysteresis.strip():
            wanted[f"hysteresis_{options.hysteresis_in}"] = _number(options.hysteresis)
    said = set() if there is None else there.model_fields_set
    changes += [
        Change((*path, key), value) for key, value in wanted.items() if value is not None or key in said
    ]
    return Step(f"{kind[:-1]} {name} of {camera_id}", tuple(changes))


def removal_step(camera_id: str, kind: PlaceKind, name: str) -> Step:
    """Takes out a zone or line."""
    return Step(f"no {kind[:-1]} {name} of {camera_id}", (Change(("cameras", camera_id, kind, name), None),))


def camera_removal_step(settings: Settings, camera_id: str) -> Step:
    """Takes out a camera, out of its groups as well; a group of which it was the last goes with it."""
    changes = [Change(("cameras", camera_id), None)]
    for name, group in settings.groups.items():
        if camera_id in group.cameras:
            left: list[Value] = [one for one in group.cameras if one != camera_id]
            path = ("groups", name, "cameras") if left else ("groups", name)
            changes.append(Change(path, left or None))
    return Step(f"no camera {camera_id}", tuple(changes))


def scale_step(camera_id: str, points_px: Sequence[Point], length_um: str) -> Step:
    """The pixel size that makes the distance of two points, (y, x) in pixels, this long.

    Raises ConfigurationError where the length is no positive number, or the points are the same.
    """
    try:
        length = float(length_um.replace(",", "."))
    except ValueError:
        length = 0.0
    distance_px = math.dist(*points_px)
    if not (0 < length < math.inf and distance_px > 0):
        raise ConfigurationError("give the length of what was drawn in µm, a number above 0")
    pixel_size_um = float(f"{length / distance_px:.4g}")
    words = f"{pixel_size_um:g} µm a pixel for {camera_id} ({length:g} µm are {distance_px:.1f} px)"
    return Step(words, (Change(("cameras", camera_id, "pixel_size_um"), pixel_size_um),))


def places_px(settings: Settings, camera_id: str) -> list[tuple[PlaceKind, str, tuple[Point, ...]]]:
    """A camera's zones and lines with their points, (y, x) in pixels."""
    camera = settings.cameras[camera_id]
    kinds: tuple[tuple[PlaceKind, Mapping[str, ZoneConfig | LineConfig]], ...] = (
        ("zones", camera.zones),
        ("lines", camera.lines),
    )
    found = []
    for kind, places in kinds:
        for name, place in places.items():
            # Points in µm are refused in settings without a pixel size.
            scale = 1.0 if place.points_px is not None else 1 / (camera.pixel_size_um or 1.0)
            found.append((kind, name, tuple((y * scale, x * scale) for y, x in place.points)))
    return found


def _plain(value: float) -> int | float:
    # Products of µm have long tails, and a hundredth of either unit is more than one can draw.
    value = round(value, 2)
    return int(value) if value == int(value) else value


def _number(text: str) -> float:
    try:
        return _plain(float(text.replace(",", ".")))
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"{text!r} is no number: give how far beyond the border") from error
