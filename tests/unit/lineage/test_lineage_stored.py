"""A family from a store, against the same run from its results, which have every sighting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamcount.errors import SinkError
from streamcount.lineage.model import Lineage, family_of
from streamcount.lineage.results import read_results
from streamcount.lineage.stored import read_stored
from streamcount.sinks.store.questions import SqliteStore
from streamcount.sinks.store.sqlite import SqliteConfig
from streamcount.wire import decode_event
from tests.lineages import result_lines, write_lines
from tests.sunk import in_a_store


@pytest.fixture
def both(tmp_path: Path) -> tuple[SqliteStore, Lineage]:
    lines = result_lines()
    events = [decode_event(json.dumps(event).encode()) for line in lines for event in line["events"]]
    path = in_a_store(tmp_path / "store.sqlite", events)
    whole = read_results(write_lines(tmp_path / "results.jsonl", lines))
    return SqliteStore(SqliteConfig(path=path)), whole


@pytest.mark.parametrize("cell", [1, 2, 3, 5, 6, 7, 8])
def test_a_family_is_that_of_the_results(both: tuple[SqliteStore, Lineage], cell: int) -> None:
    store, whole = both
    told = read_stored(store, "cam", cell)
    mine, theirs = family_of(told, cell), family_of(whole, cell)
    assert mine.track_ids == theirs.track_ids
    for track, same in zip(mine.tracks, theirs.tracks, strict=True):
        assert (track.parent_id, track.generation, track.daughter_ids) == (
            same.parent_id,
            same.generation,
            same.daughter_ids,
        )
        assert (track.fate, track.fate_sequence) == (same.fate, same.fate_sequence)
        assert (track.first_sequence, track.last_sequence) == (same.first_sequence, same.last_sequence)
    store.close()


def test_cells_and_cameras_that_are_not_there_are_told(both: tuple[SqliteStore, Lineage]) -> None:
    store, _ = both
    with pytest.raises(SinkError, match="knows no cell 99"):
        read_stored(store, "cam", 99)
    with pytest.raises(SinkError, match="no camera none; it has: cam"):
        read_stored(store, "none", 1)
    store.close()
