"""Since when the feed has read its topics without a gap."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streamcount.service.dashboard.feed import MOST_LOOKED_BACK, Feed
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.past import MS, SLACK_MS
from streamcount.service.dashboard.reach import Reach

SINCE_MS, NOW_MS = 1_000_000, 1_900_000


def known_ms(model: LiveModel) -> int | None:
    found = model.remembers_since_ns("scope-1", "counts")
    return None if found is None else found // MS - SLACK_MS


@pytest.fixture
def model() -> LiveModel:
    model = LiveModel()
    model.expect(["scope-1"], 0.0)
    return model


def test_a_topic_is_known_once_all_that_lay_there_was_read(model: LiveModel) -> None:
    reach = Reach(model)
    reach.begin("counts", 0, SINCE_MS, 10, 20)
    reach.begin("counts", 1, SINCE_MS + 5, 0, 0)
    reach.tell()
    assert known_ms(model) is None
    reach.read("counts", 0, 10, 14, NOW_MS)
    reach.tell()
    assert known_ms(model) is None
    reach.read("counts", 0, 15, 19, NOW_MS)
    reach.tell()
    assert known_ms(model) == SINCE_MS + 5, "of the partition that is known for the shortest time"


def test_records_that_were_deleted_before_they_were_read_are_a_gap(model: LiveModel) -> None:
    reach = Reach(model)
    reach.begin("counts", 0, SINCE_MS, 0, 0)
    reach.read("counts", 0, 0, 4, NOW_MS)
    reach.read("frames", 0, 7, 9, NOW_MS)
    reach.tell()
    assert known_ms(model) == SINCE_MS
    reach.read("counts", 0, 6, 8, NOW_MS)
    reach.tell()
    assert known_ms(model) == NOW_MS


@pytest.mark.parametrize(
    ("found", "start", "end", "begun"),
    [
        (None, 0, 50, (50, True)),
        (None, 50, 50, (50, True)),
        (30, 0, 50, (30, True)),
        (30, 20, 50, (30, True)),
        (0, 0, 50, (0, True)),
        (30, 30, 50, (30, False)),
        (30, 0, 31 + MOST_LOOKED_BACK, (31, False)),
    ],
)
def test_looking_back_ends_where_too_much_lies_there_or_some_was_deleted(
    found: int | None, start: int, end: int, begun: tuple[int, bool]
) -> None:
    record = None if found is None else SimpleNamespace(offset=found)
    assert Feed._begin(record, start, end) == begun
