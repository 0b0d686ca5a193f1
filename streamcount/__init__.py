"""streamcount counts living cells in microscope camera streams.

As a library:

    from streamcount import load_settings, read_tiff

    pipeline = load_settings("streamcount.toml").pipeline("scope-1")
    state = pipeline.initial_state()
    for frame in read_tiff("run.ome.tif"):
        state, result = pipeline.step(state, frame)

Names load when they are first used, so that `import streamcount` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamcount.config import Settings, load_settings, parse_settings
    from streamcount.errors import StreamcountError
    from streamcount.pipeline import Pipeline, PipelineState, StepResult
    from streamcount.sources import read_folder, read_tiff, read_video
    from streamcount.types import Detections, Event, Frame, FrameMetadata, Tracks

_HOMES = {
    "Detections": "streamcount.types",
    "Event": "streamcount.types",
    "Frame": "streamcount.types",
    "FrameMetadata": "streamcount.types",
    "Pipeline": "streamcount.pipeline",
    "PipelineState": "streamcount.pipeline",
    "Settings": "streamcount.config",
    "StepResult": "streamcount.pipeline",
    "StreamcountError": "streamcount.errors",
    "Tracks": "streamcount.types",
    "load_settings": "streamcount.config",
    "parse_settings": "streamcount.config",
    "read_folder": "streamcount.sources",
    "read_tiff": "streamcount.sources",
    "read_video": "streamcount.sources",
}

__all__ = [
    "Detections",
    "Event",
    "Frame",
    "FrameMetadata",
    "Pipeline",
    "PipelineState",
    "Settings",
    "StepResult",
    "StreamcountError",
    "Tracks",
    "load_settings",
    "parse_settings",
    "read_folder",
    "read_tiff",
    "read_video",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'streamcount' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
