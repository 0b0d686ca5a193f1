"""Sources: where frames come from. A new one is one file with its class and config, and one entry here."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from streamcount.sources.base import Run, Source
from streamcount.sources.folder import FolderConfig, read_folder
from streamcount.sources.simulated import SimulatedConfig
from streamcount.sources.tiff import TiffConfig, read_tiff
from streamcount.sources.video import VideoConfig, read_video

SourceConfig: TypeAlias = Annotated[
    FolderConfig | TiffConfig | VideoConfig | SimulatedConfig, Field(discriminator="kind")
]

__all__ = [
    "FolderConfig",
    "Run",
    "SimulatedConfig",
    "Source",
    "SourceConfig",
    "TiffConfig",
    "VideoConfig",
    "read_folder",
    "read_tiff",
    "read_video",
]
