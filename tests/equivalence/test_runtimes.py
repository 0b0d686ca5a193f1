"""LiteRT on NumPy 2 and OpenCV 5, and tflite-runtime on NumPy 1.26 and OpenCV 4.11, find the same cells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from bench.environment import ROOT, pinned_python
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig

PINS = ROOT / "requirements" / "tflite-runtime.txt"


@pytest.fixture(scope="module")
def other_python() -> Path:
    """An environment of its own with the other runtime, made once for these pins."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime 2.14.0 has wheels for Python 3.11 and none for later ones")
    return pinned_python("tflite", PINS, timeout_s=300)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten drawn smears."""
    folder = tmp_path_factory.mktemp("images")
    for seed in range(11, 16):
        source = SimulatedConfig(seed=seed, frames=2, seconds_per_frame=120.0).build()
        for index, frame in enumerate(source.frames(Run("camera", "run", lambda: 0))):
            cv2.imwrite(str(folder / f"{seed}-{index}.png"), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    return folder


# The runtimes round int8 differently in the last place, so that a cell just at its threshold may count for one only;
# of float32, the form that is meant for tflite-runtime, no such place is left.
@pytest.mark.parametrize(("form", "at_threshold"), [("float32", 0), ("int8", 1)])
def test_both_runtimes_find_the_same_cells(
    other_python: Path, images: Path, tmp_path: Path, form: str, at_threshold: int
) -> None:
    ours, theirs = (
        _count(python, images, form, tmp_path / name)
        for name, python in (
            ("litert.jsonl", Path(sys.executable)),
            ("tflite-runtime.jsonl", other_python),
        )
    )
    assert sum(sum(line["counts"].values()) for line in ours) > 100
    for one, other in zip(ours, theirs, strict=True):
        assert set(one["counts"]) == set(other["counts"])
        for name, count in one["counts"].items():
            assert abs(count - other["counts"][name]) <= at_threshold, (one["source"], name)
        found, others = (np.array([cell["centroid"] for cell in line["detections"]]) for line in (one, other))
        # Rows come by score, which the last place of int8 may turn round.
        apart_px, _ = cKDTree(others).query(found)
        assert (apart_px > 4.4).sum() <= at_threshold  # a tenth of a cell
        assert np.median(apart_px) < 0.2


def _count(python: Path, images: Path, form: str, output: Path) -> list[dict]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [python, "-m", "streamcount", "count", images, "--model", "blood-smear", "--output", output]
    # The scale is told: estimated, it would move many cells by the difference of one.
    command += ["--cell-diameter-px", "44", "--form", form]
    subprocess.run(command, check=True, env=environment, timeout=120, stdout=subprocess.DEVNULL)
    return [json.loads(line) for line in output.read_text().splitlines()]
