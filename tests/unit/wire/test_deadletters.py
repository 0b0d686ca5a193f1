"""Dead letters: key, value and headers as they came, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcount.errors import FrameError
from streamcount.wire.deadletters import MESSAGE_LENGTH, PREFIX, REASON, dead_letter_headers, original_headers

ERROR = FrameError("undecodable", "the JPEG is cut off: it has no end-of-image marker")


def dead(original):
    return dead_letter_headers(original, ERROR, topic="s.frames", partition=3, offset=77, stage="detect")


def test_the_reason_and_the_place_are_told_as_kafka_connect_tells_them():
    assert dict(dead([])) == {
        "__connect.errors.topic": b"s.frames",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"77",
        "__connect.errors.connector.name": b"streamcount",
        "__connect.errors.stage": b"detect",
        "__connect.errors.exception.class.name": b"FrameError",
        "__connect.errors.exception.message": b"the JPEG is cut off: it has no end-of-image marker",
        "streamcount.reason": b"undecodable",
    }


headers = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=20)), max_size=8)


@given(headers.filter(lambda pairs: not any(name.startswith(PREFIX) or name == REASON for name, _ in pairs)))
def test_the_camera_s_own_headers_come_back_in_order(original):
    assert original_headers(dead(original)) == original


def test_a_record_that_dies_twice_tells_its_last_death_only():
    first = dead_letter_headers(
        [("ce_sequence", b"1")],
        FrameError("empty", "no image"),
        topic="s.frames",
        partition=0,
        offset=1,
        stage="detect",
    )
    twice = dead(first)
    assert [value for name, value in twice if name == REASON] == [b"undecodable"]
    assert [value for name, value in twice if name == f"{PREFIX}offset"] == [b"77"]
    assert original_headers(twice) == [("ce_sequence", b"1")]


@pytest.mark.parametrize("message", ["µm", "", "a\nb", "x" * 10_000])
def test_any_message_can_be_told(message):
    found = dead_letter_headers([], FrameError("r", message), topic="t", partition=0, offset=0, stage="s")
    assert dict(found)[f"{PREFIX}exception.message"].decode() == message[:MESSAGE_LENGTH]
