"""A run cut at any frame, its state stored as bytes and read back, gives the very same events."""

from __future__ import annotations

import msgspec
import numpy as np

from streamcount.detection import WatershedConfig
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanTracker
from streamcount.types import FramesMissing
from streamcount.wire import decode_state, encode_state
from tests.films import living, metadata, missing, seen, wandering


def run() -> list:
    """A run with everything in it: losses declared and not, stale frames, and another run after it."""
    film = wandering(24, 25, seed=11, miss=0.1)
    items = [*film[:8], missing(8, 9), *film[10:14], *film[12:13], *film[16:]]
    lives = [
        msgspec.structs.replace(frame, metadata=metadata(i, "run-2"))
        for i, frame in enumerate(living(30, 30, seed=5, miss=0.04))
    ]
    rng = np.random.default_rng(2)
    lives = [
        msgspec.structs.replace(life, intensities=rng.normal(0.4, 0.1, len(life)).astype(np.float32))
        for life in lives
    ]
    # A division is cut short by a hole that no track outlives.
    return [
        *items,
        *lives[:24],
        missing(24, 60, run_id="run-2"),
        seen(61, [(9, 9)], run_id="run-2"),
        film[-1],
    ]


def step(pipeline, state, item):
    return pipeline.miss(state, item) if isinstance(item, FramesMissing) else pipeline.advance(state, item)


def test_cutting_at_every_frame_changes_nothing():
    pipeline = Pipeline(WatershedConfig().build(), KalmanTracker())
    items = run()
    state, states, whole = pipeline.initial_state("cam"), [], []
    for item in items:
        states.append(state)
        state, result = step(pipeline, state, item)
        whole.append((result.skipped, result.events))
    told = [event for _, events in whole for event in events]
    kinds = {(event.kind, getattr(event, "certainty", "")) for event in told}
    assert kinds >= {
        *(
            (kind, "confirmed")
            for kind in ("CellAppeared", "CellDied", "CellLeft", "CellLost", "ClassChanged")
        ),
        *(("CellDivided", certainty) for certainty in ("provisional", "confirmed", "retracted")),
        ("CountsUpdated", ""),
        ("FramesMissing", ""),
    }
    for cut, kept in enumerate(states):
        fresh = Pipeline(WatershedConfig().build(), KalmanTracker())
        resumed = decode_state(encode_state(kept))
        for item, expected in zip(items[cut:], whole[cut:], strict=True):
            resumed, result = step(fresh, resumed, item)
            assert (result.skipped, result.events) == expected
        assert encode_state(resumed) == encode_state(state)


def test_storing_the_state_after_every_single_frame_changes_nothing():
    pipeline = Pipeline(WatershedConfig().build(), KalmanTracker())
    stored = encode_state(pipeline.initial_state("cam"))
    state = pipeline.initial_state("cam")
    for item in run():
        state, expected = step(pipeline, state, item)
        after, result = step(pipeline, decode_state(stored), item)
        assert result.events == expected.events
        stored = encode_state(after)
    assert stored == encode_state(state)
