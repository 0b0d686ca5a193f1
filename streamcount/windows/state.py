"""What windows remember between two frames."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.statistics import GrowthState, no_counts
from streamcount.types import Int64Array, ModelIdentity
from streamcount.types.figures import ROLES

Float64Array: TypeAlias = NDArray[np.float64]

# The kinds of happenings that are counted, columns of `OpenWindow.happened`.
HAPPENINGS = ("entries", "appeared", "divisions", "deaths", "exits", "lost", "abnormal")
# Parts of the image's height and width, in which cells that gather show.
THIRDS = 3
# The rows of `OpenWindow.lives`, and of `OpenWindow.role_lives`.
SIGHTED, SQUARES, DIFFERENT = 0, 1, 2
PRODUCTS = 2


class Layout(msgspec.Struct, frozen=True):
    """What the axes of the arrays stand for.

    places: "" for the whole field, then the zones. drawn: how zones and lines are drawn.
    """

    model: ModelIdentity
    places: tuple[str, ...] = ("",)
    lines: tuple[str, ...] = ()
    drawn: str = ""


@lru_cache(maxsize=64)
def roles_of(model: ModelIdentity) -> dict[str, NDArray[np.bool_]]:
    """(C,) bool by role, in the order of ROLES, which classes have it; roles that no class has are left out."""
    members = {role: np.isin(model.class_names, getattr(model, role)) for role in ROLES}
    return {role: each for role, each in members.items() if each.any()}


class OpenWindow(msgspec.Struct, frozen=True, eq=False):
    """Sums over the frames and events of one window. P places, C classes, L lines, N living tracks.

    name: of its setting. [start_ns, end_ns). cut: why its beginning is not in it, "run-began" or
    "settings-changed"; "" where it is.
    frames, frames_missing, frames_flagged, late_events, late_frames: as in WindowClosed.
    frames_after: frames of the run since its end, lost ones included.
    scaled_frames: those of a known pixel size. field_um2: (P,) float64, their areas summed.
    covered, covered_frames: foreground fractions summed, and of how many frames. field_px: their areas summed.
    areas: (2,) float64, areas of cells in px summed, and their squares.
    blocks: (9,) float64, the first by where cells lie, in thirds of the image's height and width.
    cells: (P, C) float64, cells summed over frames. cells_now: (P, C) float64, those of the last frame.
    counted: (C,) float64, cells summed that count in densities, each by its weight.
    cell_areas_um2, cell_area_squares_um4: (C,) float64, areas of cells and their squares summed over scaled frames.
    sized: (C,) float64, how many.
    happened: (P, C, 7) float64, events by HAPPENINGS.
    dwell_s: (P,) float64, how long the cells that left a zone had been in it, summed.
    crossings: (L, 2) float64, forward and backward.
    sightings: (1 + R, P, N) int32, in how many frames each living track was seen; then in how many of these it was of
        a class of each role that the model has, in the order of ROLES.
    lives: (3, P, C) float64, of the tracks that are over: sightings, their squares, tracks.
    role_lives: (3, R, P) float64, of these: sightings in the role, their squares, their products with all sightings.
    """

    name: str
    start_ns: int
    end_ns: int
    cut: str
    cells: Float64Array
    cells_now: Float64Array
    counted: Float64Array
    cell_areas_um2: Float64Array
    cell_area_squares_um4: Float64Array
    sized: Float64Array
    happened: Float64Array
    dwell_s: Float64Array
    crossings: Float64Array
    sightings: NDArray[np.int32]
    lives: Float64Array
    role_lives: Float64Array
    field_um2: Float64Array
    areas: Float64Array
    blocks: Float64Array = msgspec.field(default_factory=lambda: np.zeros(THIRDS * THIRDS))
    frames: int = 0
    frames_missing: int = 0
    frames_flagged: int = 0
    late_events: int = 0
    late_frames: int = 0
    frames_after: int = 0
    scaled_frames: int = 0
    covered: float = 0.0
    covered_frames: int = 0
    field_px: float = 0.0


class Late(msgspec.Struct, frozen=True):
    """What is known of one kind of window.

    spans_ns: length, and from one beginning to the next; under other settings its windows begin anew.
    since_ns: when it began, if that was within the run; -1 otherwise. final_ns: its windows are final up to here.
    events, frames: news that came after its window was final, to be told by the next. current_ns: when the figures so
        far were last told.
    """

    name: str
    spans_ns: tuple[int, int]
    since_ns: int = -1
    final_ns: int = 0
    events: int = 0
    frames: int = 0
    current_ns: int = 0


class Loss(msgspec.Struct, frozen=True):
    """Frames that will never come, between two times of acquisition."""

    first_ns: int
    last_ns: int
    frames: int


class WindowsState(msgspec.Struct, frozen=True, eq=False):
    """The windows of one run.

    began_ns: its first frame; -1 before it. now_ns, last_sequence: of the last frame or loss. last_ns: the latest
    time so far, the watermark; a clock that steps back leaves it. lost_first: what was lost before the first frame.
    track_ids, track_classes: (N,) int64, tracks that may be seen again, ascending.
    windows: those that are not final, by end and name. late: one a kind of window.
    growth: counts of the run so far.
    """

    layout: Layout | None = None
    began_ns: int = -1
    now_ns: int = -1
    last_ns: int = -1
    last_sequence: int = -1
    track_ids: Int64Array = msgspec.field(default_factory=lambda: np.empty(0, np.int64))
    track_classes: Int64Array = msgspec.field(default_factory=lambda: np.empty(0, np.int64))
    windows: tuple[OpenWindow, ...] = ()
    lost_first: Loss | None = None
    late: tuple[Late, ...] = ()
    growth: GrowthState = msgspec.field(default_factory=no_counts)


def no_windows() -> WindowsState:
    """Before the first frame of a run."""
    return WindowsState()


def opened(name: str, span_ns: tuple[int, int], layout: Layout, tracks: int, cut: str) -> OpenWindow:
    """A window of which nothing was seen."""
    places, classes = len(layout.places), len(layout.model.class_names)
    roles = len(roles_of(layout.model))
    return OpenWindow(
        name=name,
        start_ns=span_ns[0],
        end_ns=span_ns[1],
        cut=cut,
        cells=np.zeros((places, classes)),
        cells_now=np.zeros((places, classes)),
        counted=np.zeros(classes),
        cell_areas_um2=np.zeros(classes),
        cell_area_squares_um4=np.zeros(classes),
        sized=np.zeros(classes),
        happened=np.zeros((places, classes, len(HAPPENINGS))),
        dwell_s=np.zeros(places),
        crossings=np.zeros((len(layout.lines), 2)),
        sightings=np.zeros((1 + roles, places, tracks), np.int32),
        lives=np.zeros((3, places, classes)),
        role_lives=np.zeros((3, roles, places)),
        field_um2=np.zeros(places),
        areas=np.zeros(2),
    )
