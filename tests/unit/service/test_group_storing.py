"""What is stored of a group: it fits into one record, and where it is damaged the remedy is told."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from streamcount.config import parse_settings
from streamcount.errors import ConfigurationError, StreamcountError
from streamcount.service.groups import run
from streamcount.service.groups.stored import decode_stored
from streamcount.types import WindowClosed
from streamcount.wire import decode_event
from tests.groupfilms import window

CAMERAS = "".join(f'[cameras.{name}.source]\nkind = "folder"\npath = "x"\n' for name in "ab")
TEXT = f"""
{CAMERAS}
[limits]
frame_bytes = 1000000
[topics]
max_message_bytes = 1048576
[groups.plate]
cameras = ["a", "b"]
wait_s = 86400
[windows.ten]
length_s = 10
"""


def summing_of(settings, windows):
    summer = run.GroupSummer(settings, run.GroupMetrics(CollectorRegistry()))
    pipeline = settings.group_pipeline("plate")
    summing = run._Summing(pipeline, pipeline.initial_state(), newest_ms=7)
    for one in windows:
        summing.state, _ = pipeline.step(summing.state, one)
    summer._groups["plate"] = summing
    return summer, summing


def smaller(settings, most_bytes):
    topics = settings.topics.model_copy(update={"max_message_bytes": most_bytes})
    return settings.model_copy(update={"topics": topics})


def test_what_waits_is_told_oldest_first_before_it_outgrows_a_record():
    settings = smaller(parse_settings(TEXT, environment={}), 60_000)
    summer, summing = summing_of(settings, [window("a", number, run=f"r{number}") for number in range(800)])
    value = summer._record("plate")
    told = [decode_event(one.value) for one in summing.outbox]
    assert told
    assert all(isinstance(one, WindowClosed) and one.members_missing == ("b",) for one in told)
    assert [one.window_start_ns // 10**10 for one in told] == list(range(len(told)))
    stored = decode_stored(value)
    assert len(stored.state.gathered.gathering) == 800 - len(told)
    assert {one.timestamp_ms for one in stored.outbox} == {7}
    # Once they are told, the next record is small.
    summing.outbox = []
    assert len(summer._record("plate")) <= 30_000
    assert not summing.outbox


def test_a_state_that_fits_into_no_record_ends_with_the_remedy():
    settings = smaller(parse_settings(TEXT, environment={}), 16_400)
    summer, _ = summing_of(settings, [window("a", 1)])
    with pytest.raises(ConfigurationError, match=r"groups.plate.wait_s, or raise topics.max_message_bytes"):
        summer._record("plate")


def test_a_damaged_state_is_refused_with_the_remedy():
    words = "delete the record of key plate in lab.groups-state"
    with pytest.raises(StreamcountError, match=words):
        run._stored("plate", b"\x03abc", "lab.groups-state")
    assert run._stored("plate", b"", "lab.groups-state") is None
