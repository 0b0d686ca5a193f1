"""The pipelines of all cameras; cameras that are set up alike share a detector."""

from __future__ import annotations

import threading

from streamcount.config import Settings
from streamcount.detection import DetectorConfig
from streamcount.detection.base import Detector
from streamcount.pipeline import Pipeline


class Pipelines:
    """Builds what is needed when a camera is first seen. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._detectors: dict[str, Detector] = {}
        self._pipelines: dict[str, Pipeline] = {}

    def load_all(self) -> Detector:
        """Loads what any configured camera needs, before the first frame; the common detector.

        Raises ModelError where one cannot be loaded.
        """
        for camera_id in self._settings.cameras:
            self.of(camera_id)
        with self._lock:
            return self._detector(self._settings.detector)

    def of(self, camera_id: str) -> Pipeline:
        """The pipeline of a camera. Raises ModelError where its model cannot be loaded."""
        with self._lock:
            if camera_id not in self._pipelines:
                detector = self._detector(self._settings.detector_for(camera_id))
                self._pipelines[camera_id] = self._settings.pipeline(camera_id, detector)
            return self._pipelines[camera_id]

    def _detector(self, config: DetectorConfig) -> Detector:
        key = config.model_dump_json()
        if key not in self._detectors:
            self._detectors[key] = config.build()
        return self._detectors[key]
