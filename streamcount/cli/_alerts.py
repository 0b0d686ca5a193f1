"""The picture of a rule's trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcount.alerts import JumpRule, LimitRule, judged_figures, watched_cameras
from streamcount.cli._plots import moment, time_axis

if TYPE_CHECKING:
    from streamcount.alerts import AlertSpan
    from streamcount.types import WindowClosed


def draw_trial(
    name: str,
    rule: LimitRule | JumpRule,
    windows: Sequence[WindowClosed],
    told: Sequence[AlertSpan],
    path: Path,
) -> None:
    """The figure with its interval, a panel a camera; the limit as a line, time with an active alert shaded.

    Raises ConfigurationError without matplotlib or where the file cannot be written.
    """
    from streamcount.lineage.style import COLOURS, check_picture, save

    check_picture(path)
    from matplotlib.figure import Figure as Picture

    cameras = watched_cameras(rule, windows)
    picture = Picture(figsize=(9, 1.2 + 2.6 * len(cameras)), layout="constrained")
    panels: Any = picture.subplots(len(cameras), sharex=True, squeeze=False)
    for axes, camera in zip(panels[:, 0], cameras, strict=True):
        judged = list(judged_figures(rule, windows, camera))
        times = [moment(closed.window_end_ns) for closed, _ in judged]
        axes.plot(times, [figure.value for _, figure in judged], color=COLOURS[0], marker=".")
        low = [figure.value if figure.low is None else figure.low for _, figure in judged]
        high = [figure.value if figure.high is None else figure.high for _, figure in judged]
        axes.fill_between(times, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
        if isinstance(rule, LimitRule):
            axes.axhline(rule.limit, color=COLOURS[1], label="limit")
            if rule.clear_at is not None:
                axes.axhline(rule.clear_at, color=COLOURS[1], ls=":", label="cleared at")
        last_ns = max((closed.decided_at_ns for closed, _ in judged), default=0)
        mine = [one for one in told if one.raised.camera_id == camera]
        for number, one in enumerate(mine):
            label = "raised" if not number else None
            start, end = moment(one.raised.decided_at_ns), moment(one.end_ns(last_ns))
            axes.axvspan(start, end, color=COLOURS[1], alpha=0.2, linewidth=0, label=label)
        unit = next((figure.unit for _, figure in judged if figure.unit), "")
        axes.set_ylabel(f"{rule.figure}, {unit}" if unit else rule.figure)
        axes.set_title(f"{name} on {camera}")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
        time_axis(axes)
    panels[-1, 0].set_xlabel("time of acquisition, UTC")
    save(picture, path)
