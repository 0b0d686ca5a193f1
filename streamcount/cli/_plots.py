"""Pictures of answers of a store: lines over time, and alerts as spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcount.errors import SinkError
from streamcount.lineage.style import COLOURS, INK, check_picture, colour_handles, save

if TYPE_CHECKING:
    from streamcount.sinks.store.questions import Answer

# Each colour in so many strokes; more lines could not be told apart.
STROKES = ("-", "--", ":", "-.")
MOST_LINES = len(COLOURS) * len(STROKES)
# From so many panels on they stand in three columns.
MANY_PANELS = 7
# With fewer points each is marked.
FEW_POINTS = 60
SEVERITIES = {"critical": COLOURS[1], "warning": COLOURS[5], "info": COLOURS[0]}


@dataclass
class _Line:
    """times: as for matplotlib. doubtful: rows of windows that are not complete."""

    times: list[datetime] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)


def draw_lines(answer: Answer, path: Path) -> None:
    """Counts or figures over time with their bands: a panel a figure, so that each has one unit.

    A line is one camera, window, zone and class. Hollow points are of windows that are not complete. Raises
    ConfigurationError without matplotlib or where the file cannot be written, SinkError where there is nothing to
    draw, or so many lines that nobody could tell them apart.
    """
    check_picture(path)
    from matplotlib.figure import Figure

    _require_rows(answer)
    panels = _panels(answer)
    labels = list(dict.fromkeys(label for lines in panels.values() for label in lines))
    if len(labels) > MOST_LINES:
        raise SinkError(
            f"{len(labels)} lines cannot be told apart; choose fewer by --camera, --class, --window or --zone"
        )
    styles = {
        label: (COLOURS[number % len(COLOURS)], STROKES[number // len(COLOURS)])
        for number, label in enumerate(labels)
    }
    columns = 1 if len(panels) == 1 else 2 if len(panels) < MANY_PANELS else 3
    rows = -(-len(panels) // columns)
    size = (9, 5) if len(panels) == 1 else (1.5 + 4.2 * columns, 0.8 + 2.2 * rows)
    figure = Figure(figsize=size, layout="constrained")
    places: Any = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes in places.flat[len(panels) :]:
        axes.set_visible(False)
    doubtful = False
    for axes, ((title, unit), lines) in zip(places.flat, panels.items(), strict=False):
        for label, line in lines.items():
            _draw_line(axes, line, *styles[label])
            doubtful |= bool(line.doubtful)
        axes.set_title(title, fontsize=10)
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        time_axis(axes)
        # Panels with none below them keep their times.
        axes.tick_params(labelbottom=True)
    figure.supxlabel("time of acquisition, UTC", fontsize=10)
    _legend(figure, styles, doubtful)
    save(figure, path)


def draw_alerts(answer: Answer, last_ns: Mapping[str, int], path: Path) -> None:
    """Alerts over time, a line a rule of a camera, coloured by severity; an arrow where one lasts.

    last_ns: of each camera, when it was last heard of, which is as far as an alert that lasts is drawn. Raises as
    `draw_lines`.
    """
    check_picture(path)
    from matplotlib.lines import Line2D

    from streamcount.lineage.style import new_figure

    _require_rows(answer)
    told = _as_mappings(answer)
    names = list(dict.fromkeys(f"{one['camera']}: {one['rule']}" for one in told))
    figure, axes = new_figure(9, 1.6 + 0.32 * len(names))
    lasting = False
    for one in told:
        height = names.index(f"{one['camera']}: {one['rule']}")
        begin_ns, end_ns = int(one["raised_at_ns"]), one["cleared_at_ns"]
        until_ns = max(begin_ns, last_ns.get(one["camera"], begin_ns)) if end_ns is None else int(end_ns)
        colour = SEVERITIES.get(one["severity"], INK)
        ends = [moment(begin_ns), moment(until_ns)]
        axes.plot(ends, [height, height], color=colour, lw=9, solid_capstyle="butt")
        # Short ones are seen by where they begin.
        axes.plot(ends[:1], [height], marker="|", color=colour, ms=11, mew=1.6)
        if end_ns is None:
            lasting = True
            axes.plot(ends[1:], [height], marker=">", color=INK, ms=6, clip_on=False)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("time of acquisition, UTC")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    time_axis(axes)
    handles = colour_handles(
        {name: colour for name, colour in SEVERITIES.items() if any(one["severity"] == name for one in told)}
    )
    if lasting:
        handles.append(Line2D([], [], ls="", marker=">", color=INK, ms=6, label="not cleared"))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    save(figure, path)


def moment(time_ns: int) -> datetime:
    """A time as matplotlib takes it. time_ns: since 1970 UTC."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC)


def time_axis(axes: Any) -> None:
    """Dates along the lower axis that are as short as they can be told."""
    import matplotlib.dates

    # Its dates carry no types.
    dates: Any = matplotlib.dates
    locator = dates.AutoDateLocator(minticks=3)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))


def _require_rows(answer: Answer) -> None:
    if not answer.rows:
        raise SinkError("there is nothing to draw: no row of the store is what was asked for")


def _as_mappings(answer: Answer) -> list[dict[str, Any]]:
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def _panels(answer: Answer) -> dict[tuple[str, str], dict[str, _Line]]:
    """By title and unit the lines by what they are of."""
    panels: dict[tuple[str, str], dict[str, _Line]] = {}
    told = _as_mappings(answer)
    classes = {one["class_name"] for one in told}
    windows = {one.get("window_name") for one in told}
    for one in told:
        # A single class is all cells once more.
        if one["class_name"] and "" in classes and len(classes) == 2:
            continue
        if "name" in one:
            panel = one["name"], one["unit"] or _pure(one["name"])
        else:
            panel = "cells in a frame: mean, least to most", "cells"
        window = one.get("window_name") if len(windows) > 1 else ""
        name = one["class_name"] or ("all" if len(classes) > 2 else "")
        label = " ".join(str(part) for part in (one["camera"], window, one.get("zone"), name) if part)
        line = panels.setdefault(panel, {}).setdefault(label, _Line())
        value = float(one.get("mean", one.get("value", 0.0)))
        if not one.get("complete", 1):
            line.doubtful.append(len(line.times))
        line.times.append(moment(int(one.get("start_ns", one.get("window_start_ns", 0)))))
        line.values.append(value)
        # No interval is no band.
        line.low.append(value if one["low"] is None else float(one["low"]))
        line.high.append(value if one["high"] is None else float(one["high"]))
    return panels


def _pure(name: str) -> str:
    """What a figure without a unit is of."""
    from streamcount.types.figures import FIGURES

    return "share" if name in FIGURES and FIGURES[name].meaning.startswith("share") else "number"


def _draw_line(axes: Any, line: _Line, colour: str, stroke: str) -> None:
    marker = "." if len(line.times) < FEW_POINTS else ""
    axes.plot(line.times, line.values, color=colour, ls=stroke, marker=marker, lw=1.3)
    axes.fill_between(line.times, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        [line.times[row] for row in line.doubtful],
        [line.values[row] for row in line.doubtful],
        ls="", marker="o", ms=5, mfc="white", mec=colour, zorder=3,
    )  # fmt: skip


def _legend(figure: Any, styles: Mapping[str, Sequence[str]], doubtful: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, ls=stroke, label=label) for label, (colour, stroke) in styles.items()
    ]
    if doubtful:
        handles.append(
            Line2D([], [], ls="", marker="o", ms=5, mfc="white", mec=INK, label="window not complete")
        )
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
