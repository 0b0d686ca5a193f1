from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamcount.errors import StreamcountError
from streamcount.events import LIFECYCLE, Meaning, meanings
from streamcount.events.lifecycle import lifecycle_page
from streamcount.types import TrackStatus, events


def test_each_change_is_in_the_table_once():
    assert len({(row.before, row.after) for row in LIFECYCLE}) == len(LIFECYCLE)


def test_the_table_names_events_that_exist():
    kinds = {kind.__name__ for kind in events.LIFE_EVENTS}
    assert {name.split()[0] for row in LIFECYCLE for name in row.events} == kinds


def test_nothing_follows_the_end():
    assert all(row.before != TrackStatus.ENDED for row in LIFECYCLE)


def test_meanings_are_looked_up_in_the_table():
    before = np.array([row.before for row in LIFECYCLE], np.uint8)
    after = np.array([row.after for row in LIFECYCLE], np.uint8)
    assert meanings(before, after).tolist() == [row.meaning for row in LIFECYCLE]
    assert meanings(before[:0], after[:0]).tolist() == []
    assert {row.meaning for row in LIFECYCLE} == set(Meaning)


@pytest.mark.parametrize(
    ("before", "after"),
    [(TrackStatus.ENDED, TrackStatus.CONFIRMED), (TrackStatus.CONFIRMED, TrackStatus.TENTATIVE)],
)
def test_an_impossible_change_is_refused(before, after):
    with pytest.raises(StreamcountError, match=f"from {before.name} to {after.name}"):
        meanings(np.array([before], np.uint8), np.array([after], np.uint8))


def test_the_page_in_the_docs_is_made_of_the_table():
    page = lifecycle_page()
    assert Path(__file__).parents[3].joinpath("docs", "lifecycle.md").read_text() == page
    assert all(row.when in page for row in LIFECYCLE)
