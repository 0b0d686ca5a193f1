"""24 points around each cell, held against the masks that they come from."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamcount.detection import LabelsConfig, TfliteConfig, WatershedConfig
from streamcount.detection.contours import outlines_of
from streamcount.detection.instances import gather
from streamcount.detection.postprocess import Rules, decode
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.types import OUTLINE_POINTS, Detections, Frame
from tests.films import discs, metadata
from tests.outlining import ellipse_in, overlap_with
from tests.unit.detection.test_instances import maps_of, touching_discs

SHAPE = (120, 160)


def drawn(*pieces: tuple[int, Any]) -> np.ndarray:
    """Label image of shapes that draw on a mask, each with its value."""
    labels = np.zeros(SHAPE, np.uint16)
    for value, draw in pieces:
        mask = np.zeros(SHAPE, np.uint8)
        draw(mask)
        labels[(mask > 0) & (labels == 0)] = value
    return labels


def disc(y: int, x: int, radius: int) -> Any:
    return lambda mask: cv2.circle(mask, (x, y), radius, 1, -1)


def thick(points: list[tuple[int, int]], width: int) -> Any:
    return lambda mask: cv2.polylines(mask, [np.array(points)], False, 1, width)


def detected(labels: np.ndarray) -> Detections:
    return LabelsConfig().build().detect(Frame(labels, metadata(0)), outlines=True)


def points_of(found: Detections) -> np.ndarray:
    points = found.outlines_px
    assert points is not None
    assert points.shape == (len(found), OUTLINE_POINTS, 2)
    assert points.dtype == np.float32
    return points


@pytest.mark.parametrize(
    ("draw", "least"),
    [
        (disc(60, 80, 20), 0.95),
        (disc(0, 80, 20), 0.92),
        (disc(119, 159, 30), 0.92),
        (thick([(20, 20), (140, 100)], 12), 0.9),
        # No point sees all of these: rays from the middle would leave them and come back.
        (thick([(20, 20), (20, 100), (90, 100)], 14), 0.88),
        (thick([(30, 20), (120, 20), (120, 90), (30, 90)], 16), 0.85),
        (lambda mask: mask.__setitem__(np.s_[:], 1), 0.95),
    ],
    ids=["disc", "at the edge", "in a corner", "spindle", "bent", "hook", "all of the image"],
)
def test_points_go_around_cells_of_any_shape(draw: Any, least: float) -> None:
    labels = drawn((1, draw))
    found = detected(labels)
    (points,) = points_of(found)
    reached = overlap_with(points, labels == 1)
    assert reached > least
    assert reached > overlap_with(ellipse_in(found.boxes_px[0]), labels == 1)


def test_touching_cells_share_a_border() -> None:
    labels = drawn((1, disc(50, 60, 18)), (2, disc(50, 90, 18)), (3, disc(76, 75, 14)))
    for value, points in enumerate(points_of(detected(labels)), 1):
        assert overlap_with(points, labels == value) > 0.9, value


def test_of_a_cell_in_pieces_the_longest_line_is_told() -> None:
    labels = drawn((1, disc(30, 30, 6)), (1, disc(80, 100, 20)), (1, disc(30, 120, 4)))
    (points,) = points_of(detected(labels))
    assert overlap_with(points, drawn((1, disc(80, 100, 20))) == 1) > 0.9


def test_a_hole_is_within_the_line() -> None:
    labels = drawn((1, disc(60, 80, 24)))
    labels[55:65, 75:85] = 0
    (points,) = points_of(detected(labels))
    assert overlap_with(points, drawn((1, disc(60, 80, 24))) == 1) > 0.93


def test_a_cell_of_hardly_any_pixels_has_no_line() -> None:
    labels = drawn((1, disc(60, 80, 24)))
    labels[10, 10] = 2
    labels[20, 20:22] = 3
    labels[100:102, 20:22] = 4
    found = detected(labels)
    assert found.outlines is not None
    assert found.outlines.any(axis=(1, 2)).tolist() == [True, False, False, True]
    points = points_of(found)
    assert np.isnan(points).all(axis=(1, 2)).tolist() == [False, True, True, False]
    assert overlap_with(points[3], labels == 4) > 0.6


@given(arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 5)))
def test_whatever_the_labels_points_lie_beside_their_cells_pixels(image: np.ndarray) -> None:
    found = detected(image)
    for box, points in zip(found.boxes_px, points_of(found), strict=True):
        if not np.isnan(points).any():
            assert (points >= box[:2] - 0.6).all()
            assert (points <= box[2:] + 0.6).all()


def test_where_coverage_is_a_half_there_the_line_is() -> None:
    """A disc of radius 5.3 map cells, drawn as the share of each cell that it covers."""
    y, x = (np.mgrid[: 24 * 16, : 24 * 16] + 0.5) / 16
    inside = np.hypot(y - 12.4, x - 11.7) < 5.3
    coverage = inside.reshape(24, 16, 24, 16).mean(axis=(1, 3)).astype(np.float32)
    labels = (coverage > 0.5).astype(np.uint16)
    box = np.array([[7.1, 6.4, 17.7, 17.0]])
    radii = []
    for shares in (coverage, None):
        (numbers,) = outlines_of(labels, box, shares).astype(float)
        points = box[0, :2] + (numbers - 85) / 85 * (box[0, 2:] - box[0, :2])
        radii.append(np.hypot(*(points - [12.4, 11.7]).T))
    np.testing.assert_allclose(radii[0], 5.3, atol=0.2)
    # Pixels alone do not tell so well.
    assert radii[0].std() < 0.7 * radii[1].std()


def test_of_an_instance_model_each_cell_has_its_own() -> None:
    labels = touching_discs()
    labels[20:28, 120:128] = 5
    maps, _ = maps_of(labels)
    rules = Rules(np.array([0.4], np.float32), np.ones(1, np.float32), 32.0, 0.7)
    cells = decode(maps, rules, labels.shape)
    assert gather(cells, maps, labels.shape).outlines is None
    # The speck is no cell, and what comes after it is still drawn as itself.
    found = gather(cells, maps, labels.shape, least_area_px=100, outlined=True)
    assert found.outlines is not None
    boxes = found.cells.boxes_px[:, None]
    points = boxes[..., :2] + (found.outlines - 85.0) / 85 * (boxes[..., 2:] - boxes[..., :2])
    assert len(points) == 4
    for centre, line in zip(found.centroids_px, points, strict=True):
        value = labels[tuple(centre.astype(int))]
        assert overlap_with(line, labels == value) > 0.85, value


@pytest.mark.parametrize(
    ("modality", "model", "least"),
    [("fluorescence", "nuclei", 0.9), ("phase-contrast", "phase-contrast", 0.9)],
)
def test_outlines_of_a_simulated_film_are_those_of_its_label_image(
    modality: str, model: str, least: float
) -> None:
    film = SimulatedConfig(modality=modality, frames=1, seed=3).build()
    detector = TfliteConfig(model=model).build()
    lines, ellipses = [], []
    for frame in film.frames(Run("sim", "r", lambda: 0)):
        found = detector.detect(frame, labels=True, outlines=True)
        assert found.labels is not None
        for number, (box, points) in enumerate(zip(found.boxes_px, points_of(found), strict=True), 1):
            mask = found.labels == number
            if mask.sum() >= 50:
                lines.append(overlap_with(points, mask))
                ellipses.append(overlap_with(ellipse_in(box), mask))
    assert len(lines) > 10
    # Where cells are missed, a label image gives their pixels to those that are left.
    assert np.median(lines) > least
    assert np.median(lines) > np.median(ellipses) + 0.05


def test_watershed_outlines_are_in_pixels_of_the_frame() -> None:
    frame = discs(0, [(40.0, 50.0), (100.0, 140.0)], radius=20)
    found = WatershedConfig(min_diameter_px=20).build().detect(frame, labels=True, outlines=True)
    assert len(found) == 2
    assert found.labels is not None
    for number, points in enumerate(points_of(found), 1):
        assert overlap_with(points, found.labels == number) > 0.9


@pytest.mark.parametrize("border", ["whole", "counting-frame"])
def test_outlines_keep_to_their_cells_at_the_border(border: Any) -> None:
    film = SimulatedConfig(modality="fluorescence", width_px=320, height_px=240, frames=1, seed=3).build()
    (frame,) = film.frames(Run("sim", "r", lambda: 0))
    every, some = (
        TfliteConfig(model="nuclei", border=rule).build().detect(frame, outlines=True)
        for rule in ("all", border)
    )
    rows = [int(np.flatnonzero((every.boxes_px == box).all(axis=1))[0]) for box in some.boxes_px]
    assert 0 < len(some) < len(every)
    np.testing.assert_array_equal(some.outlines, every.outlines[rows])
