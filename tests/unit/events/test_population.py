"""What is usual among a camera's cells, learned from streams of numbers whose middle and spread are known."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.events.population import LEAST_SPREAD, deviations, empty_population, learned


def stream(values, class_id=0, classes=2, size=200, batch=7):
    """A population that was shown these values (n, 3) of one class, a few at a time."""
    population = empty_population(classes, size)
    for start in range(0, len(values), batch):
        part = np.asarray(values[start : start + batch], np.float32)
        ids = np.full(len(part), class_id, np.int64)
        population = learned(population, ids, part, np.ones(len(part), np.bool_))
    return population


def normal(count, middle=(5.0, 0.3, -0.2), spread=(0.2, 0.1, 0.05), seed=1):
    return np.random.default_rng(seed).normal(middle, spread, (count, 3))


def test_deviations_are_those_of_a_normal_population():
    population = stream(normal(30_000), size=20_000)
    points = np.array([[5.0, 0.3, -0.2], [5.6, 0.6, -0.05], [4.4, 0.0, -0.35]], np.float32)
    found = deviations(population, np.zeros(3, np.int64), points)
    np.testing.assert_allclose(found, [[0, 0, 0], [3, 3, 3], [-3, -3, -3]], atol=0.15)


def test_a_fifth_of_outliers_hardly_moves_what_is_usual():
    values = normal(1000)
    values[::5] += 4.0
    with_outliers, without = stream(values), stream(normal(1000))
    point, one = np.array([[9.0, 4.3, 3.8]], np.float32), np.zeros(1, np.int64)
    assert (deviations(with_outliers, one, point) > 6).all()
    moved = with_outliers.quartiles[0, :, 1] - without.quartiles[0, :, 1]
    assert (np.abs(moved) < [0.1, 0.05, 0.03]).all()


def test_each_side_has_a_spread_of_its_own():
    skewed = np.random.default_rng(2).exponential(1.0, (1000, 3))
    population = stream(skewed, size=1000)
    one = np.zeros(1, np.int64)
    middle = population.quartiles[0, :, 1]
    above = deviations(population, one, (middle + 0.5)[None])
    below = deviations(population, one, (middle - 0.5)[None])
    assert (above < -below).all()


def test_old_cells_are_forgotten_and_the_state_stays_as_large():
    population = stream(np.concatenate([normal(1000), normal(200, middle=(8.0, 1.0, 0.4))]), size=200)
    np.testing.assert_allclose(population.quartiles[0, :, 1], [8.0, 1.0, 0.4], atol=0.05)
    assert population.samples.shape == (2, 200, 3)
    assert population.learned.tolist() == [1200, 0]


@pytest.mark.parametrize("batch", [1, 3, 500])
def test_the_size_of_the_batches_changes_nothing(batch):
    values = normal(450)
    one, other = stream(values, batch=batch), stream(values, batch=11)
    np.testing.assert_array_equal(one.samples, other.samples)
    np.testing.assert_array_equal(one.quartiles, other.quartiles)


def test_classes_are_kept_apart_within_one_batch():
    values = np.array([[1, 1, 1], [9, 9, 9], [2, 2, 2], [3, 3, 3]], np.float32)
    ids, first = np.array([0, 1, 0, 0]), np.array([True, True, False, True])
    population = learned(empty_population(2, 30), ids, values, first)
    assert population.quartiles[:, 0, 1].tolist() == [2.0, 9.0]
    assert population.learned.tolist() == [3, 1]
    assert population.cells.tolist() == [2, 1]


def test_equal_cells_have_a_least_spread():
    population = stream(np.full((50, 3), 2.0))
    found = deviations(population, np.zeros(1, np.int64), np.full((1, 3), 2.3, np.float32))
    np.testing.assert_allclose(found[0], 0.3 / LEAST_SPREAD, rtol=1e-3)


def test_few_cells_leave_more_doubt_than_many():
    few, many = stream(normal(30)), stream(np.tile(normal(30), (6, 1)))
    point, one = np.array([[6.0, 1.0, 0.3]], np.float32), np.zeros(1, np.int64)
    np.testing.assert_allclose(few.quartiles, many.quartiles, atol=0.03)
    assert (deviations(few, one, point) < 0.9 * deviations(many, one, point)).all()


def test_nothing_is_known_before_the_first_cell():
    found = deviations(empty_population(2, 30), np.array([1]), np.zeros((1, 3), np.float32))
    assert np.isnan(found).all()
