from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from streamcount.tracking import KalmanConfig, KalmanTracker
from streamcount.tracking.linking import gates_px, persistence_of
from streamcount.types import ModelIdentity, TrackStatus
from tests.films import metadata, seen

T, C, L, E = TrackStatus.TENTATIVE, TrackStatus.CONFIRMED, TrackStatus.LOST, TrackStatus.ENDED


def follow(film, config=None, gaps=None):
    """All tracks of each frame of a film, `gaps` being missed frames before a frame."""
    tracker = KalmanTracker(config)
    state, every = tracker.initial_state(), []
    for number, detections in enumerate(film):
        state, tracks = tracker.update(state, detections, (gaps or {}).get(number, 0))
        every.append(tracks)
    return state, every


def one_cell(*present, speed=3.0, odd=0.1):
    """A cell at (100, 100 + speed a frame), seen in the frames given as True."""
    return [
        seen(
            i,
            [(100, 100 + speed * i)] if there else [],
            odd=odd if np.isscalar(odd) else [odd[i]][: int(there)],
        )
        for i, there in enumerate(present)
    ]


@pytest.mark.parametrize(
    ("present", "statuses"),
    [
        ((1, 1, 1, 1), (T, T, C, C)),
        ((1, 0, 0), (T, T, E)),
        ((1, 0, 1, 1), (T, T, T, C)),
        ((1, 1, 0, 1), (T, T, T, C)),
        ((1, 1, 0, 0), (T, T, T, E)),
        ((1, 1, 1, 0, 1), (T, T, C, L, C)),
        ((1, 1, 1, 0, 0, 1), (T, T, C, L, L, C)),
        ((1, 1, 1, 0, 0, 0), (T, T, C, L, L, E)),
    ],
)
def test_life_of_a_track(present, statuses):
    _, every = follow(one_cell(*present))
    assert [int(tracks.status[0]) for tracks in every] == [int(status) for status in statuses]
    assert [int(tracks.previous_status[0]) for tracks in every] == [int(T), *map(int, statuses[:-1])]
    assert {int(tracks.track_ids[0]) for tracks in every} == {1}
    assert [int(tracks.detection_rows[0]) >= 0 for tracks in every] == [bool(there) for there in present]


def shown(detections, *intensities):
    return msgspec.structs.replace(detections, intensities=np.array(intensities, np.float32))


@pytest.mark.parametrize(
    ("weight", "first", "rows"),
    [(0.25, (-0.4, 0.3), [1, 0]), (0.0, (-0.4, 0.3), [0, 1]), (0.25, (np.nan, np.nan), [0, 1])],
    ids=["as bright as before", "turned off", "not known before"],
)
def test_of_two_that_may_be_either_each_stays_as_bright_as_it_was(weight, first, rows):
    before = [shown(seen(i, [(100, 100), (100, 120)]), *first) for i in range(5)]
    # Both have moved by about half of their distance, so that place alone is wrong by a little.
    after = shown(seen(5, [(108, 109.5), (92, 110.5)]), 0.3, -0.4)
    _, every = follow([*before, after], KalmanConfig(intensity_weight=weight))
    assert every[-1].detection_rows.tolist() == rows


def test_an_intensity_is_smoothed_kept_while_unknown_and_stored_on_a_grid():
    places = [(100, 100)]
    film = [shown(seen(0, places), np.nan), seen(1, places), shown(seen(2, places), 0.5)]
    film += [shown(seen(3, places), 0.3), shown(seen(4, places), np.nan)]
    states = [follow(film[: i + 1])[0].intensities for i in range(5)]
    np.testing.assert_array_equal(np.concatenate(states), np.float32([-2, -2, 0.5, 819 / 2048, 819 / 2048]))


def test_an_ended_track_is_forgotten_and_its_id_not_given_again():
    state, every = follow(one_cell(1, 0, 0, 1))
    assert every[3].track_ids.tolist() == [2]
    assert state.track_ids.tolist() == [2]
    assert state.next_track_id == 3


@pytest.mark.parametrize(("hits", "misses"), [(1, 0), (2, 1), (5, 4)])
def test_hits_and_misses_are_settings(hits, misses):
    config = KalmanConfig(confirm_hits=hits, max_misses=misses)
    _, every = follow(one_cell(*[1] * hits, *[0] * (misses + 1)), config)
    statuses = [int(tracks.status[0]) for tracks in every]
    assert statuses == [T] * (hits - 1) + [C] + [L] * misses + [E]


def test_a_cell_faster_than_its_gate_is_followed_once_its_speed_is_known():
    film = [seen(0, [(50, 50)]), seen(1, [(50, 65)]), seen(2, [(50, 87)])]
    film += [seen(2 + i, [(50, 87 + 29 * i)]) for i in range(1, 6)]
    _, every = follow(film)
    assert {tuple(tracks.track_ids.tolist()) for tracks in every} == {(1,)}
    np.testing.assert_allclose(every[-1].velocities_px[0], [0, 29], atol=2)


def test_crossing_cells_keep_their_identity():
    film = [seen(i, [(50 + 4 * i, 50 + 4 * i), (50 + 4 * i, 130 - 4 * i)]) for i in range(21)]
    _, every = follow(film)
    assert every[0].track_ids.tolist() == every[-1].track_ids.tolist() == [1, 2]
    first, last = every[0], every[-1]
    assert first.centroids_px[0, 1] < first.centroids_px[1, 1]
    assert last.centroids_px[0, 1] > last.centroids_px[1, 1]


def test_a_missed_cell_is_predicted_where_it_goes():
    _, every = follow(one_cell(1, 1, 1, 1, 1, 0, speed=6.0))
    np.testing.assert_allclose(every[-1].centroids_px[0], [100, 130], atol=1.0)
    assert every[-1].last_sequences.tolist() == [4]


@pytest.mark.parametrize("gap", [1, 5, 20])
def test_a_hole_is_no_miss(gap):
    film = [seen(i, [(100, 100 + i)]) for i in range(5)] + [seen(5 + gap, [(100, 105)]), seen(6 + gap, [])]
    _, every = follow(film, gaps={5: gap})
    assert every[5].track_ids.tolist() == [1]
    assert every[5].status.tolist() == [C]
    assert every[6].status.tolist() == [L]


def test_a_track_not_found_after_a_hole_has_one_miss():
    film = [*one_cell(1, 1, 1, 1), seen(24, []), seen(25, []), seen(26, [])]
    _, every = follow(film, gaps={4: 20})
    assert [int(tracks.status[0]) for tracks in every[4:]] == [L, L, E]


def test_after_a_very_long_hole_all_is_new():
    film = [*one_cell(1, 1, 1, 1), seen(40, [(100, 109)])]
    _, every = follow(film, KalmanConfig(max_gap_frames=30), gaps={4: 36})
    assert every[-1].track_ids.tolist() == [1, 2]
    assert every[-1].status.tolist() == [E, T]
    assert every[-1].detection_rows.tolist() == [-1, 0]


def test_class_is_the_mean_over_life():
    _, every = follow(one_cell(*[1] * 6, odd=[0.1, 0.1, 0.1, 0.95, 0.95, 0.95]))
    assert [int(tracks.class_ids[0]) for tracks in every] == [0, 0, 0, 0, 0, 1]


def test_classes_of_another_model_start_anew_and_equal_names_are_kept():
    other = ModelIdentity("other", "1" * 64, ("odd", "flat", "tall"))
    film = [seen(i, [(50, 50), (50, 150)], odd=[0.1, 0.9]) for i in range(4)]
    film += [seen(4, [(50, 150)], model=other), seen(5, [(50, 50), (50, 150)], model=other, odd=0.9)]
    state, every = follow(film)
    assert every[3].class_ids.tolist() == [0, 1]
    assert every[4].class_ids.tolist() == [0, 0]  # "odd" is all that both models know
    assert every[5].class_ids.tolist() == [1, 0]
    assert state.class_sums.shape == (2, 3)
    assert every[5].track_ids.tolist() == [1, 2]


def test_an_empty_film():
    state, every = follow([seen(0, []), seen(1, [])])
    assert len(state) == 0
    assert all(len(tracks) == 0 for tracks in every)


def test_seconds_out_of_sight_hold_at_any_frame_rate():
    present = (1, 1, 1, 0, 0, 0, 0, 1)
    _, every = follow(one_cell(*present, speed=0), KalmanConfig(max_unseen_s=4.5))
    assert every[-1].track_ids.tolist() == [1]
    _, every = follow(one_cell(*present, speed=0), KalmanConfig(max_unseen_s=3.5))
    assert every[-1].track_ids.tolist() == [2]


@pytest.mark.parametrize(("speed_um_s", "linked"), [(2.0, False), (6.0, True)])
def test_no_cell_is_faster_than_it_can_be(speed_um_s, linked):
    film = [seen(i, [(100, 100 + (15 if i == 4 else 0))]) for i in range(5)]
    film = [
        msgspec.structs.replace(frame, metadata=msgspec.structs.replace(frame.metadata, pixel_size_um=0.5))
        for frame in film
    ]
    _, every = follow(film, KalmanConfig(max_speed_um_s=speed_um_s))
    assert (every[-1].track_ids.tolist() == [1]) is linked


def stepping(kind, frames=24, seed=3):
    """25 cells of 20 px in a lattice of 90 px, that go some 10 px a frame: to and fro by chance, or straight on."""
    rng = np.random.default_rng(seed)
    home = np.stack(np.meshgrid(*[np.arange(5) * 90.0 + 300] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    heading = rng.normal(0, 8.5, home.shape)
    steps = rng.normal(0, 8.5, (frames, *home.shape))
    places = home + (
        np.cumsum(steps, axis=0) if kind == "chance" else np.arange(frames)[:, None, None] * heading
    )
    return [seen(i, there, shape=(1200, 1200)) for i, there in enumerate(places)]


@pytest.mark.parametrize(("kind", "least", "most"), [("chance", 0.0, 0.3), ("straight", 0.9, 0.95)])
def test_how_much_of_its_speed_a_cell_keeps_is_learned(kind, least, most):
    state, _ = follow(stepping(kind)[:8])
    assert least <= persistence_of(state, 0.95) <= most


def test_cells_that_go_far_by_chance_between_two_frames_are_followed():
    film = stepping("chance", frames=12)
    _, every = follow(film)
    ids = [tracks.track_ids[np.argsort(tracks.detection_rows)][-25:] for tracks in every]
    same = np.mean([np.mean(one == other) for one, other in pairwise(ids)])
    assert same > 0.95


def test_a_gate_widens_where_cells_go_far():
    state, _ = follow(stepping("chance")[:8])
    near = msgspec.structs.replace(state, surprise_diameters=0.1)
    far = msgspec.structs.replace(state, surprise_diameters=0.6)
    wide = msgspec.structs.replace(state, surprise_diameters=6.0)
    gates = [gates_px(KalmanConfig(), one, metadata(8)).max() / 20 for one in (near, far, wide)]
    assert gates == pytest.approx([1.0, 4 * 0.6, 3 * 1.25], rel=0.01)
