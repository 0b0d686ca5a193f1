"""Confluence in phase contrast against masks drawn by hand: halos that count as cell, dark insides that do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.local_contrast import cells_of
from streamcount.config import parse_settings
from streamcount.sources.images import read_image
from streamcount.types import Frame, FrameMetadata

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "usiigaci"
# What the model was not trained on: `streamcount data split usiigaci --val 0.25`.
HELD_OUT = (6, 14, 19, 29, 35, 37, 47, 49)
DETECTORS = {
    "phase-contrast": '[detector]\nkind = "tflite"\nmodel = "phase-contrast"',
    "watershed": '[detector]\nkind = "watershed"',
}
NO_DETECTOR = "local contrast"
# A halo is what is brighter than the ground by this share, this near a cell, and outside; an inside what is darker.
UNLIKE, NEAR_PX = 0.1, 8
Mask = NDArray[np.bool_]


class Cover(NamedTuple):
    """Of one image: shares of its area that are cell and that are found to be; of the halos that are found to be
    cell, and of the dark insides that are not; of the pixels that are cell or found to be, those that are both."""

    true: float
    found: float
    halo: float
    missed: float
    common: float


def images() -> Iterator[tuple[Frame, Mask]]:
    """The images held out, and where cells are; none where the set is missing."""
    for number in HELD_OUT:
        path = DATA / f"set{number}_raw8.png"
        if path.is_file():
            meta = FrameMetadata(camera_id="bench", run_id="r", sequence=number, acquired_at_ns=number)
            masks = cv2.imread(str(DATA / f"set{number}_instances.png"), cv2.IMREAD_UNCHANGED)
            assert masks is not None
            yield Frame(read_image(path), meta), np.asarray(masks > 0)


def covers(detector: str) -> list[Cover]:
    """Of each image. detector: a name in DETECTORS, or NO_DETECTOR."""
    settings = DETECTORS.get(detector)
    pipeline = None if settings is None else parse_settings(settings, environment={}).pipeline("bench")
    found = []
    for frame, cells in images():
        grey = frame.image if frame.image.ndim == 2 else frame.image[..., 1]
        if pipeline is None:
            found.append(cover(grey, cells, cells_of(grey)))
            continue
        labels = pipeline.detect(frame, labels=True).labels
        assert labels is not None
        found.append(cover(grey, cells, labels > 0))
    return found


def cover(grey: NDArray[np.integer], cells: Mask, found: Mask) -> Cover:
    """grey: (H, W). cells: drawn. found: by a detector."""
    ground = float(np.median(grey[~cells]))
    near = cv2.dilate(cells.astype(np.uint8), np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)) > 0
    halo = near & ~cells & (grey > ground * (1 + UNLIKE))
    inside = cells & (grey < ground * (1 - UNLIKE))
    return Cover(
        float(cells.mean()), float(found.mean()), float(found[halo].mean()), float((~found[inside]).mean()),
        float((cells & found).sum() / max((cells | found).sum(), 1)),
    )  # fmt: skip


def run(console: Console) -> None:
    """Measures and prints."""
    if not DATA.is_dir():
        console.print(f"no images in {DATA}: nothing is told of confluence")
        return
    table = Table(
        *(
            "detector",
            "mean error, points",
            "largest",
            "bias",
            "of halos counted %",
            "of dark insides missed %",
            "pixels in common %",
        ),
        title=f"confluence of {len(HELD_OUT)} images held out",
    )
    for name in (*DETECTORS, NO_DETECTOR):
        each = np.array(covers(name))
        off = 100 * (each[:, 1] - each[:, 0])
        shares = 100 * each[:, 2:].mean(axis=0)
        figures = (np.abs(off).mean(), np.abs(off).max(), off.mean(), *shares)
        table.add_row(name, *(f"{one:.1f}" for one in figures))
    console.print(table)
