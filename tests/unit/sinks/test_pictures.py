"""Label masks and overlays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.errors import ModelError
from streamcount.sinks.masks import write_mask
from streamcount.sinks.overlay import PALETTE, class_colour, displayable, draw_overlay, write_overlay
from streamcount.types import Detections, FrameMetadata, ModelIdentity, empty_detections

META = FrameMetadata(camera_id="file", run_id="run", sequence=0, acquired_at_ns=0)
MODEL = ModelIdentity("blood", "ab" * 32, ("red", "white"))
SHAPE = (120, 400)
CENTRES = ((40, 60), (70, 300))
RADIUS = 20


def found(*, labels: bool) -> Detections:
    drawn = np.zeros(SHAPE, np.uint16)
    for number, (y, x) in enumerate(CENTRES, start=1):
        cv2.circle(drawn, (x, y), RADIUS, number, -1)
    centres = np.array(CENTRES, np.float32)
    return Detections(
        metadata=META,
        image_shape=SHAPE,
        model=MODEL,
        centroids_px=centres,
        boxes_px=np.concatenate([centres - RADIUS, centres + RADIUS + 1], axis=1),
        areas_px=np.full(2, 1257, np.float32),
        class_probabilities=np.array([[0.9, 0.1], [0.2, 0.8]], np.float32),
        labels=drawn if labels else None,
    )


def test_masks_keep_the_labels(tmp_path: Path) -> None:
    detections = found(labels=True)
    path = write_mask(tmp_path / "new", "a.png", 2, detections)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, detections.labels)


def test_no_labels_no_mask(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="draws no labels"):
        write_mask(tmp_path, "a.png", 0, found(labels=False))


@pytest.mark.parametrize("labels", [True, False])
def test_outlines_run_where_the_cells_end_in_the_colour_of_their_class(labels: bool) -> None:
    image = np.full((*SHAPE, 3), 128, np.uint8)
    picture = draw_overlay(image, found(labels=labels))
    for class_id, (y, x) in enumerate(CENTRES):
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            spot = picture[
                y + dy * RADIUS - 2 : y + dy * RADIUS + 3, x + dx * RADIUS - 2 : x + dx * RADIUS + 3
            ]
            distance = np.abs(spot.reshape(-1, 3).astype(int) - class_colour(class_id)).sum(axis=1)
            assert distance.min() < 80, "blue and vermilion are 411 apart"
        np.testing.assert_array_equal(picture[y, x], (128, 128, 128))
    assert (image == 128).all(), "the frame itself is left alone"


def test_the_legend_lies_below_and_hides_nothing() -> None:
    image = np.full((*SHAPE, 3), 128, np.uint8)
    picture = draw_overlay(image, empty_detections(META, SHAPE, MODEL))
    np.testing.assert_array_equal(picture[:120, :400], image)
    below = picture[120:].reshape(-1, 3)
    for class_id in range(2):
        assert (below == class_colour(class_id)).all(axis=1).any()


def test_the_legend_of_many_classes_fits_a_small_frame() -> None:
    names = tuple(f"a class with a long name {number}" for number in range(9))
    nothing = empty_detections(META, (40, 40), ModelIdentity("m", "0" * 64, names))
    picture = draw_overlay(np.zeros((40, 40), np.uint8), nothing)
    assert picture.shape[0] > 40 + 9 * 10, "one row each"
    assert 40 < picture.shape[1] < 500


def test_colours_are_all_different() -> None:
    assert len(set(PALETTE)) == len(PALETTE)


def test_dark_sixteen_bit_frames_can_be_seen() -> None:
    image = np.zeros((50, 50), np.uint16)
    image[20:30, 20:30] = 900
    shown = displayable(image)
    assert shown.shape == (50, 50, 3)
    assert shown[25, 25].min() > 200
    assert shown[5, 5].max() < 20


def test_an_overlay_is_a_file_in_rgb_order(tmp_path: Path) -> None:
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[:, :, 0] = 200
    path = write_overlay(tmp_path, "a.png", image, found(labels=True), 0, [5, None])
    assert cv2.imread(str(path))[5, 5].tolist() == [0, 0, 200]
