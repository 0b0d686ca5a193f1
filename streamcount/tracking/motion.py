"""How cells are expected to move: a Kalman filter per track, all tracks at once.

The state is position and velocity per axis (constant velocity driven by white acceleration; Bar-Shalom, Li
and Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, section 6.3), the velocity
fading with a persistence below 1 as in the persistent random walk of crawling cells (Fürth 1920). Both axes
have the same noise, so one 2x2 covariance serves both and is kept as three numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float64Array: TypeAlias = NDArray[np.float64]


def as_spreads(covariances: Float64Array) -> NDArray[np.float16]:
    """(N, 3) standard deviations of position and velocity, and their correlation, for keeping; see `as_covariances`.

    In half precision: a part in two thousand of an uncertainty is nothing. Variances would not fit into it.
    """
    a, b, c = covariances.T
    deviations = np.sqrt(a * c)
    correlation = np.divide(b, deviations, out=np.zeros_like(b), where=deviations > 0)
    return np.stack([np.sqrt(a), np.sqrt(c), correlation], axis=1).astype(np.float16)


def as_covariances(spreads: NDArray[np.float16]) -> Float64Array:
    """(N, 3) variance of position, covariance, and variance of velocity."""
    position, velocity, correlation = spreads.astype(np.float64).T
    return np.stack([position * position, correlation * position * velocity, velocity * velocity], axis=1)


def _beside(positions: Float64Array, velocities: Float64Array) -> Float64Array:
    """(N, 4); filling an array is much quicker than np.concatenate along so short an axis."""
    result = np.empty((len(positions), 4))
    result[:, :2], result[:, 2:] = positions, velocities
    return result


@dataclass(frozen=True)
class MotionModel:
    """Noise in cell diameters, so that it holds at any magnification.

    measurement: error of a centroid. acceleration: change of velocity in a frame. initial_velocity: of a cell
    that was seen once. persistence: share of the velocity that is left in the next frame.
    """

    measurement: float = 0.05
    acceleration: float = 0.10
    initial_velocity: float = 0.50
    persistence: float = 0.95

    def start(self, diameters_px: Float64Array) -> Float64Array:
        """(N, 3) covariances of tracks seen once. diameters_px: (N,)."""
        position = np.square(self.measurement * diameters_px)
        velocity = np.square(self.initial_velocity * diameters_px)
        return np.stack([position, np.zeros_like(position), velocity], axis=1)

    def predict(
        self, motion: Float64Array, covariances: Float64Array, diameters_px: Float64Array, frames: int
    ) -> tuple[Float64Array, Float64Array]:
        """Motion (N, 4) and covariances (N, 3), `frames` frames later."""
        rho = self.persistence
        noise = np.square(self.acceleration * diameters_px)
        position, velocity = motion[:, :2], motion[:, 2:]
        a, b, c = covariances.T
        # Frame by frame, so that a hole of two is the same as two holes of one.
        for _ in range(frames):
            velocity = velocity * rho
            position = position + velocity
            b, c = rho * b, rho * rho * c
            a, b, c = a + 2 * b + c + noise / 4, b + c + noise / 2, c + noise
        return _beside(position, velocity), np.stack([a, b, c], axis=1)

    def correct(
        self,
        motion: Float64Array,
        covariances: Float64Array,
        centroids_px: Float64Array,
        diameters_px: Float64Array,
    ) -> tuple[Float64Array, Float64Array]:
        """Motion and covariances after seeing the centroids (N, 2), row by row."""
        a, b, c = covariances.T
        total = a + np.square(self.measurement * diameters_px)
        gain_position, gain_velocity = a / total, b / total
        error = centroids_px - motion[:, :2]
        corrected = _beside(
            motion[:, :2] + gain_position[:, None] * error, motion[:, 2:] + gain_velocity[:, None] * error
        )
        return corrected, np.stack(
            [(1 - gain_position) * a, (1 - gain_position) * b, c - gain_velocity * b], axis=1
        )
