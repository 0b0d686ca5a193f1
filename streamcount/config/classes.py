"""What rules, zones and lines name, against the cameras' models, which are read for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from streamcount.alerts import check_rules, require_known
from streamcount.config.load import window_lengths
from streamcount.config.settings import CameraConfig, Settings
from streamcount.config.tellable import Means, check_tellable
from streamcount.detection import Detector, DetectorConfig, LabelsDetector
from streamcount.detection.bundle import DENSE_INSTANCES
from streamcount.detection.tflite import TfliteDetector
from streamcount.errors import ModelError
from streamcount.sources import SimulatedConfig, VideoConfig


def check_classes(settings: Settings) -> tuple[str, ...]:
    """What could not be checked, and what only some cameras can tell, in words.

    Raises ConfigurationError naming the key where a zone or line names a class that its camera's model has not, or a
    rule a class that no model has, or a figure that no camera can tell. Raises ModelError where a model is missing or
    damaged.
    """
    detectors = _Detectors()
    words: list[str] = []
    classes: set[str] = set()
    means: dict[str, Means] = {}
    for where, config in _configured(settings):
        camera = settings.cameras.get(where)
        key = f"cameras.{where}.detector" if camera and camera.detector else "detector"
        try:
            detector = detectors.built(config)
        except ModelError as error:
            raise ModelError(f"{key}: {error}") from error
        except ImportError as error:
            # The workers may have what is not installed here.
            words.append(f"the classes of {key} were not checked: {error}")
            detector = None
        means[where] = _means(settings, where, detector)
        if detector is None:
            continue
        names = detector.model.class_names
        classes.update(names)
        for kind, places in (("zones", camera.zones), ("lines", camera.lines)) if camera else ():
            for name, place in places.items():
                for one in place.classes:
                    require_known(f"cameras.{where}.{kind}.{name}.classes", one, names)
    if not words:
        check_rules(
            settings.alerts, window_lengths(settings), settings.place_names, classes, groups=settings.groups
        )
    groups = {name: group.cameras for name, group in settings.groups.items()}
    return (*words, *check_tellable(settings.alerts, means, groups))


def _configured(settings: Settings) -> Iterator[tuple[str, DetectorConfig]]:
    """Each camera's; under "" the common one, where a camera has it, or it was set for cameras not listed."""
    own = [camera for camera in settings.cameras.values() if camera.detector]
    if not settings.cameras or (
        "detector" in settings.model_fields_set and len(own) == len(settings.cameras)
    ):
        yield "", settings.detector
    for name in settings.cameras:
        yield name, settings.detector_for(name)


def _means(settings: Settings, where: str, detector: Detector | None) -> Means:
    camera = settings.cameras.get(where)
    outlines = isinstance(detector, LabelsDetector) or (
        isinstance(detector, TfliteDetector) and detector.bundle.task == DENSE_INSTANCES
    )
    return Means(
        where or "cameras not listed",
        None if detector is None else detector.model,
        outlines,
        "perhaps" if camera is None else _pixel_size(camera),
        settings.windows_for(where).chamber is not None,
        frozenset(camera.zones if camera else ()),
        frozenset(camera.lines if camera else ()),
    )


def _pixel_size(camera: CameraConfig) -> Literal["known", "perhaps", "none"]:
    source = camera.source
    if camera.pixel_size_um or source.pixel_size_um or isinstance(source, SimulatedConfig):
        return "known"
    # Only TIFF files carry one.
    return "none" if isinstance(source, VideoConfig) else "perhaps"


class _Detectors:
    """Cameras that are set up alike share what was built."""

    def __init__(self) -> None:
        self._known: list[tuple[DetectorConfig, Detector]] = []

    def built(self, config: DetectorConfig) -> Detector:
        """Raises ModelError where the model cannot be read, ImportError where what runs it is not installed."""
        for known, detector in self._known:
            if known == config:
                return detector
        self._known.append((config, config.build()))
        return self._known[-1][1]
