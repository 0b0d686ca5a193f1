"""Classes that rules, zones and lines name, against those of the models, which are read for it."""

from __future__ import annotations

from collections.abc import Iterator

from streamcount.alerts import check_rules, require_known
from streamcount.config.load import window_lengths
from streamcount.config.settings import Settings
from streamcount.detection import DetectorConfig
from streamcount.errors import StreamcountError


def check_classes(settings: Settings) -> tuple[str, ...]:
    """What could not be checked, in words: models that cannot be read here.

    Raises ConfigurationError naming the key where a zone or line names a class that its camera's model has not, or a
    rule one that no model has.
    """
    models = _Models()
    unread: list[str] = []
    classes: set[str] = set()
    whole = True
    for where, detector in _detectors(settings):
        try:
            names = models.class_names(detector)
        except (StreamcountError, ImportError) as error:
            unread.append(f"the classes of {where} were not checked: {error}")
            whole = False
            continue
        classes.update(names)
        camera = settings.cameras.get(where)
        if camera is None:
            continue
        for kind, places in (("zones", camera.zones), ("lines", camera.lines)):
            for name, place in places.items():
                for one in place.classes:
                    require_known(f"cameras.{where}.{kind}.{name}.classes", one, names)
    if whole:
        check_rules(
            settings.alerts, window_lengths(settings), settings.place_names, classes, groups=settings.groups
        )
    return tuple(unread)


def _detectors(settings: Settings) -> Iterator[tuple[str, DetectorConfig]]:
    """Each camera's; the common one where a camera has it, or it was set for cameras that are not listed."""
    own = [camera for camera in settings.cameras.values() if camera.detector]
    if not settings.cameras or (
        "detector" in settings.model_fields_set and len(own) == len(settings.cameras)
    ):
        yield "detector", settings.detector
    for name in settings.cameras:
        yield name, settings.detector_for(name)


class _Models:
    """Cameras that are set up alike share what was read."""

    def __init__(self) -> None:
        self._known: list[tuple[DetectorConfig, tuple[str, ...]]] = []

    def class_names(self, detector: DetectorConfig) -> tuple[str, ...]:
        """Raises StreamcountError where the model cannot be read."""
        for known, names in self._known:
            if known == detector:
                return names
        names = detector.build().model.class_names
        self._known.append((detector, names))
        return names
