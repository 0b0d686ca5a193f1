"""A film of masks drawn in code whose every event is known: divisions, deaths, a merge, and what only looks like one.

Masks on 240 x 400 pixels, 32 frames. All numbers of the table are written by hand.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamcount.detection import LabelsConfig
from streamcount.pipeline import Pipeline
from streamcount.tracking import KalmanTracker
from streamcount.types import CellEvent, Frame
from tests.films import metadata

FRAMES, SHAPE = 32, (240, 400)


def still(y, x, diameter, first=0, last=FRAMES - 1):
    return dict.fromkeys(range(first, last + 1), (y, x, diameter))


LIVES = {
    # A mother, her two daughters, and the daughters of one of them.
    "mother": still(60, 60, 36, 0, 9),
    "first": {i: (60, 46 - 0.5 * (i - 10), 26) for i in range(10, 22)},
    "second": {i: (60, 74 + 0.5 * (i - 10), 26) for i in range(10, FRAMES)},
    "third": dict.fromkeys(range(22, FRAMES), (50, 40, 18)),
    "fourth": dict.fromkeys(range(22, FRAMES), (70, 40, 18)),
    # It rests, and another one comes in beside it: no division.
    "resting": still(150, 40, 30),
    "coming": {i: (180, max(40 - 6 * (14 - i), -4 + 6 * (i - 6)), 24) for i in range(6, FRAMES)}
    | dict.fromkeys(range(14, FRAMES), (180, 44, 24)),
    # It shrinks, and is gone; and one that is gone from one frame to the next.
    "shrinking": {i: (60, 180, 30 if i < 12 else 30 - 4 * (i - 11)) for i in range(17)},
    "bursting": still(60, 300, 30, 0, 14),
    # It goes out to the right.
    "leaving": {i: (120, 340 + 5 * i, 24) for i in range(13)},
    # They meet, are found as one for four frames, and part again.
    "from the left": {i: (200, 150 + 4.4 * min(i, 31 - i), 26) for i in range(FRAMES)},
    "from the right": {i: (200, 292 - 4.4 * min(i, 31 - i), 26) for i in range(FRAMES)},
}
TOGETHER = range(14, 18)


def masks():
    """The label image of each frame, and the value of each life in it."""
    for i in range(FRAMES):
        image, values = np.zeros(SHAPE, np.uint16), {}
        for value, (name, life) in enumerate(LIVES.items(), 1):
            if i in life:
                y, x, diameter = life[i]
                values[name] = value
                if name == "from the right" and i in TOGETHER:
                    value = values["from the left"]
                cv2.circle(
                    image, (round(x * 16), round(y * 16)), round(diameter * 8), value, -1, cv2.LINE_8, 4
                )
        yield image


@pytest.fixture(scope="module")
def told():
    """(frame in which it was told, kind, certainty, frame in which it happened, track, parent or daughters)."""
    pipeline = Pipeline(LabelsConfig().build(), KalmanTracker())
    state, every = pipeline.initial_state("cam"), []
    for sequence, image in enumerate(masks()):
        state, result = pipeline.step(state, Frame(image, metadata(sequence)))
        every += [(sequence, event) for event in result.events if isinstance(event, CellEvent)]
    return every


def short(every, *kinds):
    return [
        (at, event.certainty, event.sequence, event.track_id, getattr(event, "daughter_ids", None))
        for at, event in every
        if event.kind in kinds
    ]


def test_divisions_and_nothing_else_that_looks_like_one(told):
    assert short(told, "CellDivided") == [
        (10, "provisional", 10, 1, (9, 10)),
        (12, "confirmed", 10, 1, (9, 10)),
        (22, "provisional", 22, 9, (11, 12)),
        (24, "confirmed", 22, 9, (11, 12)),
    ]


def test_the_family(told):
    born = {
        event.track_id: (event.parent_id, event.generation, event.birth_sequence)
        for _, event in told
        if event.kind == "CellAppeared" and event.parent_id
    }
    assert born == {9: (1, 1, 10), 10: (1, 1, 10), 11: (9, 2, 22), 12: (9, 2, 22)}


def test_ends(told):
    ends = [
        (at, event.kind, event.sequence, getattr(event, "reason", ""), round(event.centroid_px[0]))
        for at, event in told
        if event.kind in ("CellDied", "CellLeft", "CellLost")
    ]
    assert ends == [
        (15, "CellLeft", 12, "", 120),
        (17, "CellDied", 14, "vanished", 60),
        (19, "CellDied", 16, "shrank", 60),
    ]


def test_the_one_that_came_in_entered(told):
    entered = [event for _, event in told if event.kind == "CellAppeared" and event.entered]
    assert [(event.birth_sequence, round(event.centroid_px[0])) for event in entered] == [(6, 180)]


def test_those_that_met_are_themselves_again_afterwards(told):
    pipeline = Pipeline(LabelsConfig().build(), KalmanTracker())
    state, where = pipeline.initial_state("cam"), []
    for sequence, image in enumerate(masks()):
        state, result = pipeline.step(state, Frame(image, metadata(sequence)))
        low = result.tracks.centroids_px[:, 0] > 190
        beside = low & (result.tracks.centroids_px[:, 1] > 100) & (result.tracks.detection_rows >= 0)
        order = np.argsort(result.tracks.centroids_px[beside, 1])
        where.append(result.tracks.track_ids[beside][order].tolist())
    assert [len(ids) for ids in where[14:18]] == [1] * 4
    assert where[0] == where[13] == where[18] == where[-1]
