"""What must change no event: the order of the cells in a frame, and where the film lies in the plane."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.detection import LabelsConfig
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanTracker
from streamcount.types import CellEvent
from tests.films import living

ARRAYS = ("centroids_px", "boxes_px", "areas_px", "class_probabilities")


def told(film):
    pipeline = Pipeline(LabelsConfig().build(), KalmanTracker())
    state, events = pipeline.initial_state("cam"), []
    for detections in film:
        state, result = pipeline.advance(state, detections)
        events += result.events
    return events


@given(seed=st.integers(0, 2**32), shuffle=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_relabelling_the_cells_changes_no_event(seed, shuffle):
    rng, film = np.random.default_rng(shuffle), living(20, 25, seed)
    relabelled = []
    for frame in film:
        order = rng.permutation(len(frame))
        arrays = {name: getattr(frame, name)[order] for name in ARRAYS}
        relabelled.append(msgspec.structs.replace(frame, **arrays))
    assert told(relabelled) == told(film)


@given(seed=st.integers(0, 2**32), down=st.integers(0, 2000), right=st.integers(0, 2000))
@settings(max_examples=8, deadline=None)
def test_shifting_the_whole_film_shifts_the_events(seed, down, right):
    shift = np.array([down, right])
    film = living(20, 25, seed)
    # A wide field, or the edge would come nearer.
    film = [msgspec.structs.replace(frame, image_shape=(9000, 9000)) for frame in film]
    film = [_moved(frame, np.array([1000, 1000])) for frame in film]
    plain, moved = told(film), told([_moved(frame, shift) for frame in film])
    assert len(plain) == len(moved)
    for one, other in zip(plain, moved, strict=True):
        if isinstance(one, CellEvent):
            assert other.centroid_px == pytest.approx(np.array(one.centroid_px) + shift, abs=0.01)
            other = msgspec.structs.replace(other, centroid_px=one.centroid_px, box_px=one.box_px)
        assert one == other


def _moved(frame, shift):
    both = np.concatenate([shift, shift]).astype(np.float32)
    return msgspec.structs.replace(
        frame, centroids_px=frame.centroids_px + both[:2], boxes_px=frame.boxes_px + both
    )
