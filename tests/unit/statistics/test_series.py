"""Counts over time in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.statistics import coarse, no_counts, observe, series_of

SECOND_NS = 1_000_000_000


def watched(counts, start_ns=5 * SECOND_NS):
    state = no_counts()
    for index, count in enumerate(counts):
        state = observe(state, start_ns + index * SECOND_NS, count)
    return state


def test_points_are_the_frames_until_there_are_too_many():
    series = series_of(watched([3, 4, 8]))
    assert series.started_at_ns == 5 * SECOND_NS
    assert (series.times_h * 3600).tolist() == pytest.approx([0, 1, 2])
    assert series.counts.tolist() == [3, 4, 8]
    assert series.frames.tolist() == [1, 1, 1]


@given(st.integers(1, 3000))
@settings(max_examples=20, deadline=None)
def test_no_count_is_lost_and_memory_is_bounded(frames):
    counts = np.arange(frames) % 7
    state = watched(counts)
    series = series_of(state)
    assert series.counts.sum() == counts.sum()
    assert series.frames.sum() == frames
    assert len(series.times_h) <= 512
    assert len(series.times_h) >= min(frames, 256)
    # Each point lies in the middle of its frames, which follow each other without a gap.
    ends = np.cumsum(series.frames)
    assert series.times_h * 3600 == pytest.approx(ends - series.frames / 2 - 0.5)


def test_fewer_points_hold_the_same():
    series = series_of(watched(np.arange(300)))
    fewer = coarse(series, 64)
    assert len(fewer.counts) == 60
    assert fewer.counts.sum() == series.counts.sum()
    assert (fewer.times_h * fewer.frames).sum() == pytest.approx((series.times_h * series.frames).sum())
    assert coarse(series, 300) is series


def test_a_frame_that_is_not_later_changes_nothing():
    state = watched([1, 2])
    assert observe(state, 6 * SECOND_NS, 9) is state
    assert observe(state, 4 * SECOND_NS, 9) is state


def test_times_far_from_now_keep_their_spacing():
    late_ns = 1_900_000_000 * SECOND_NS + 7
    assert (series_of(watched([1, 1], late_ns)).times_h * 3600).tolist() == pytest.approx([0, 1], abs=1e-9)


@pytest.mark.parametrize("count", [-1, float("nan"), float("inf")])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(ValueError):
        observe(no_counts(), 0, count)
