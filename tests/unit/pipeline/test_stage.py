"""A stage that moves under known cells: what the judge of pictures is told, and tells."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streamcount.detection import WatershedConfig
from streamcount.pipeline import Pipeline
from streamcount.quality import measure
from streamcount.tracking import KalmanTracker
from streamcount.types import CountsUpdated, QualityChanged
from streamcount.wire.records import decode_state, encode_state
from tests.films import seen
from tests.pictures import cells

DIAMETER, SIDE = 20.0, 600
PICTURE = measure(cells())


def film(places_of, frames=40, seed=2, found=1.0):
    """Cells of a specimen larger than the view that wander by a tenth of a diameter a frame, under a moving stage.

    found: the chance that a cell in view is found.
    """
    rng = np.random.default_rng(seed)
    # On a grid with play, so that none touch.
    grid = np.stack(np.mgrid[-10:40, -10:40], axis=-1).reshape(-1, 2) * 60.0
    specimen = grid + rng.uniform(-15, 15, grid.shape)
    detections = []
    for sequence in range(frames):
        specimen = specimen + rng.normal(0, 0.1 * DIAMETER, specimen.shape)
        there = specimen + np.asarray(places_of(sequence))
        inside = ((there > 0) & (there < SIDE)).all(axis=1)
        inside &= rng.random(len(inside)) < found
        one = seen(sequence, there[inside], diameter=DIAMETER, shape=(SIDE, SIDE))
        detections.append(msgspec.structs.replace(one, picture=PICTURE))
    return detections


def told(detections, cut=None):
    """(frames whose count is flagged for drift, the changes told)."""
    pipeline = Pipeline(WatershedConfig().build(), KalmanTracker())
    state, events = pipeline.initial_state("cam"), []
    for number, one in enumerate(detections):
        if number == cut:
            state = decode_state(encode_state(state))
        state, result = pipeline.advance(state, one)
        events += result.events
    counts = [event for event in events if isinstance(event, CountsUpdated)]
    changes = [event for event in events if isinstance(event, QualityChanged)]
    return [one.sequence for one in counts if "drift" in one.quality], changes


@pytest.mark.parametrize("jump", [(30.0, 0.0), (-40.0, 20.0), (200.0, -120.0)], ids=["1.5", "2.2", "12"])
def test_a_jump_is_told_and_taken_back(jump):
    detections = film(lambda sequence: jump if sequence >= 15 else (0.0, 0.0))
    flagged, [turned, back] = told(detections)
    assert flagged == list(range(17, 29))
    assert (turned.flags, turned.sequence, back.flags, back.sequence) == (("drift",), 17, (), 29)
    moved = float(np.hypot(*jump)) / DIAMETER
    assert turned.explanation.startswith("drift: the stage moved ")
    assert float(turned.explanation.split()[4]) == pytest.approx(moved, abs=0.15)
    assert told(detections, cut=18) == (flagged, [turned, back])


def test_a_stage_that_keeps_drifting_is_told():
    flagged, [turned] = told(film(lambda sequence: (0.0, 8.0 * sequence)))
    assert flagged == list(range(turned.sequence, 40))
    assert turned.sequence < 12


def test_cells_that_wander_each_for_itself_are_no_drift_nor_is_a_stage_that_trembles():
    assert told(film(lambda sequence: (0.0, 0.0))) == ([], [])
    assert told(film(lambda sequence: (12.0 * (sequence % 2), 0.0))) == ([], [])
    assert told(film(lambda sequence: (0.0, 0.0), found=0.5)) == ([], [])
    few = [msgspec.structs.replace(seen(n, [(50, 50), (60 + 30 * n, 99)]), picture=PICTURE) for n in range(9)]
    assert told(few) == ([], [])
