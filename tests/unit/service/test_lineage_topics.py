"""A run from records of topics: sightings before the confirmation are there, and mothers are believed late."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streamcount.lineage.build import LineageBuilder
from streamcount.pipeline import Pipeline
from streamcount.service.lineages import take_tracks
from streamcount.tracking import KalmanConfig
from streamcount.types import AnyEvent, Tracks, TrackStatus
from streamcount.wire import decode_tracks, encode_tracks
from tests.films import MODEL, seen

# Two cells that stay; a third one is seen twice, which is too seldom to trust.
FILM = [
    [(50, 50), (200, 200)],
    [(50, 52), (200, 200), (300, 90)],
    [(50, 54), (200, 200), (300, 90)],
    [(50, 56)],
]


@pytest.fixture
def followed() -> tuple[list[Tracks], list[AnyEvent]]:
    pipeline = Pipeline(None, KalmanConfig().build())  # type: ignore[arg-type]
    state = pipeline.initial_state("cam")
    tracks, events = [], []
    for sequence, places in enumerate(FILM):
        state, step = pipeline.advance(state, seen(sequence, places))
        assert step.tracks is not None
        tracks.append(step.tracks)
        events.extend(step.events)
    return tracks, events


def built(tracks: list[Tracks], events: list[AnyEvent]):
    builder = LineageBuilder("cam run-1")
    for event in events:
        builder.event(event)
    for one in tracks:
        take_tracks(builder, decode_tracks(encode_tracks(one, MODEL.class_names)))
    return builder.build()


def test_sightings_before_the_confirmation_are_there(followed) -> None:
    lineage = built(*followed)
    assert [track.track_id for track in lineage.tracks] == [1, 2]
    assert lineage.points.sequences[lineage.points.of(1)].tolist() == [0, 1, 2, 3]
    assert lineage.points.sequences[lineage.points.of(2)].tolist() == [0, 1, 2]
    np.testing.assert_allclose(lineage.points.centroids_px[0], (50, 50), atol=0.5)
    assert (lineage.image_shape, lineage.class_names) == ((400, 400), MODEL.class_names)
    assert [track.birth for track in lineage.tracks] == ["at-start", "at-start"]


def test_repeated_records_change_nothing(followed) -> None:
    tracks, events = followed
    once, twice = built(tracks, events), built(tracks + tracks[1:], events + events)
    assert once.tracks == twice.tracks
    assert len(once.points) == len(twice.points)


def test_a_mother_counts_only_when_her_daughter_is_confirmed(followed) -> None:
    """A division that is taken back leaves a parent in records of tentative tracks only."""
    tracks, events = followed
    doubtful = [
        msgspec.structs.replace(one, parent_ids=np.where(one.status == TrackStatus.TENTATIVE, 1, 0)) for one in tracks
    ]  # fmt: skip
    assert [track.parent_id for track in built(doubtful, events).tracks] == [0, 0]
    certain = [msgspec.structs.replace(one, parent_ids=np.where(one.track_ids == 2, 1, 0)) for one in tracks]
    lineage = built(certain, [])
    assert [(track.parent_id, track.generation) for track in lineage.tracks] == [(0, 0), (1, 1)]
