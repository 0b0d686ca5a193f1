from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streamcount.tracking import KalmanConfig
from streamcount.tracking.drift import common_shift
from streamcount.types import TrackStatus
from tests.films import living


def scattered(seed, cells=60, size=600):
    return np.random.default_rng(seed).uniform(0, size, (cells, 2))


@pytest.mark.parametrize("shift", [(0.0, 30.0), (-12.5, 7.25), (40.0, -41.0), (3.0, 4.0)])
def test_finds_the_shift_to_a_fraction_of_a_pixel(shift):
    rng, places = np.random.default_rng(1), scattered(2)
    found = (places + shift + rng.normal(0, 0.5, places.shape))[rng.permutation(60)[:54]]
    found = np.concatenate([found, scattered(3, 5)])
    np.testing.assert_allclose(common_shift(places, found, 20.0), shift, atol=0.4)


@pytest.mark.parametrize("spread", [0.0, 1.0, 8.0])
def test_cells_that_move_each_for_itself_are_no_shift(spread):
    places = scattered(4)
    found = places + np.random.default_rng(5).normal(0, spread, places.shape)
    assert common_shift(places, found, 20.0).tolist() == [0, 0]


def test_another_field_of_cells_is_no_shift():
    assert common_shift(scattered(6), scattered(7), 20.0).tolist() == [0, 0]


def test_few_cells_tell_nothing():
    assert common_shift(scattered(8, 5), scattered(8, 5) + 30, 20.0).tolist() == [0, 0]
    assert common_shift(np.empty((0, 2)), np.empty((0, 2)), 20.0).tolist() == [0, 0]


def jumping(seed):
    """A film on a stage that jumps by more than a cell every few frames."""
    rng, film, at = np.random.default_rng(seed), [], np.zeros(2)
    for frame in living(20, 30, seed, miss=0.0):
        if frame.metadata.sequence % 4 == 3:
            at = at + rng.uniform(-40, 40, 2)
        both = np.concatenate([at, at]).astype(np.float32)
        film.append(
            msgspec.structs.replace(
                frame,
                image_shape=(9000, 9000),
                centroids_px=frame.centroids_px + 1000 + both[:2],
                boxes_px=frame.boxes_px + 1000 + both,
            )
        )
    return film


def ids_ended(config, film):
    tracker, ended = config.build(), 0
    state = tracker.initial_state()
    for detections in film:
        state, tracks = tracker.update(state, detections, 0)
        trusted = tracks.previous_status != TrackStatus.TENTATIVE
        ended += int(((tracks.status == TrackStatus.ENDED) & trusted).sum())
    return ended


def test_a_jump_of_the_stage_costs_no_identity():
    film = jumping(9)
    still = [
        msgspec.structs.replace(
            frame,
            image_shape=(9000, 9000),
            centroids_px=frame.centroids_px + 1000,
            boxes_px=frame.boxes_px + 1000,
        )
        for frame in living(20, 30, 9, miss=0.0)
    ]
    assert ids_ended(KalmanConfig(), film) == ids_ended(KalmanConfig(), still)
    assert ids_ended(KalmanConfig(remove_stage_drift=False), film) > 20
