from __future__ import annotations

import numpy as np

from streamcount.tracking.motion import MotionModel

DIAMETERS = np.array([10.0, 20.0])


def test_filter_is_the_textbook_kalman_filter():
    model = MotionModel()
    motion = np.array([[5.0, 6.0, 1.0, -2.0], [50.0, 60.0, 0.0, 3.0]])
    covariances = np.array([[2.0, 0.5, 1.0], [4.0, -0.3, 2.0]])
    predicted, spread = model.predict(motion, covariances, DIAMETERS, 1)
    seen = np.array([[6.5, 4.5], [49.0, 64.0]])
    corrected, sharper = model.correct(predicted, spread, seen, DIAMETERS)
    transition = np.array([[1.0, model.persistence], [0.0, model.persistence]])
    look = np.array([[1.0, 0.0]])
    for row, diameter in enumerate(DIAMETERS):
        noise = (model.acceleration * diameter) ** 2 * np.array([[0.25, 0.5], [0.5, 1.0]])
        a, b, c = covariances[row]
        before = transition @ np.array([[a, b], [b, c]]) @ transition.T + noise
        np.testing.assert_allclose(spread[row], [before[0, 0], before[0, 1], before[1, 1]])
        gain = before @ look.T / (before[0, 0] + (model.measurement * diameter) ** 2)
        after = (np.eye(2) - gain @ look) @ before
        np.testing.assert_allclose(sharper[row], [after[0, 0], after[0, 1], after[1, 1]])
        for axis in (0, 1):
            state = transition @ motion[row, [axis, axis + 2]]
            expected = state + gain[:, 0] * (seen[row, axis] - state[0])
            np.testing.assert_allclose(corrected[row, [axis, axis + 2]], expected)


def test_a_hole_of_two_is_two_holes_of_one():
    model = MotionModel()
    motion, covariances = np.array([[5.0, 6.0, 1.0, -2.0]]), model.start(DIAMETERS[:1])
    at_once = model.predict(motion, covariances, DIAMETERS[:1], 2)
    by_one = model.predict(*model.predict(motion, covariances, DIAMETERS[:1], 1), DIAMETERS[:1], 1)
    assert all(np.array_equal(one, other) for one, other in zip(at_once, by_one, strict=True))
