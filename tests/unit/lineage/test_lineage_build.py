"""Tracks from events and sightings: the last word on each counts, whatever the order and however often it comes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from streamcount.errors import SourceError
from streamcount.lineage.build import LineageBuilder
from streamcount.lineage.model import Divisions, Lineage, Shown, families, family_of
from streamcount.lineage.results import read_results
from streamcount.lineage.summary import summarise
from streamcount.wire import decode_event
from tests.lineages import (
    FRAMES,
    REASON,
    SEEN,
    STEP_NS,
    cell_event,
    result_lines,
    told_in,
    write_lines,
)


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return read_results(write_lines(tmp_path / "results.jsonl", result_lines()))


def test_births_fates_and_generations(lineage: Lineage) -> None:
    told = {
        track.track_id: (track.parent_id, track.generation, track.birth, track.fate, track.fate_sequence)
        for track in lineage.tracks
    }
    assert told == {
        1: (0, 0, "at-start", "divided", 4),
        2: (1, 1, "divided", "divided", 8),
        3: (1, 1, "divided", "at-end", 11),
        4: (2, 2, "divided", "at-end", 11),
        5: (2, 2, "divided", "died", 9),
        6: (0, 0, "at-start", "at-end", 11),
        7: (0, 0, "entered", "left", 6),
        8: (0, 0, "appeared", "lost", 5),
    }
    assert lineage.track(5).reason == REASON
    assert lineage.track(1).daughter_ids == (2, 3)
    assert lineage.divisions == Divisions(confirmed=2, retracted=1, undecided=0)


def test_sightings_begin_with_the_confirmation_but_the_track_with_the_first(lineage: Lineage) -> None:
    track = lineage.track(3)
    assert (track.first_sequence, track.last_sequence, track.sightings) == (4, 11, 5)
    assert (track.first_seen_ns, track.last_seen_ns) == (4 * STEP_NS, 11 * STEP_NS)
    points = lineage.points.taken(lineage.points.of(3))
    assert points.sequences.tolist() == [6, 8, 9, 10, 11]
    assert points.centroids_px[0].tolist() == list(SEEN[3][1])
    assert points.areas_px.tolist() == [64.0] * 5
    # A cell that was lost to sight again at once has no sighting with an id, and is one all the same.
    assert lineage.track(5).sightings == 0
    assert (lineage.track(5).first_sequence, lineage.track(5).last_sequence) == (8, 9)
    assert lineage.track(6).class_name == "odd"


def test_order_and_repetition_change_nothing() -> None:
    events = [decode_event(json.dumps(event).encode()) for told in told_in().values() for event in told]
    expected = None
    for seed in range(20):
        shuffled = events * (1 + seed % 2)
        random.Random(seed).shuffle(shuffled)
        builder = LineageBuilder("run-1")
        for sequence in range(FRAMES):
            builder.frame(Shown(sequence, sequence * STEP_NS))
        for event in shuffled:
            builder.event(event)
        built = builder.build()
        told = (built.tracks, built.divisions)
        expected = expected or told
        assert told == expected
    assert len(told[0]) == 8


def of_events(*events: dict) -> Lineage:
    builder = LineageBuilder("run-1")
    for event in events:
        builder.event(decode_event(json.dumps(event).encode()))
    return builder.build()


def test_an_undecided_division_makes_no_mother() -> None:
    daughter = cell_event("CellAppeared", 2, 4, 6, entered=False)
    provisional = cell_event("CellDivided", 1, 4, certainty="provisional", daughter_ids=[2, 3])
    built = of_events(cell_event("CellAppeared", 1, 0, 2, entered=False), provisional, daughter)
    assert built.divisions == Divisions(undecided=1)
    assert [track.parent_id for track in built.tracks] == [0, 0]
    assert built.track(1).fate == "at-end"


def test_a_retracted_cell_is_none() -> None:
    assert of_events(cell_event("CellAppeared", 1, 0, certainty="retracted", entered=False)).tracks == ()


def test_a_cell_told_dead_that_is_then_out_of_sight_has_died() -> None:
    died = cell_event("CellDied", 8, 3, reason="class")
    built = of_events(cell_event("CellAppeared", 8, 1, entered=False), died, cell_event("CellLost", 8, 5, 8))
    assert (built.track(8).fate, built.track(8).fate_sequence, built.track(8).last_sequence) == ("died", 3, 5)


def test_a_mother_that_the_source_no_longer_holds_is_none() -> None:
    builder = LineageBuilder("run-1")
    builder.confirm(5, parent_id=2, generation=2)
    built = builder.build()
    assert (built.track(5).parent_id, built.track(5).generation) == (0, 2)


def test_families(lineage: Lineage) -> None:
    found = {family.root.track_id: family for family in families(lineage)}
    assert list(found) == [1, 6, 7, 8]
    assert found[1].track_ids == [1, 2, 4, 5, 3]
    assert found[1].generations == 3
    assert family_of(lineage, 5) == found[1]
    chosen = lineage.only(found[1].track_ids)
    assert {track.track_id for track in chosen.tracks} == {1, 2, 3, 4, 5}
    assert set(np.unique(chosen.points.track_ids)) <= {1, 2, 3, 4, 5}
    with pytest.raises(SourceError, match="no confirmed cell 90; ids go from 1 to 8"):
        family_of(lineage, 90)


def test_summary(lineage: Lineage) -> None:
    summary = summarise(lineage)
    assert (summary.tracks, summary.frames) == (8, FRAMES)
    assert summary.births == {"at-start": 2, "entered": 1, "appeared": 1, "divided": 4}
    assert summary.fates == {"divided": 2, "died": 1, "left": 1, "lost": 1, "ended": 0, "at-end": 3}
    assert summary.deaths == {REASON: 1}
    assert summary.generations == [4, 2, 2]
    assert [(family.root.track_id, len(family)) for family in summary.largest] == [(1, 5)]


def test_a_family_as_deep_as_a_year_is_no_trouble() -> None:
    builder = LineageBuilder("long")
    for number in range(1, 5001):
        builder.confirm(number, parent_id=number - 1)
    (family,) = families(builder.build())
    assert family.generations == 5000
