"""What `watch` makes of events, without Kafka."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from streamcount.service.watch_groups import group_lines, groups_table
from streamcount.service.watch_view import WatchState, as_line, as_table
from streamcount.types import (
    GROUP_RUN,
    AlertCleared,
    AlertRaised,
    CountsUpdated,
    Figure,
    FramesMissing,
    WindowClosed,
)

NOW_NS = 1_800_000_000_000_000_000


def common(sequence: int, run_id: str = "a", at_ns: int = NOW_NS) -> dict[str, Any]:
    return {
        "camera_id": "scope-1",
        "run_id": run_id,
        "sequence": sequence,
        "happened_at_ns": at_ns,
        "decided_at_ns": at_ns,
    }


def counted(sequence: int, run_id: str = "a", at_ns: int = NOW_NS) -> CountsUpdated:
    common_ = common(sequence, run_id, at_ns)
    return CountsUpdated(**common_, counts={"red": 3}, total=3, confirmed_tracks=1, cells_seen=9)


def test_rate_and_latency_are_of_the_last_seconds() -> None:
    state = WatchState()
    for i in range(41):
        state.apply(counted(i), NOW_NS // 1_000_000 - 20, i / 10, NOW_NS)
    view = state.cameras["scope-1"]
    assert view.rate_hz(4.0) == pytest.approx(10)
    assert view.latency_ms(4.0) == pytest.approx(20)
    assert view.rate_hz(60.0) == 0
    assert view.latency_ms(60.0) is None


def test_latency_without_the_producers_time_is_the_frames_if_it_lives_now() -> None:
    state = WatchState()
    state.apply(counted(0, at_ns=NOW_NS - 30_000_000), None, 0.0, NOW_NS)
    assert state.cameras["scope-1"].latency_ms(0.0) == pytest.approx(30)
    recording = WatchState()
    recording.apply(counted(0, at_ns=NOW_NS // 2), None, 0.0, NOW_NS)
    assert recording.cameras["scope-1"].latency_ms(0.0) is None


def test_repeats_count_once_and_runs_are_kept_apart() -> None:
    state = WatchState()
    view_of = state.cameras
    for event in (
        counted(0), counted(0),
        FramesMissing(**common(1), last_sequence=4, reason="dropped"),
        FramesMissing(**common(1), last_sequence=4, reason="dropped"),
        FramesMissing(**common(3), last_sequence=6, reason="dropped"),
    ):  # fmt: skip
        state.apply(event, None, 0.0, NOW_NS)
    assert (len(view_of["scope-1"].arrivals_s), view_of["scope-1"].missing) == (1, 6)
    # Word of the new run's first frames comes on another topic, before or after its first count.
    state.apply(FramesMissing(**common(0, "b"), last_sequence=1, reason="dropped"), None, 0.0, NOW_NS)
    assert (view_of["scope-1"].run_id, view_of["scope-1"].missing) == ("a", 6)
    state.apply(counted(2, "b"), None, 0.0, NOW_NS)
    assert (view_of["scope-1"].run_id, view_of["scope-1"].missing) == ("b", 2)


def test_an_alert_is_shown_until_it_is_cleared() -> None:
    state = WatchState()
    state.apply(AlertRaised(**common(0), rule="few-cells", reason="3 < 10"), None, 0.0, NOW_NS)
    assert "ALERT few-cells" in as_line(state.cameras["scope-1"], 0.0, None)
    state.apply(AlertCleared(**common(1), rule="few-cells"), None, 0.0, NOW_NS)
    assert "ALERT" not in as_line(state.cameras["scope-1"], 0.0, None)


def test_a_silent_camera_is_marked() -> None:
    state = WatchState()
    state.apply(counted(0), None, 0.0, NOW_NS)
    state.dead_letter("scope-1", "undecodable", 0.0)
    view = state.cameras["scope-1"]
    text = io.StringIO()
    Console(file=text, width=140).print(as_table([view], 12.0, "lag [none]"))
    assert "silent for 12 s" in text.getvalue()
    assert "undecodable" in text.getvalue()
    assert "lag [none]" in text.getvalue()
    assert "SILENT for 12 s" in as_line(view, 12.0, 4)
    assert "lag 4" in as_line(view, 12.0, 4)
    assert "SILENT" not in as_line(view, 1.0, 4)


def grouped(end_s: int, cells: float) -> WindowClosed:
    figures = (Figure(name="cells", value=cells), Figure(name="cells", value=cells - 1, class_name="red"))
    return WindowClosed(
        **{**common(end_s, GROUP_RUN), "camera_id": "plate"}, window="minute", window_start_ns=0,
        window_end_ns=end_s * 10**9, final=True, complete=False, reasons=("members-missing",), figures=figures,
        members=("well-1",), members_missing=("well-2",),
    )  # fmt: skip


def test_a_group_is_no_camera_and_has_its_newest_window_and_its_alerts() -> None:
    state = WatchState()
    at = {**common(1, GROUP_RUN), "camera_id": "plate"}
    for event in (
        grouped(120, 9.0), grouped(60, 4.0), AlertRaised(**at, rule="crowded", reason="cells 9 > 8"),
        WindowClosed(
            **common(1), window="minute", window_start_ns=0, window_end_ns=1, final=True, complete=True
        ),
    ):  # fmt: skip
        state.apply(event, None, 0.0, NOW_NS)
    assert state.cameras == {}
    (group,) = state.groups.values()
    (line,) = group_lines(group)
    for told in ("group plate of 1 of 2 cameras", "cells 9 (red 8)", "without well-2", "ALERT crowded"):
        assert told in line
    console = Console(file=io.StringIO(), width=160)
    console.print(groups_table([group]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(told in shown for told in ("plate", "minute", "1 of 2 cameras", "red 8", "without", "crowded"))
    state.apply(AlertCleared(**at, rule="crowded", raised_at_ns=0, reason="cells 7"), None, 0.0, NOW_NS)
    assert "ALERT" not in group_lines(group)[0]
