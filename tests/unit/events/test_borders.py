from __future__ import annotations

import numpy as np
import pytest

from streamcount.events.borders import moves_out, outside, touched_edges

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
