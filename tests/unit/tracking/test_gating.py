from __future__ import annotations

import numpy as np
import pytest

from streamcount.statistics import median
from streamcount.tracking import gating
from streamcount.tracking.gating import (
    class_difference,
    intensity_difference,
    overlaps,
    pairs_within,
    size_difference,
    usual_contrast,
)


@pytest.mark.parametrize("uneven", [0.0, np.inf], ids=["tree", "grid"])
@pytest.mark.parametrize("least", [0, -500])
def test_pairs_are_those_within_each_points_own_radius(uneven, least, monkeypatch):
    monkeypatch.setattr(gating, "UNEVEN_RADII", uneven)
    rng = np.random.default_rng(0)
    points, targets = rng.uniform(least, 100, (60, 2)), rng.uniform(least, 100, (70, 2))
    radii = rng.choice([1.0, 7.0, 30.0, 200.0], 60)
    rows, columns, distances = pairs_within(points, radii, targets)
    all_distances = np.linalg.norm(points[:, None] - targets[None], axis=2)
    expected = np.argwhere(all_distances <= radii[:, None])
    assert np.array_equal(np.stack([rows, columns], axis=1), expected)
    np.testing.assert_allclose(distances, all_distances[rows, columns])


@pytest.mark.parametrize("seed", range(20))
def test_the_grid_hides_no_pair_at_any_scale_or_number(seed):
    rng = np.random.default_rng(seed)
    side = 10 ** rng.uniform(-2, 4)
    numbers = rng.choice([1, 5, 60, 300], 2)
    # Points may lie outside of all targets; whole numbers are at the distance of the radius exactly.
    points, targets = (
        rng.uniform(*ends, (n, 2)) for n, ends in zip(numbers, [(-side, 2 * side), (0, side)], strict=True)
    )
    radii = rng.uniform(0.4, 1, len(points)) * 10 ** rng.uniform(-1, 3.5)
    if seed % 2:
        points, targets, radii = np.round(points), np.round(targets), np.ceil(radii)
    rows, columns, distances = pairs_within(points, radii, targets)
    away = targets[None] - points[:, None]
    every = np.hypot(away[..., 0], away[..., 1])
    assert np.array_equal(np.stack([rows, columns], axis=1), np.argwhere(every <= radii[:, None]))
    assert np.array_equal(distances, every[rows, columns])


@pytest.mark.parametrize("number", [1, 2, 3, 10, 101])
def test_median_is_that_of_numpy(number):
    values = np.random.default_rng(number).normal(size=number)
    assert median(values) == np.median(values)


def test_intensities_differ_in_shares_of_the_usual_contrast():
    one, other = np.array([0.3, -0.2, 0.1, -2, 0.1]), np.array([0.1, -0.2, -0.9, 0.1, np.nan])
    np.testing.assert_allclose(intensity_difference(one, other, 0.4), [0.5, 0, 1, 0, 0])
    assert usual_contrast(np.array([0.3, np.nan, -0.4, 0.1], np.float32)) == np.float32(0.3)
    # Where all look like the ground, differences are chance.
    assert usual_contrast(np.array([0.001, -0.002])) == 0.02
    assert usual_contrast(np.array([np.nan])) == 1.0


def test_no_points_no_pairs():
    none = np.empty((0, 2))
    assert all(len(part) == 0 for part in pairs_within(none, np.empty(0), np.ones((3, 2))))
    assert all(len(part) == 0 for part in pairs_within(np.ones((3, 2)), np.ones(3), none))


def test_overlap():
    box = np.array([[0.0, 0.0, 2.0, 2.0]])
    for other, expected in (
        ([0, 0, 2, 2], 1.0),
        ([0, 1, 2, 3], 1 / 3),
        ([2, 2, 4, 4], 0.0),
        ([1, 1, 1, 1], 0.0),
    ):
        np.testing.assert_allclose(overlaps(box, np.array([other], float)), expected)
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [0.0]


def test_size_and_class_difference():
    np.testing.assert_allclose(
        size_difference(np.array([5.0, 8.0, 1.0, 100.0]), np.array([5.0, 4.0, 4.0, 1.0])), [0, 0.5, 1, 1]
    )
    sums = np.array([[3.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(class_difference(sums, np.array([[0.0, 1.0]] * 3)), [1.0, 0.5, 0.0])
    assert class_difference(np.ones((2, 1)), np.ones((2, 1))).tolist() == [0.0, 0.0]
