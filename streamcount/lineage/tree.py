"""Lineage trees: a line a cell, time downwards, a fork at each division, a mark where a cell's life ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamcount.lineage.choices import Axis, Colour
from streamcount.lineage.layout import Clock, Place, lay_out, spans
from streamcount.lineage.model import Family, Lineage
from streamcount.lineage.style import (
    FAINT,
    GAP_ALPHA,
    GAP_WIDTH,
    INK,
    MARKS,
    check_drawing,
    check_picture,
    colour_handles,
    colours_of_tracks,
    gap_handles,
    mark_handles,
    new_figure,
    packed,
    save,
)

INCHES_A_LINE, WIDEST_IN, NARROWEST_IN = 0.32, 44.0, 6.0
# Ids are written if there is room for four digits beside each other.
LEAST_INCHES_NAMED = 0.27
# A mother who lived for a smaller share of the run has no room for her id.
LEAST_LIFE_NAMED = 0.045


@dataclass(frozen=True)
class _Canvas:
    axes: Any
    clock: Clock
    colours: dict[int, Any]
    inches_a_line: float

    @property
    def named(self) -> bool:
        return self.inches_a_line >= LEAST_INCHES_NAMED


@dataclass(frozen=True)
class _Strokes:
    """Straight lines of many colours that are drawn as one, for there may be thousands."""

    lines: list[list[tuple[float, float]]] = field(default_factory=list)
    colours: list[Any] = field(default_factory=list)

    def add(self, line: list[tuple[float, float]], colour: Any) -> None:
        self.lines.append(line)
        self.colours.append(colour)

    def draw(self, axes: Any, **style: Any) -> None:
        from matplotlib.collections import LineCollection

        axes.add_collection(LineCollection(self.lines, colors=self.colours, zorder=2, **style))


def write_tree(
    lineage: Lineage, chosen: Sequence[Family], path: Path, axis: Axis, colour: Colour = Colour.auto
) -> None:
    """Draw these families of the run, side by side, as .png or .svg.

    A line is faint where the cell was not seen. Raises ConfigurationError for another name, without matplotlib, and
    where the file cannot be written.
    """
    check_picture(path)
    save(_tree(lineage, chosen, axis, colour), path)


def tree_svg(lineage: Lineage, chosen: Sequence[Family], axis: Axis, colour: Colour = Colour.auto) -> bytes:
    """The same picture as SVG. Raises ConfigurationError without matplotlib."""
    check_drawing()
    return packed(_tree(lineage, chosen, axis, colour), "svg")


def _tree(lineage: Lineage, chosen: Sequence[Family], axis: Axis, colour: Colour) -> Any:
    places = lay_out(chosen)
    lines = 1 + max((place.x for place in places), default=0.0)
    width = min(max(INCHES_A_LINE * lines + 2.6, NARROWEST_IN), WIDEST_IN)
    depth = max((family.generations for family in chosen), default=1)
    figure, axes = new_figure(width, min(3.6 + 0.9 * depth, 10.0))
    clock = Clock(lineage, axis)
    shown = lineage.only([place.track.track_id for place in places])
    colours, legend = colours_of_tracks(shown, colour)
    canvas = _Canvas(axes, clock, colours, (width - 2.6) / lines)
    gaps = _draw_lives(canvas, places, shown)
    _draw_ends(canvas, places)
    for place in places if canvas.named else ():
        _name(canvas, place)
    _finish(figure, canvas, (-0.8, max(lines - 0.2, 1.0)))
    axes.set_title(_title(lineage, chosen), loc="left", fontsize=10)
    fates = [place.track.fate for place in places]
    handles = colour_handles(legend) + mark_handles(fates) + (gap_handles() if gaps else [])
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _draw_lives(canvas: _Canvas, places: Sequence[Place], lineage: Lineage) -> bool:
    """Draw all cells' lines, and tell whether there are gaps in them."""
    whole, seen, forks = _Strokes(), _Strokes(), _Strokes()
    gaps = False
    for place in places:
        track, colour = place.track, canvas.colours[place.track.track_id]
        begin = track.first_sequence if place.from_fork is None else place.from_fork
        end = track.last_sequence if place.fork is None else place.fork
        pieces = _seen(place, lineage)
        gaps |= len(pieces) > 1
        whole.add(_upright(canvas, place.x, begin, end), colour)
        for first, last in pieces:
            seen.add(_upright(canvas, place.x, first, last), colour)
        if place.fork is not None:
            height = canvas.clock([place.fork])[0]
            across = (*place.daughters_x, place.x)
            forks.add([(min(across), height), (max(across), height)], colour)
    whole.draw(canvas.axes, linewidths=GAP_WIDTH, alpha=GAP_ALPHA)
    # Ends are cut straight, or they would hide a short gap; only the corners of forks need more.
    seen.draw(canvas.axes, linewidths=2.2, capstyle="butt")
    forks.draw(canvas.axes, linewidths=2.2, capstyle="projecting")
    return gaps


def _seen(place: Place, lineage: Lineage) -> list[tuple[int, int]]:
    """First and last frames of the pieces of a cell's line along which it was seen."""
    track = place.track
    # Where only a table of tracks is known, it says that they were seen.
    pieces = spans(lineage.points.sequences[lineage.points.of(track.track_id)]) or [
        (track.first_sequence, track.last_sequence)
    ]
    # The first sightings of a cell may have no place in the source, but they made it known.
    begin = min(track.first_sequence, pieces[0][0])
    if place.from_fork is not None and begin <= place.from_fork + 1:
        begin = place.from_fork
    pieces[0] = (begin, pieces[0][1])
    if place.fork is not None and pieces[-1][1] == place.fork - 1:
        pieces[-1] = (pieces[-1][0], place.fork)
    return pieces


def _upright(canvas: _Canvas, x: float, first: int, last: int) -> list[tuple[float, float]]:
    top, bottom = canvas.clock([first, last]).tolist()
    return [(x, top), (x, bottom)]


def _draw_ends(canvas: _Canvas, places: Sequence[Place]) -> None:
    for fate, (marker, filled, _) in MARKS.items():
        ended = [place for place in places if place.track.fate == fate and place.fork is None]
        died = fate == "died"
        at = [place.track.fate_sequence if died else place.track.last_sequence for place in ended]
        canvas.axes.plot(
            [place.x for place in ended], canvas.clock(at), ls="", marker=marker, ms=6.0 if canvas.named else 3.0,
            mec=INK, mfc=INK if filled else "white", mew=0.9, zorder=4,
        )  # fmt: skip


def _name(canvas: _Canvas, place: Place) -> None:
    track, text = place.track, str(place.track.track_id)
    if place.fork is None:
        at, offset, align = (place.x, canvas.clock([track.last_sequence])[0]), (0, -7), ("center", "top")
    elif place.from_fork is None:
        at, offset, align = (place.x, canvas.clock([track.first_sequence])[0]), (0, 4), ("center", "bottom")
    elif (place.fork - place.from_fork) > LEAST_LIFE_NAMED * (canvas.clock.last - canvas.clock.first):
        at, offset, align = (place.x, canvas.clock([place.fork])[0]), (3, 2), ("left", "bottom")
    else:
        return
    canvas.axes.annotate(
        text, at, offset, textcoords="offset points", ha=align[0], va=align[1], fontsize=6.5, color=INK,
        fontweight="bold" if place.from_fork is None else "normal", zorder=5,
    )  # fmt: skip


def _finish(figure: Any, canvas: _Canvas, across: tuple[float, float]) -> None:
    axes, clock = canvas.axes, canvas.clock
    top, bottom = clock([clock.first, clock.last]).tolist()
    room = 0.05 * max(bottom - top, 1e-9)
    axes.set(ylabel=clock.label, xlim=across, ylim=(bottom + room, top - room))
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.grid(axis="y", color=FAINT, lw=0.4, alpha=0.6)
    axes.set_axisbelow(True)


def _title(lineage: Lineage, chosen: Sequence[Family]) -> str:
    cells = sum(len(family) for family in chosen)
    divisions = sum(1 for family in chosen for track in family.tracks if track.daughter_ids)
    if len(chosen) == 1:
        return f"{lineage.name}: family of cell {chosen[0].root.track_id}, {_many(cells, 'cell')}, " + _many(
            divisions, "division"
        )
    return (
        f"{lineage.name}: {_many(len(chosen), 'family', 'families')}, {_many(cells, 'cell')}, "
        f"{_many(divisions, 'division')}"
    )


def _many(number: int, one: str, more: str | None = None) -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
