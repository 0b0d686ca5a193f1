"""A group from its configuration: its windows and their alerts, cut anywhere."""

from __future__ import annotations

import pytest

from streamcount.config import parse_settings
from streamcount.errors import ConfigurationError, FrameError
from streamcount.service.groups.stored import StoredGroup, Telling, decode_stored, encode_stored
from streamcount.wire.records import OTHER_VERSION
from tests.groupfilms import window

CAMERAS = "".join(f'[cameras.{name}.source]\nkind = "folder"\npath = "x"\n' for name in "ab")
TEXT = f"""
{CAMERAS}
[groups.plate]
cameras = ["a", "b"]
wait_s = 20
[windows.ten]
length_s = 10
[alerts.crowded]
kind = "limit"
figure = "cells"
above = 30
clear_at = 25
groups = ["plate"]
"""


def test_windows_and_alerts_of_a_group_survive_being_stored_after_each_window():
    pipeline = parse_settings(TEXT, environment={}).group_pipeline("plate")
    counts = [10, 20, 14, 10]
    film = [window(camera, number, cells=cells) for number, cells in enumerate(counts) for camera in "ab"]
    state, told = pipeline.initial_state(), []
    for number, closed in enumerate(film):
        state, events = pipeline.step(state, closed)
        told += events
        stored = StoredGroup({0: number}, state, (Telling("windows", b"x", 5),))
        again = decode_stored(encode_stored(stored))
        assert again == stored
        state = again.state
    assert [(event.kind, event.camera_id, event.sequence) for event in told] == [
        ("WindowClosed", "plate", 10_000),
        ("WindowClosed", "plate", 20_000),
        ("AlertRaised", "plate", 20_000),
        ("WindowClosed", "plate", 30_000),
        ("WindowClosed", "plate", 40_000),
        ("AlertCleared", "plate", 40_000),
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", OTHER_VERSION),
        (b"\x00abc", OTHER_VERSION),
        (b"\x02abc", OTHER_VERSION),
        (b"\x03abc", "bad-record"),
    ],
)
def test_what_is_no_stored_group_is_refused(data, reason):
    with pytest.raises(FrameError) as raised:
        decode_stored(data)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'{CAMERAS}[groups.p]\ncameras = ["a", "bb"]', "did you mean 'b'"),
        ('[groups.p]\ncameras = ["scope-1"]', r"add a table \[cameras.scope-1\]"),
        (f'{CAMERAS}[groups.a]\ncameras = ["b"]', "rename one"),
        (f'{CAMERAS}[groups.p]\ncameras = ["a", "a"]', "take one out"),
        (f"{CAMERAS}[groups.p]\ncameras = []", "at least 1"),
    ],
)
def test_groups_of_cameras_that_are_not_there_are_refused_with_the_remedy(text, words):
    with pytest.raises(ConfigurationError, match=words):
        parse_settings(text, environment={})
