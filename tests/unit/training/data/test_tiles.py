"""Tiles: they cover the image, and label what enough can be seen of."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import LabelledImage
from streamcount.training.data.read import read_data
from streamcount.training.data.tiles import TileChoice, cut, tile_starts, write_tiles

CASES = [(1022, 512, 64), (512, 512, 64), (100, 512, 0), (513, 256, 0), (960, 512, 64)]


@pytest.mark.parametrize(("length", "size", "overlap"), CASES)
def test_tiles_cover_a_side_with_their_overlap(length: int, size: int, overlap: int) -> None:
    starts = tile_starts(length, size, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - size)
    assert all(b - a <= size - overlap for a, b in pairwise(starts))
    assert len(starts) <= max(1, -(-(length - overlap) // (size - overlap)))


@pytest.fixture
def image(tmp_path: Path) -> LabelledImage:
    """100x200 px: a whole cell, one a quarter of which is in the right half, and one cut in the middle."""
    labels = np.zeros((100, 200), np.uint16)
    labels[10:20, 10:30] = 1
    labels[40:60, 85:105] = 2
    labels[70:90, 90:110] = 3
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set/images/a.png"), (200 - labels * 30).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "set/labels/a.png"), labels)
    return read_data(tmp_path / "set").images[0]


@pytest.mark.parametrize("masks", [True, False])
def test_cells_are_labelled_where_enough_is_seen(image: LabelledImage, masks: bool) -> None:
    tiles = list(cut(image, TileChoice(100, 0, 0.4, masks)))
    assert [(tile.top, tile.left) for tile in tiles] == [(0, 0), (0, 100)]
    assert tiles[0].boxes_px.tolist() == [[10, 10, 20, 30], [40, 85, 60, 100], [70, 90, 90, 100]]
    assert tiles[1].boxes_px.tolist() == [[70, 0, 90, 10]]
    if masks:
        assert tiles[1].labels is not None
        assert tiles[1].labels[80, 5] == 1
        assert tiles[1].labels[50, 2] == 0


@pytest.mark.parametrize("masks", [True, False])
def test_written_tiles_read_back_the_same(image: LabelledImage, tmp_path: Path, masks: bool) -> None:
    choice = TileChoice(100, 0, 0.4, masks)
    out = tmp_path / "out"
    assert write_tiles(image, out, 1, choice) == 2
    (out / "classes.txt").write_text("cell\n")
    again = read_data(out)
    for tile, back in zip(cut(image, choice), again.images, strict=True):
        np.testing.assert_allclose(back.boxes_px, tile.boxes_px, atol=1e-3)
        np.testing.assert_array_equal(back.read(), tile.image)
        assert (back.masks is not None) == masks


def test_foolish_tiles_and_incomplete_labels_are_refused(image: LabelledImage) -> None:
    with pytest.raises(TrainingError, match="--overlap 64 must be below --size 64"):
        TileChoice(64, 64)
    incomplete = LabelledImage(image.path, image.shape_px, image.boxes_px, image.class_ids, complete=False)
    with pytest.raises(TrainingError, match="not every cell is labelled"):
        next(cut(incomplete, TileChoice(64, 0)))
