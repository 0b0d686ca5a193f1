"""`streamcount model scale`, as a shell runs it, on frames of the simulated microscope."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.errors import ExitCode
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig

Streamcount = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three frames of nuclei as PNGs, which tell no pixel size."""
    source = SimulatedConfig(modality="fluorescence", seed=3).build()
    for number, frame in zip(range(3), source.frames(Run("scope", "a", lambda: 0)), strict=False):
        cv2.imwrite(str(tmp_path / f"t{number}.png"), frame.image)
    return tmp_path


def told_px(output: str) -> float:
    lines = output[output.index("[cameras.") :]
    return float(tomllib.loads(lines)["cameras"]["NAME"]["detector"]["cell_diameter_px"])


def test_it_tells_the_diameter_as_a_line_of_the_configuration(streamcount: Streamcount, folder: Path) -> None:
    code, out, err = streamcount("model", "scale", "nuclei", folder)
    assert code == 0
    assert "differ" not in err
    assert len(re.findall(r"t\d\.png", out)) == 3
    whole = told_px(out)
    for file in folder.iterdir():
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR))
    code, out, _ = streamcount("model", "scale", "nuclei", folder)
    assert code == 0
    assert told_px(out) == pytest.approx(1.5 * whole, rel=0.05)


def test_only_the_first_frames_are_looked_at(streamcount: Streamcount, folder: Path) -> None:
    _, out, _ = streamcount("model", "scale", "nuclei", folder, "--frames", 2)
    assert re.findall(r"t\d\.png", out) == ["t0.png", "t1.png"]


def test_a_pixel_size_that_makes_cells_of_another_size_is_told(
    streamcount: Streamcount, folder: Path
) -> None:
    _, out, _ = streamcount("model", "scale", "nuclei", folder)
    right = 12 / told_px(out)
    code, out, err = streamcount("model", "scale", "nuclei", folder, "--pixel-size-um", f"{right:.4f}")
    assert code == 0
    assert "expects" not in err
    code, out, err = streamcount("model", "scale", "nuclei", folder, "--pixel-size-um", f"{3 * right:.4f}")
    assert code == 0
    assert "the model expects 12 µm" in err
    assert "set cell_diameter_um = 36" in err


def test_counting_at_a_scale_that_the_cells_do_not_look_like_is_told_once(
    streamcount: Streamcount, folder: Path
) -> None:
    _, out, _ = streamcount("model", "scale", "nuclei", folder)
    right = 12 / told_px(out)
    for words in ((), ("--pixel-size-um", f"{right:.4f}")):
        code, _, err = streamcount("count", folder, "--model", "nuclei", *words)
        assert (code, "look" in err) == (0, False)
    code, _, err = streamcount("count", folder, "--model", "nuclei", "--pixel-size-um", f"{3 * right:.4f}")
    assert code == 0
    assert err.count("counts may suffer") == 1
    assert f"by its pixel size of {3 * right:.4g}"[:30] in err
    instead = re.search(r"give --cell-diameter-px (\S+) or", err)
    assert instead is not None
    code, _, err = streamcount("count", folder, "--model", "nuclei", "--cell-diameter-px", instead[1])
    assert (code, "look" in err) == (0, False)
    code, _, err = streamcount(
        "count", folder, "--model", "nuclei", "--cell-diameter-px", 3 * float(instead[1])
    )
    assert code == 0
    assert err.count("counts may suffer") == 1


def test_frames_of_two_magnifications_are_told(streamcount: Streamcount, folder: Path) -> None:
    for name in ("t1.png", "t2.png"):
        image = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(folder / name), cv2.resize(image, None, fx=2, fy=2))
    _, _, err = streamcount("model", "scale", "nuclei", folder)
    assert "One diameter suits frames of one magnification only" in err


def test_where_no_cell_is_seen_it_says_what_to_do(streamcount: Streamcount, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(120, 2, (200, 200)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "empty.png"), noise)
    code, _, err = streamcount("model", "scale", "nuclei", tmp_path)
    assert code == ExitCode.INPUT
    assert "set cell_diameter_px" in " ".join(err.split())
