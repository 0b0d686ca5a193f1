"""What both pictures share: colours, marks, figures without pyplot's global state, and files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from streamcount.errors import ConfigurationError
from streamcount.lineage.choices import Colour
from streamcount.lineage.model import Fate, Lineage
from streamcount.sinks.files import write_whole

SUFFIXES = (".png", ".svg")
INK, FAINT = "#202020", "#b4b4b4"
Layout: TypeAlias = Literal["constrained", "compressed"]
DPI = 150
# Of a line where its cell was not seen.
GAP_WIDTH, GAP_ALPHA = 1.0, 0.45
# Okabe and Ito's palette (2008), made for colour-blind eyes, without the yellow that is too pale for a thin line.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a4fbf", "#8c6d31")
# The mark at a line's end: marker, whether it is filled, and what it means.
MARKS: dict[Fate, tuple[str, bool, str]] = {
    "died": ("X", True, "died"),
    "left": (">", True, "left the view"),
    "lost": ("o", False, "lost"),
    "ended": ("s", False, "ended, not told how"),
    "at-end": ("_", True, "still there at the end"),
}


def check_picture(path: Path) -> None:
    """Raises ConfigurationError where the name is of no picture, or matplotlib is not installed."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigurationError(f"{path}: a picture is .png or .svg; name it so")
    check_drawing()


def check_drawing() -> None:
    """Raises ConfigurationError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigurationError("pictures need matplotlib: pip install 'streamcount[lineage]'") from error


def new_figure(width_in: float, height_in: float, layout: Layout = "constrained") -> tuple[Any, Any]:
    """A figure with one axes, without the lines that say nothing; layout "compressed" where their sides are bound."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout=layout)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Any, path: Path) -> None:
    """Write a picture, whole or not at all. Raises ConfigurationError."""
    write_whole(path, packed(figure, path.suffix.lower()[1:]))


def packed(figure: Any, form: str) -> bytes:
    """A picture as the bytes of a file. form: "png" or "svg"."""
    data = io.BytesIO()
    # Without the date, or the same run would give other bytes each day.
    figure.savefig(data, format=form, dpi=DPI, metadata={"Date": None} if form == "svg" else None)
    return data.getvalue()


def mark_handles(fates: Sequence[Fate], size: float = 6.0) -> list[Any]:
    """What the legend shows of the marks that occur, in the order of MARKS."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], ls="", marker=marker, ms=size, mec=INK, mfc=INK if filled else "white", label=meaning)
        for fate, (marker, filled, meaning) in MARKS.items()
        if fate in fates
    ]


def gap_handles() -> list[Any]:
    """What the legend shows of lines where cells were not seen."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=INK, lw=GAP_WIDTH, alpha=GAP_ALPHA, label="not seen")]


def colour_handles(colours: dict[str, Any]) -> list[Any]:
    """What the legend shows of colours by name."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colour, lw=3, label=name) for name, colour in colours.items()]


def colours_of_tracks(lineage: Lineage, colour: Colour) -> tuple[dict[int, Any], dict[str, Any]]:
    """By track its colour, and by what the legend calls it. `auto` is the class where there are several."""
    tracks = lineage.tracks
    classes = sorted({track.class_name for track in tracks}, key=_order(lineage))
    if colour is Colour.auto:
        colour = Colour.class_ if len(classes) > 1 else Colour.generation
    if colour is Colour.class_:
        named = {name or "unknown": COLOURS[number % len(COLOURS)] for number, name in enumerate(classes)}
        return {track.track_id: named[track.class_name or "unknown"] for track in tracks}, named
    from matplotlib import colormaps

    numbers = sorted({track.generation for track in tracks})
    # The palest end of the map is too pale for a thin line on white.
    scale = colormaps["viridis"]
    steps = {number: scale(0.82 * place / max(len(numbers) - 1, 1)) for place, number in enumerate(numbers)}
    legend = {f"generation {number}": steps[number] for number in numbers}
    return {track.track_id: steps[track.generation] for track in tracks}, legend


def _order(lineage: Lineage) -> Any:
    places = {name: number for number, name in enumerate(lineage.class_names)}
    return lambda name: places.get(name, len(places))
