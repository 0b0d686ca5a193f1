"""A film drawn in code whose every event is known, from pixels to events.

Four cells on 160 x 240 pixels, 16 frames: A crawls right; B enters from the left in frame 3; C drifts out
over the bottom edge; D rests, and vanishes in frame 9.
"""

from __future__ import annotations

import pytest

from streamcount.detection import WatershedConfig
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanTracker
from streamcount.types import CellEvent, CountsUpdated
from tests.films import discs

FRAMES, SHAPE = 16, (160, 240)
LIVES = {
    "A": {i: (40.0, 60.0 + 4.0 * i) for i in range(FRAMES)},
    "B": {i: (90.0, 6.0 + 6.0 * (i - 3)) for i in range(3, FRAMES)},
    "C": {i: (120.0 + 7.0 * i, 150.0) for i in range(6)},
    "D": dict.fromkeys(range(9), (50.0, 200.0)),
}


@pytest.fixture(scope="module")
def film():
    """The results of the film, frame by frame."""
    pipeline = Pipeline(WatershedConfig(min_diameter_px=8).build(), KalmanTracker())
    state, results = pipeline.initial_state("cam"), []
    for i in range(FRAMES):
        centres = [life[i] for life in LIVES.values() if i in life]
        state, result = pipeline.step(state, discs(i, centres, shape=SHAPE))
        results.append(result)
    return results


def test_every_cell_is_found_in_every_frame(film):
    expected = [sum(i in life for life in LIVES.values()) for i in range(FRAMES)]
    totals = [event.total for result in film for event in result.events if isinstance(event, CountsUpdated)]
    assert totals == expected


def test_every_cell_keeps_its_track(film):
    for life in LIVES.values():
        ids = set()
        for i, (y, x) in life.items():
            tracks = film[i].tracks
            seen = tracks.detection_rows >= 0
            away = abs(tracks.centroids_px[seen] - (y, x)).sum(axis=1)
            # A cell cut by the edge shows another centroid than the whole one.
            assert away.min() < (2.0 if 12 < y < SHAPE[0] - 12 and 12 < x < SHAPE[1] - 12 else 10.0)
            ids.add(int(tracks.track_ids[seen][away.argmin()]))
        assert len(ids) == 1


def test_the_events_are_these(film):
    told = [
        (frame, event.kind, event.sequence, event.track_id, getattr(event, "entered", None))
        for frame, result in enumerate(film)
        for event in result.events
        if isinstance(event, CellEvent)
    ]
    assert told == [
        (2, "CellAppeared", 0, 1, False),
        (2, "CellAppeared", 0, 2, False),
        (2, "CellAppeared", 0, 3, False),
        (5, "CellAppeared", 3, 4, True),
        (8, "CellLeft", 5, 3, None),
        (11, "CellDied", 8, 2, None),
    ]
