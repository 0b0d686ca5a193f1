from __future__ import annotations

import numpy as np
import pytest

from streamcount.events.borders import moves_out, outside, touched_edges, touched_neighbours

SHAPE = (100, 200)


@pytest.mark.parametrize(
    ("box", "edges"),
    [
        ((40, 40, 60, 60), (0, 0, 0, 0)),
        ((2, 40, 60, 60), (1, 0, 0, 0)),
        ((40, 0, 60, 60), (0, 1, 0, 0)),
        ((40, 40, 98, 60), (0, 0, 1, 0)),
        ((40, 40, 60, 200), (0, 0, 0, 1)),
        ((0, 0, 100, 200), (1, 1, 1, 1)),
    ],
)
def test_touched_edges(box, edges):
    assert touched_edges(np.array([box], np.float32), SHAPE, 3.0)[0].tolist() == [
        bool(edge) for edge in edges
    ]


@pytest.mark.parametrize(
    ("box", "velocity", "leaves"),
    [
        ((0, 40, 20, 60), (-2, 0), True),
        ((0, 40, 20, 60), (2, 0), False),
        ((0, 40, 20, 60), (0, -2), False),
        ((0, 40, 20, 60), (-0.1, 0), False),
        ((40, 180, 60, 200), (0, 2), True),
        ((80, 40, 100, 60), (2, 0), True),
        ((40, 40, 60, 60), (-9, 0), False),
    ],
)
def test_leaving_is_touching_an_edge_and_moving_towards_it(box, velocity, leaves):
    boxes, velocities = np.array([box], np.float32), np.array([velocity], np.float32)
    assert moves_out(boxes, velocities, SHAPE, 3.0, 0.02).tolist() == [leaves]


def test_outside():
    points = np.array([(0, 0), (-0.5, 5), (5, 200), (99.9, 199.9), (100, 0)], np.float32)
    assert outside(points, SHAPE).tolist() == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("one", "other", "touch"),
    [
        ((40, 40, 60, 60), (40, 55, 60, 75), True),
        ((40, 40, 60, 60), (40, 60, 60, 80), False),
        ((40, 40, 60, 60), (55, 42, 75, 62), True),
        # Boxes that share a corner hold round cells that lie apart.
        ((40, 40, 60, 60), (55, 55, 75, 75), False),
        ((40, 40, 60, 60), (45, 45, 50, 50), True),
        ((0, 0, 100, 20), (80, 5, 90, 15), True),
        ((0, 0, 20, 20), (150, 0, 170, 20), False),
    ],
)
def test_touched_neighbours(one, other, touch):
    boxes = np.array([(300, 300, 320, 320), one, other], np.float32)
    assert touched_neighbours(boxes, np.arange(3)).tolist() == [False, touch, touch]
    assert touched_neighbours(boxes[::-1].copy(), np.array([0])).tolist() == [touch]
    assert touched_neighbours(boxes[:1], np.array([0])).tolist() == [False]


def test_all_pairs_that_touch_are_found():
    rng = np.random.default_rng(5)
    middles, halves = rng.uniform(0, 400, (120, 2)), rng.uniform(4, 30, (120, 2))
    boxes = np.concatenate([middles - halves, middles + halves], axis=1).astype(np.float32)
    between = np.abs(middles[:, None] - middles) / (halves[:, None] + halves)
    near = np.square(between).sum(axis=2) < 0.64
    np.fill_diagonal(near, False)
    found = touched_neighbours(boxes, np.arange(120))
    assert 10 < found.sum() < 110
    np.testing.assert_array_equal(found, near.any(axis=1))
