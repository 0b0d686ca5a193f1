"""The set that `dividing-nuclei` is made of: listed nuclei, bright ones, and a third of the others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("imagehash", reason="needs the `train` extra")

from bench import dividing


def draw(folder: Path, name: str, rng: np.random.Generator) -> None:
    """Thirty nuclei of 20 px in three rows of ten, of the same brightness but for some noise."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    pixels, masks = np.zeros((120, 400), np.uint8), np.zeros((120, 400), np.uint16)
    for number in range(30):
        centre = (20 + 40 * (number % 10), 20 + 40 * (number // 10))
        cv2.circle(pixels, centre, 10, int(rng.integers(90, 110)), -1)
        cv2.circle(masks, centre, 10, number + 1, -1)
    for kind, image in (("images", pixels), ("labels", masks)):
        assert cv2.imwrite(str(folder / kind / name), image)


def test_listed_bright_and_some_other_nuclei_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    for part in ("train", "val"):
        draw(tmp_path / "data" / part, f"{part}.png", rng)
    table = tmp_path / "labels.csv"
    table.write_text("image,x_px,y_px,label\ntrain.png,62,20,dividing\ntrain.png,100,20,unsure\n")
    monkeypatch.setattr(dividing, "LOOKED_AT", 1)
    dividing.main(tmp_path / "data", tmp_path / "set", labels=table)
    written = (tmp_path / "set" / "train" / "labels" / "train.txt").read_text().splitlines()
    assert "62 20 1" in written, "the place that was written down, not the middle"
    assert not any(line.startswith("100 20 ") for line in written)
    interphase = [line for line in written if line.endswith(" 0")]
    assert 3 <= len(interphase) <= 18, "about a third of 28"
    assert (tmp_path / "set" / "val" / "images" / "val.png").is_file()
    assert f"train: {len(interphase)} interphase, 1 dividing" in capsys.readouterr().out.replace("\n", "")
