"""Given masks: every value of a label image is one cell."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.detection import LabelsConfig
from streamcount.errors import FrameError
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanConfig
from streamcount.types import Frame
from tests.films import metadata


def masks() -> np.ndarray:
    image = np.zeros((40, 60), np.uint16)
    image[2:6, 3:9] = 700
    image[20:30, 20:24] = 5
    image[20:30, 40:44] = 5  # in two pieces, and still one cell
    image[35, 1] = 65535
    return image


def test_each_value_is_a_cell() -> None:
    found = LabelsConfig().build().detect(Frame(masks(), metadata(0)), labels=True)
    assert found.areas_px.tolist() == [80, 24, 1]
    assert found.boxes_px.tolist() == [[20, 20, 30, 44], [2, 3, 6, 9], [35, 1, 36, 2]]
    # The middle of pixels, as of the other detectors.
    assert found.centroids_px.tolist() == [[24.5, 31.5], [3.5, 5.5], [35, 1]]
    assert found.foreground_fraction == pytest.approx(105 / 2400)
    assert found.labels is not None
    assert np.array_equal(found.labels > 0, masks() > 0)
    assert np.array_equal(found.labels == 2, masks() == 700)


def test_values_are_no_brightness() -> None:
    image = np.zeros((80, 80), np.uint16)
    image[10:20, 10:20], image[40:50, 40:50] = 1, 60_000
    frame = Frame(image, metadata(0))
    pipeline = Pipeline(LabelsConfig().build(), KalmanConfig().build())
    intensities = pipeline.detect(frame).intensities
    assert intensities is not None
    assert np.isnan(intensities).tolist() == [True, True]


def test_eight_bits_and_small_objects() -> None:
    image = np.minimum(masks(), 255).astype(np.uint8)
    found = LabelsConfig(min_area_px=2).build().detect(Frame(image, metadata(0)))
    assert len(found) == 2
    assert found.labels is None


def test_an_empty_image_and_one_of_colours() -> None:
    detector = LabelsConfig().build()
    empty = detector.detect(Frame(np.zeros((9, 9), np.uint16), metadata(0)))
    assert (len(empty), empty.quality) == (0, ("empty",))
    with pytest.raises(FrameError, match="one channel") as told:
        detector.detect(Frame(np.zeros((9, 9, 3), np.uint8), metadata(0)))
    assert told.value.reason == "bad-image"
