"""Detectors: from the pixels of one frame to its cells."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from streamcount.detection.base import Detector
from streamcount.detection.labels import LabelsConfig, LabelsDetector
from streamcount.detection.tflite import TfliteConfig
from streamcount.detection.watershed import WatershedConfig, WatershedDetector

DetectorConfig: TypeAlias = Annotated[
    WatershedConfig | TfliteConfig | LabelsConfig, Field(discriminator="kind")
]

__all__ = [
    "Detector",
    "DetectorConfig",
    "LabelsConfig",
    "LabelsDetector",
    "TfliteConfig",
    "WatershedConfig",
    "WatershedDetector",
]
