"""What a rule would have told of past windows."""

from __future__ import annotations

from streamcount.alerts import LimitRule, trial_summary, watched_cameras, would_have_told
from tests.groupfilms import window

CAMERAS = [window(camera, number, cells=60) for camera in ("scope-1", "scope-2") for number in range(3)]
PLATE = [window("plate", number, cells=120, run="", members=("scope-1", "scope-2")) for number in range(3)]


def test_only_cameras_that_a_rule_is_for_have_a_line():
    windows = [*CAMERAS, *PLATE]
    for rule, names in (
        (LimitRule(figure="cells", above=20), ["scope-1", "scope-2"]),
        (LimitRule(figure="cells", above=20, groups=("plate",)), ["plate"]),
    ):
        told = would_have_told("crowded", {"crowded": rule}, windows)
        assert sorted({one.raised.camera_id for one in told}) == names
        assert watched_cameras(rule, windows) == names
        lines = list(trial_summary("crowded", rule, windows, told))
        assert [line.partition(":")[0] for line in lines] == names
        assert all("would have been raised once in 3 windows" in line for line in lines)
