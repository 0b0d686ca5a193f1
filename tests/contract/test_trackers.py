"""What every tracker keeps, whatever it is."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.events import meanings
from streamcount.tracking import KalmanConfig, Tracker, TrackerConfig
from streamcount.types import Divisions, TrackStatus
from tests.films import wandering

CONFIGS: list[TrackerConfig] = [KalmanConfig(), KalmanConfig(confirm_hits=1, max_misses=0)]


@pytest.fixture(params=CONFIGS, ids=["kalman", "kalman-hasty"])
def tracker(request) -> Tracker:
    return request.param.build()


def run(tracker, film):
    state, every = tracker.initial_state(), []
    for detections in film:
        state, tracks = tracker.update(state, detections, 0)
        every.append(tracks)
    return state, every


def same(one, other, but=()):
    for name in one.__struct_fields__:
        left, right = getattr(one, name), getattr(other, name)
        equal = same if isinstance(left, Divisions) else np.array_equal
        if name not in but and not equal(left, right):
            return False
    return True


def test_each_frame_is_whole(tracker):
    film = wandering(40, 60, seed=1)
    _, every = run(tracker, film)
    for detections, tracks in zip(film, every, strict=True):
        number = len(tracks)
        assert tracks.metadata == detections.metadata
        assert tracks.image_shape == detections.image_shape
        assert (np.diff(tracks.track_ids) > 0).all()
        assert (tracks.track_ids > 0).all()
        rows = tracks.detection_rows[tracks.detection_rows >= 0]
        assert sorted(rows.tolist()) == list(range(len(detections)))
        seen = tracks.detection_rows >= 0
        assert np.array_equal(tracks.centroids_px[seen], detections.centroids_px[tracks.detection_rows[seen]])
        assert np.array_equal(tracks.boxes_px[seen], detections.boxes_px[tracks.detection_rows[seen]])
        assert (tracks.last_sequences[seen] == detections.metadata.sequence).all()
        assert (tracks.first_sequences <= tracks.last_sequences).all()
        assert np.isin(tracks.status[seen], (TrackStatus.TENTATIVE, TrackStatus.CONFIRMED)).all()
        assert (tracks.status[~seen] != TrackStatus.CONFIRMED).all()
        told = tracks.divisions
        assert (np.diff(told.mother_ids) > 0).all()
        assert np.isin(np.concatenate([told.mother_ids, told.daughter_ids.ravel()]), tracks.track_ids).all()
        for name, dtype, tail in (
            ("track_ids", np.int64, ()),
            ("parent_ids", np.int64, ()),
            ("generations", np.int32, ()),
            ("centroids_px", np.float32, (2,)),
            ("velocities_px", np.float32, (2,)),
            ("boxes_px", np.float32, (4,)),
            ("class_ids", np.int64, ()),
            ("status", np.uint8, ()),
            ("previous_status", np.uint8, ()),
            ("detection_rows", np.int64, ()),
            ("sightings", np.int32, ()),
            ("areas_px", np.float32, ()),
            ("relative_areas", np.float32, ()),
            ("first_seen_ns", np.int64, ()),
            ("last_seen_ns", np.int64, ()),
        ):
            array = getattr(tracks, name)
            assert (array.dtype, array.shape) == (dtype, (number, *tail)), name


def test_statuses_follow_the_lifecycle_from_frame_to_frame(tracker):
    before: dict[int, int] = {}
    over: set[int] = set()
    for tracks in run(tracker, wandering(60, 40, seed=2, miss=0.25))[1]:
        meanings(tracks.previous_status, tracks.status)
        ids = tracks.track_ids.tolist()
        assert not over & set(ids)
        assert set(before) <= set(ids)
        for track, was in zip(ids, tracks.previous_status.tolist(), strict=True):
            assert before.get(track, int(TrackStatus.TENTATIVE)) == was
        before = dict(zip(ids, tracks.status.tolist(), strict=True))
        over |= {track for track, status in before.items() if status == TrackStatus.ENDED}
        before = {track: status for track, status in before.items() if track not in over}
    assert over


def test_same_in_same_out(tracker):
    film = wandering(30, 50, seed=3)
    (state, every), (again, every_again) = run(tracker, film), run(tracker, film)
    assert same(state, again)
    assert all(same(one, other) for one, other in zip(every, every_again, strict=True))


def test_what_was_given_is_left_as_it_was(tracker):
    film = wandering(10, 20, seed=4)
    state = run(tracker, film[:-1])[0]
    frozen = [array for array in msgspec.structs.astuple(state) if isinstance(array, np.ndarray)]
    frozen += [array for array in msgspec.structs.astuple(film[-1]) if isinstance(array, np.ndarray)]
    before = [array.copy() for array in frozen]
    for array in frozen:
        # A write into it, and be it of what was there, is an error from here on.
        array.setflags(write=False)
    tracker.update(state, film[-1], 3)
    assert all(np.array_equal(one, other) for one, other in zip(before, frozen, strict=True))


@given(seed=st.integers(0, 2**32), shuffle=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_order_of_detections_does_not_matter(seed, shuffle):
    rng = np.random.default_rng(shuffle)
    film = wandering(12, 30, seed=seed)
    shuffled = []
    for detections in film:
        order = rng.permutation(len(detections))
        arrays = {
            name: getattr(detections, name)[order]
            for name in ("centroids_px", "boxes_px", "areas_px", "class_probabilities")
        }
        shuffled.append(msgspec.structs.replace(detections, **arrays))
    for config in CONFIGS:
        (state, every), (other, others) = run(config.build(), film), run(config.build(), shuffled)
        assert same(state, other)
        assert all(same(a, b, but=("detection_rows",)) for a, b in zip(every, others, strict=True))
