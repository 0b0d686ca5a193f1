"""The paths of cells over the field of view, families in colour, daughters joined to their mothers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import SourceError
from streamcount.lineage.model import Family, Lineage, Track, families
from streamcount.lineage.style import (
    COLOURS,
    FAINT,
    INK,
    MARKS,
    check_picture,
    mark_handles,
    new_figure,
    save,
)
from streamcount.sinks.overlay import displayable
from streamcount.types import Image

LONGEST_IN = 9.0
# More families than this are not named: their numbers would cover the cells.
MOST_NAMED = 40
# On a picture, a line has a rim that keeps it visible on a cell of its own shade.
_RIM = 1.6


@dataclass(frozen=True)
class _Paths:
    """What has one colour. paths: one a cell, (n, 2) as (x, y). joins: from mothers' last to daughters' first."""

    paths: list[NDArray[np.float32]]
    joins: list[NDArray[np.float32]]


def write_paths(lineage: Lineage, path: Path, image: Image | None = None) -> None:
    """Draw the paths of all cells of the run, on `image` (H, W) or (H, W, 3) where it is given, as .png or .svg.

    Families in which a cell divided have colours, which repeat after some; the others are grey. Raises SourceError
    where no place is known or the image is smaller than where the cells are, ConfigurationError for another name,
    without matplotlib, and where the file cannot be written.
    """
    check_picture(path)
    if not len(lineage.points):
        raise SourceError(f"{lineage.name}: no places of cells are known, so there are no paths to draw")
    height, width = _extent(lineage, image)
    scale = LONGEST_IN / max(height, width)
    figure, axes = new_figure(max(width * scale, 3.0) + 1.2, max(height * scale, 2.5) + 1.6, "compressed")
    if image is not None:
        axes.imshow(displayable(image), extent=(0, image.shape[1], image.shape[0], 0), alpha=0.75)
    everyone = families(lineage)
    grown = [family for family in everyone if family.generations > 1]
    others = [track for family in everyone if family.generations == 1 for track in family.tracks]
    # All grey ones as one: there may be thousands.
    _draw(axes, _paths(others, lineage), FAINT if image is None else "#e8e8e8", image is not None)
    for number, family in enumerate(grown):
        _draw(axes, _paths(family.tracks, lineage), COLOURS[number % len(COLOURS)], image is not None)
    _mark_ends(axes, lineage)
    if len(grown) <= MOST_NAMED:
        _name(axes, grown, lineage)
    axes.set(xlim=(0, width), ylim=(height, 0), xlabel="x, px", ylabel="y, px")
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(True)
    _legend(figure, lineage, len(grown), len(others))
    axes.set_title(f"{lineage.name}: paths of {len(lineage.tracks)} cells", loc="left", fontsize=10)
    save(figure, path)


def _extent(lineage: Lineage, image: Image | None) -> tuple[int, int]:
    """Height and width of what is drawn, pixels: the frame's, or what holds all places."""
    far_y, far_x = np.ceil(lineage.points.centroids_px.max(axis=0)).astype(int).tolist()
    if image is not None:
        height, width = image.shape[:2]
        if far_y > height or far_x > width:
            raise SourceError(
                f"the image is {height} x {width} px, but there are cells at y {far_y}, x {far_x}; "
                "give one of the run's own frames"
            )
        return height, width
    return lineage.image_shape or (far_y + 10, far_x + 10)


def _paths(tracks: Sequence[Track], lineage: Lineage) -> _Paths:
    points = lineage.points
    paths = {}
    for track in tracks:
        places = points.centroids_px[points.of(track.track_id)][:, ::-1]
        if len(places):
            paths[track.track_id] = places
    joins = [
        np.stack([paths[track.parent_id][-1], paths[track.track_id][0]])
        for track in tracks
        if track.parent_id in paths and track.track_id in paths
    ]
    return _Paths(list(paths.values()), joins)


def _draw(axes: Any, line: _Paths, colour: str, rimmed: bool) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import Normal, withStroke

    grown = bool(line.joins)
    width = 1.6 if grown else 0.9
    effects = [
        withStroke(linewidth=width + _RIM, foreground="white" if grown else INK, alpha=0.8),
        Normal(),
    ]
    for pieces, style in ((line.paths, "solid"), (line.joins, (0, (1.5, 1.2)))):
        collection = LineCollection(
            pieces, colors=colour, linewidths=width, linestyles=[style], zorder=2 + grown
        )
        if rimmed:
            collection.set_path_effects(effects)
        axes.add_collection(collection)
    # A cell that does not move has a way without a length.
    begins = np.array([way[0] for way in line.paths]).reshape(-1, 2)
    axes.plot(begins[:, 0], begins[:, 1], ls="", marker="o", ms=width + 0.8, mew=0, color=colour, zorder=2)
    starts = np.array([join[0] for join in line.joins]).reshape(-1, 2)
    axes.plot(
        starts[:, 0], starts[:, 1], ls="", marker="o", ms=4.5, mfc=colour, mec="white", mew=0.8, zorder=5
    )


def _mark_ends(axes: Any, lineage: Lineage) -> None:
    """Where cells died, left or were lost; those that stay to the end need no mark on a plane."""
    points = lineage.points
    for fate, (marker, filled, _) in MARKS.items():
        rows = [points.of(track.track_id) for track in lineage.tracks if track.fate == fate]
        ends = np.array([points.centroids_px[one.stop - 1] for one in rows if one.stop > one.start]).reshape(
            -1, 2
        )
        if len(ends) and fate != "at-end":
            fill = INK if filled else "white"
            axes.plot(ends[:, 1], ends[:, 0], ls="", marker=marker, ms=4.5, mec="white" if filled else INK,
                      mfc=fill, mew=0.7, zorder=6)  # fmt: skip


def _name(axes: Any, grown: Sequence[Family], lineage: Lineage) -> None:
    from matplotlib.patheffects import withStroke

    for family in grown:
        paths = _paths(family.tracks, lineage).paths
        if paths:
            x, y = paths[0][0]
            axes.annotate(
                str(family.root.track_id), (x, y), (4, 4), textcoords="offset points", fontsize=7,
                fontweight="bold", color=INK, zorder=7, path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )  # fmt: skip


def _legend(figure: Any, lineage: Lineage, grown: int, others: int) -> None:
    from matplotlib.lines import Line2D

    handles = []
    if grown:
        handles.append(Line2D([], [], color=COLOURS[0], lw=2, label=f"families with a division ({grown})"))
        handles.append(
            Line2D([], [], color=COLOURS[0], lw=1.6, ls=":", marker="o", mec="white", label="division")
        )
    if others:
        handles.append(Line2D([], [], color=FAINT, lw=2, label=f"cells without ({others})"))
    handles += mark_handles([track.fate for track in lineage.tracks if track.fate != "at-end"], 5.0)
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=8)
