"""Does a count jump because the scale is estimated anew in every frame? `python -m bench.scale`.

Films of the simulated microscope whose pixel size nobody tells, counted twice: each frame by its own estimate, and
all frames by the median of the first ones (`streamcount model scale`). Cells come, go and divide; what is compared is
by how much counts change from one frame to the next.
"""

from __future__ import annotations

import statistics
import time
from itertools import islice

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from streamcount.detection import TfliteConfig
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.types import Frame

FILMS = (("fluorescence", "nuclei"), ("bright-field", "blood-smear"), ("phase-contrast", "phase-contrast"))
FRAMES, FIRST, SEED = 60, 9, 3


def main() -> None:
    """Prints a row a film."""
    table = Table("model", "seen, px", "cells", "cells, told", "change", "change, told")
    for modality, model in FILMS:
        source = SimulatedConfig.model_validate({"modality": modality, "seed": SEED}).build()
        frames = [
            _unscaled(frame) for frame in islice(source.frames(Run("scope", "a", time.time_ns)), FRAMES)
        ]
        alone = TfliteConfig(model=model).build()
        seen = [diameter for diameter in map(alone.seen_diameter_px, frames) if diameter is not None]
        told = TfliteConfig(model=model, cell_diameter_px=statistics.median(seen[:FIRST])).build()
        counts = [[len(detector.detect(frame)) for frame in frames] for detector in (alone, told)]
        table.add_row(
            *(model, f"{min(seen):.1f} to {max(seen):.1f}"),
            *(f"{np.mean(one):.1f}" for one in counts),
            *(f"{np.std(np.diff(one)):.2f}" for one in counts),
        )
    Console().print(table)


def _unscaled(frame: Frame) -> Frame:
    return Frame(frame.image, msgspec.structs.replace(frame.metadata, pixel_size_um=None))


if __name__ == "__main__":
    main()
