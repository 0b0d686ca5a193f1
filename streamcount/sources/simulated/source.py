"""The simulated microscope as a source of frames, with or without their truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from streamcount.sources.base import Run
from streamcount.sources.simulated.config import SimulatedConfig
from streamcount.types import Frame, FrameMetadata

if TYPE_CHECKING:
    from streamcount.sources.simulated.shapes import Plane
    from streamcount.sources.simulated.truth import FrameTruth


class SimulatedSource:
    """Yields the frames that a microscope would see. The same settings and seed give the same bytes."""

    def __init__(self, config: SimulatedConfig) -> None:
        self.config = config

    @property
    def frame_count(self) -> int | None:
        """Frames in all, None for endless."""
        return self.config.frames

    @property
    def rate_hz(self) -> float | None:
        """Frames a second."""
        return self.config.rate_hz

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the truth's class ids mean."""
        return self.config.class_names

    def frames(self, run: Run) -> Iterator[Frame]:
        """The frames in order; writes the truth to `truth/CAMERA/RUN` when a folder is configured.

        Raises SourceError when that folder cannot be written or already holds this run.
        """
        if self.config.truth is None:
            for frame, _ in self._run(run, with_truth=False):
                yield frame
            return
        from streamcount.sources.simulated.ctc import TruthWriter

        with TruthWriter(self.config.truth / run.camera_id / run.run_id) as writer:
            for frame, truth in self._run(run, with_truth=True):
                if truth is not None:
                    writer.write(truth)
                yield frame

    def scenes(self, run: Run) -> Iterator[tuple[Frame, FrameTruth]]:
        """The very same frames, each with its truth, and no file written."""
        for frame, truth in self._run(run, with_truth=True):
            if truth is not None:
                yield frame, truth

    def truths(self, run: Run) -> Iterator[tuple[FrameMetadata, FrameTruth]]:
        """The truth of the very same frames, which are not exposed: several times as fast."""
        for metadata, _, truth in self._acts(run, with_truth=True):
            if truth is not None:
                yield metadata, truth

    def _run(self, run: Run, with_truth: bool) -> Iterator[tuple[Frame, FrameTruth | None]]:
        from streamcount.sources.simulated.optics import Optics

        optics = Optics(self.config, *_chances(self.config.seed)[1:])
        for metadata, planes, truth in self._acts(run, with_truth):
            yield Frame(optics.expose(planes), metadata), truth

    def _acts(
        self, run: Run, with_truth: bool
    ) -> Iterator[tuple[FrameMetadata, tuple[Plane, Plane], FrameTruth | None]]:
        """What is before the lens at each frame."""
        from streamcount.sources.simulated.render import Painter
        from streamcount.sources.simulated.truth import Census
        from streamcount.sources.simulated.world import World

        config = self.config
        world, painter = World(config, _chances(config.seed)[0]), Painter(config)
        census = Census(config.class_names, (config.height_px, config.width_px))
        start_ns = run.clock() if config.start_ns is None else config.start_ns
        sequence = 0
        while config.frames is None or sequence < config.frames:
            if sequence:
                world.step()
            planes, footprints = painter.draw(world, footprints=with_truth)
            metadata = FrameMetadata(
                camera_id=run.camera_id,
                run_id=run.run_id,
                sequence=sequence,
                acquired_at_ns=start_ns + round(sequence * 1e9 / config.rate_hz),
                pixel_size_um=config.pixel_um,
                channel="" if config.modality == "bright-field" else config.modality,
            )
            yield metadata, planes, census.take(sequence, world, footprints) if with_truth else None
            sequence += 1


def _chances(seed: int) -> list[np.random.Generator]:
    """A stream of chance each for world, optics and noise: the world is the same whatever looks at it."""
    streams = np.random.SeedSequence(seed).spawn(3)
    return [np.random.Generator(np.random.PCG64(stream)) for stream in streams]
