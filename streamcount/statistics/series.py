"""Counts over time in bounded memory: what a doubling time is fitted to.

Frames are summed in bins of equal numbers of frames. When there are as many bins as may be, each two become one and
the next are twice as long, so that a run of a minute and one of a month both keep between 256 and 512 points.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from streamcount.statistics.intervals import Float64Array

MOST_BINS = 512
NS_PER_S, S_PER_H = 1e9, 3600.0


class GrowthState(msgspec.Struct, frozen=True, eq=False):
    """The counts of a camera so far.

    started_at_ns: of the first frame; last_offset_s: of the last one, in seconds after it, -1 before any.
    frames_per_bin: in each closed bin.
    offsets_s, counts: (N,) float64 of the closed bins, N < 512: sum of the frames' offsets, and of their counts.
    open_offset_s, open_count, open_frames: the like of the bin that is being filled.
    """

    started_at_ns: int
    last_offset_s: float
    frames_per_bin: int
    offsets_s: Float64Array
    counts: Float64Array
    open_offset_s: float = 0.0
    open_count: float = 0.0
    open_frames: int = 0


class Series(NamedTuple):
    """N points in order of time: hours after `started_at_ns`, summed counts, and frames in each; float64."""

    started_at_ns: int
    times_h: Float64Array
    counts: Float64Array
    frames: Float64Array


def no_counts() -> GrowthState:
    """Before the first frame."""
    return GrowthState(
        started_at_ns=0,
        last_offset_s=-1.0,
        frames_per_bin=1,
        offsets_s=np.empty(0, np.float64),
        counts=np.empty(0, np.float64),
    )


def observe(state: GrowthState, time_ns: int, count: float) -> GrowthState:
    """The state with the count of one more frame. A frame that is not later than the last one changes nothing.

    Raises ValueError where the count is negative or not finite.
    """
    if not 0 <= count < np.inf:
        raise ValueError(f"a count is finite and not negative, not {count}")
    if state.last_offset_s < 0:
        state = msgspec.structs.replace(state, started_at_ns=time_ns)
    offset_s = (time_ns - state.started_at_ns) / NS_PER_S
    if offset_s <= state.last_offset_s:
        return state
    state = msgspec.structs.replace(
        state,
        last_offset_s=offset_s,
        open_offset_s=state.open_offset_s + offset_s,
        open_count=state.open_count + count,
        open_frames=state.open_frames + 1,
    )
    return _closed(state) if state.open_frames == state.frames_per_bin else state


def _closed(state: GrowthState) -> GrowthState:
    offsets_s = np.append(state.offsets_s, state.open_offset_s)
    counts = np.append(state.counts, state.open_count)
    frames_per_bin = state.frames_per_bin
    if len(counts) == MOST_BINS:
        offsets_s, counts = (each.reshape(-1, 2).sum(axis=1) for each in (offsets_s, counts))
        frames_per_bin *= 2
    return msgspec.structs.replace(
        state,
        frames_per_bin=frames_per_bin,
        offsets_s=offsets_s,
        counts=counts,
        open_offset_s=0.0,
        open_count=0.0,
        open_frames=0,
    )


def series_of(state: GrowthState) -> Series:
    """All points, the bin that is being filled included."""
    frames = np.full(len(state.counts), float(state.frames_per_bin))
    offsets_s, counts = state.offsets_s, state.counts
    if state.open_frames:
        offsets_s = np.append(offsets_s, state.open_offset_s)
        counts = np.append(counts, state.open_count)
        frames = np.append(frames, float(state.open_frames))
    return Series(state.started_at_ns, offsets_s / frames / S_PER_H, counts, frames)


def coarse(series: Series, most: int) -> Series:
    """The same in at most so many points, each the sum of equally many that follow each other."""
    size = -(-len(series.times_h) // most)
    if size <= 1:
        return series
    starts = np.arange(0, len(series.times_h), size)
    frames = np.add.reduceat(series.frames, starts)
    times_h = np.add.reduceat(series.times_h * series.frames, starts) / frames
    return Series(series.started_at_ns, times_h, np.add.reduceat(series.counts, starts), frames)
