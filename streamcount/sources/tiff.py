"""A TIFF, OME-TIFF or ImageJ stack as a source: planes in order of time, and what the file says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Literal

from pydantic import Field

from streamcount.sources.base import Run
from streamcount.sources.recording import file_run
from streamcount.sources.tiff_choice import TiffChoiceConfig
from streamcount.sources.tiff_details import TiffDetails
from streamcount.sources.tiff_stack import TiffStack
from streamcount.types import Frame, FrameMetadata


class TiffConfig(TiffChoiceConfig):
    """A TIFF stack; times, pixel size, exposure, channel name come from OME-XML or ImageJ's description."""

    kind: Literal["tiff"] = "tiff"
    path: Path = Field(description="the file")
    times: Literal["file", "clock"] = Field(
        default="file",
        description="time of a frame: as recorded where the file tells it, or when it is played",
    )
    pixel_size_um: float | None = Field(
        default=None, gt=0, description="µm per pixel, in place of the file's"
    )
    rate_hz: float | None = Field(
        default=None, gt=0, le=10_000, description="frames a second; as fast as taken if not given"
    )
    loop: bool = Field(
        default=False, description="begin again at the end, for ever; times are then the clock's"
    )

    def build(self) -> TiffSource:
        """The source. Raises SourceError where the file cannot be read or does not say what to take of it."""
        return TiffSource(self)


class TiffSource:
    """Frames of a TIFF, read one at a time."""

    def __init__(self, config: TiffConfig) -> None:
        self._config = config
        with TiffStack(config.path, config.choice()) as stack:
            self._frames = len(stack)
            self._details = stack.details

    @property
    def details(self) -> TiffDetails:
        """What the file says."""
        return self._details

    @property
    def frame_count(self) -> int | None:
        """Frames in the file; None if it loops."""
        return None if self._config.loop else self._frames

    @property
    def rate_hz(self) -> float | None:
        """Frames a second, as configured."""
        return self._config.rate_hz

    def frames(self, run: Run) -> Iterator[Frame]:
        """The frames in order of time. Raises SourceError where the file breaks off."""
        details = self._details
        pixel_size_um = self._config.pixel_size_um or details.pixel_size_um
        times = _Times(self._config, details, run)
        with TiffStack(self._config.path, self._config.choice()) as stack:
            for sequence in count() if self._config.loop else range(len(stack)):
                index = sequence % len(stack)
                image = stack.read(index)
                metadata = FrameMetadata(
                    camera_id=run.camera_id,
                    run_id=run.run_id,
                    sequence=sequence,
                    acquired_at_ns=times.acquired_at_ns(index),
                    pixel_size_um=pixel_size_um,
                    exposure_ms=details.exposures_ms[index] if details.exposures_ms else None,
                    channel=details.channel,
                )
                yield Frame(image, metadata)


class _Times:
    """When a frame was taken: the file's times, counted from its date or else from the clock's first time."""

    def __init__(self, config: TiffConfig, details: TiffDetails, run: Run) -> None:
        told = bool(details.offsets_s) and config.times == "file" and not config.loop
        self._offsets_s = details.offsets_s if told else ()
        self._clock = run.clock
        self._start_ns = details.start_ns
        if self._offsets_s and self._start_ns is None:
            # OME's DeltaT may begin anywhere; the clock's time is the first frame's.
            self._start_ns = run.clock() - round(self._offsets_s[0] * 1e9)

    def acquired_at_ns(self, index: int) -> int:
        if not self._offsets_s or self._start_ns is None:
            return self._clock()
        return self._start_ns + round(self._offsets_s[index] * 1e9)


def read_tiff(
    path: Path | str,
    *,
    rate_hz: float = 1.0,
    channel: int | str | None = None,
    z: int | Literal["time"] | None = None,
    pixel_size_um: float | None = None,
) -> Iterator[Frame]:
    """The frames of a TIFF, OME-TIFF or ImageJ stack, of camera "file" and a run named like the file.

    rate_hz: frames a second, for a file that does not tell its times; they then begin at 0.
    channel, z: which of several, see TiffConfig. Raises SourceError.
    """
    config = TiffConfig(path=Path(path), channel=channel, z=z, pixel_size_um=pixel_size_um)
    return config.build().frames(file_run(config.path, rate_hz))
