"""From the sums of a window to the event that tells it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from streamcount.statistics import doubling_time, series_of
from streamcount.types import Figure, ModelIdentity, WindowClosed
from streamcount.windows.config import ChamberConfig, WindowsSetup
from streamcount.windows.figures import Key, Rule, figure, figures_of
from streamcount.windows.sightings import folded
from streamcount.windows.state import (
    DIFFERENT,
    HAPPENINGS,
    PRODUCTS,
    SIGHTED,
    SQUARES,
    Float64Array,
    Layout,
    OpenWindow,
    WindowsState,
    roles_of,
)

UM2_PER_MM2 = 1e6
# 1 mm2 x 1 µm is 1e-6 mL: 1 mL is 1e3 mm3.
ML_PER_MM2_UM = 1e-6
# Of cells that lie by chance one field in four has a larger index of dispersion of its ninths.
GATHERED = 1.3
# Variance of Student's 95 % interval of eight degrees of freedom over that of a normal one.
STUDENT = (2.306 / 1.960) ** 2


def told(
    window: OpenWindow,
    state: WindowsState,
    setup: WindowsSetup,
    whose: tuple[str, str],
    *,
    final: bool = True,
    reason: str = "",
) -> WindowClosed:
    """The event of a window. whose: camera and run. reason: one more thing that is wrong with it, "" for none."""
    if state.layout is None:
        raise ValueError("a window has no layout before the first frame")
    window = folded(window, state.track_classes)
    reasons = tuple(
        name
        for name, wrong in (
            ("frames-missing", window.frames_missing),
            ("bad-picture", window.frames_flagged),
            (window.cut, window.cut),
            ("late-events", window.late_events),
            ("late-frames", window.late_frames),
            (reason, reason != window.cut and reason),
        )
        if wrong
    )
    sums = dict(_sums(window, state.layout, setup.chamber))
    return WindowClosed(
        camera_id=whose[0],
        run_id=whose[1],
        sequence=state.last_sequence,
        happened_at_ns=window.end_ns,
        decided_at_ns=state.now_ns,
        window=window.name,
        window_start_ns=window.start_ns,
        window_end_ns=window.end_ns,
        final=final,
        complete=final and not reasons,
        reasons=reasons,
        frames=window.frames,
        frames_missing=window.frames_missing,
        frames_flagged=window.frames_flagged,
        late_events=window.late_events,
        late_frames=window.late_frames,
        figures=(*figures_of(sums, setup.rule), *(_growth(state, setup.rule) if final else ())),
    )


def _sums(window: OpenWindow, layout: Layout, chamber: ChamberConfig | None) -> Iterator[tuple[Key, float]]:
    """All additive figures: events always, the rest where a frame was seen that says them."""
    model = layout.model
    for place, zone in enumerate(layout.places):
        for name, column in zip(HAPPENINGS, np.moveaxis(window.happened[place], 1, 0), strict=True):
            yield from _by_class(name, zone, column, model)
        yield from _by_class(
            "births", zone, 2 * window.happened[place, :, HAPPENINGS.index("divisions")], model
        )
        if zone:
            yield Key("dwell_total_s", zone), float(window.dwell_s[place])
    for line, crossings in zip(layout.lines, window.crossings, strict=True):
        yield Key("crossings_forward", line), float(crossings[0])
        yield Key("crossings_backward", line), float(crossings[1])
    if window.frames:
        yield from _per_frame(window, model, layout.places)
        yield from _extents(window, layout.places, chamber)


def _by_class(
    name: str, zone: str, values: Float64Array, model: ModelIdentity
) -> Iterator[tuple[Key, float]]:
    yield Key(name, zone), float(values.sum())
    for class_name, value in zip(model.class_names, values, strict=True):
        yield Key(name, zone, class_name), float(value)


def _per_frame(
    window: OpenWindow, model: ModelIdentity, places: tuple[str, ...]
) -> Iterator[tuple[Key, float]]:
    """Means over the frames of the window."""
    cells, frames = window.cells / window.frames, window.frames
    for place, zone in enumerate(places):
        yield from _by_class("cells", zone, cells[place], model)
        yield from _by_class("cells_now", zone, window.cells_now[place], model)
        yield from _by_class("cells_seen", zone, window.lives[DIFFERENT, place], model)
        yield from _variances(cells[place], window.lives[:, place], frames, zone, model)
        yield from _roles(cells[place], window, place, zone, model)
    yield from _by_class("cells_counted", "", window.counted / frames, model)
    if window.scaled_frames:
        yield from _by_class("cells_sized", "", window.sized / window.scaled_frames, model)
        yield from _by_class("cell_area_um2", "", window.cell_areas_um2 / window.scaled_frames, model)
        squares = window.cell_area_squares_um4 / window.scaled_frames
        yield from _by_class("cell_area_squares_um4", "", squares, model)


def _variances(
    cells: Float64Array, lives: Float64Array, frames: int, zone: str, model: ModelIdentity
) -> Iterator[tuple[Key, float]]:
    """The variance of the mean count, were the cells that were seen independent: the sum of their squared weights.

    Tracks begin some sightings late and may miss some, so their weights are scaled to the cells that were counted.
    Cells of which no track is known count as if each had been there throughout.
    """
    sighted, squares = lives[SIGHTED], lives[SQUARES]
    everyone = list(range(len(model.class_names)))
    of_class = {"": everyone, **{name: [row] for row, name in enumerate(model.class_names)}}
    for class_name, rows in of_class.items():
        mean, seen = float(cells[rows].sum()), float(sighted[rows].sum()) / frames
        variance = float(squares[rows].sum()) / frames**2 * (mean / seen) ** 2 if seen else mean
        yield Key("cells_variance", zone, class_name), variance


def _roles(
    cells: Float64Array, window: OpenWindow, place: int, zone: str, model: ModelIdentity
) -> Iterator[tuple[Key, float]]:
    """How many cells are dead, in mitosis, abnormal; and how that varies, as `_variances` tells it of all cells.

    A cell that is in mitosis for a tenth of the window adds a hundredth to the variance.
    """
    known = float(window.lives[SIGHTED, place].sum()) / window.frames
    for row, (role, members) in enumerate(roles_of(model).items()):
        mean = float(cells[members].sum())
        sighted, squares, products = window.role_lives[[SIGHTED, SQUARES, PRODUCTS], row, place].tolist()
        if sighted:
            scale = mean * window.frames / sighted
            variance = squares / window.frames**2 * scale**2
            covariance = products / window.frames**2 * scale * float(cells.sum()) / known
        else:
            variance = covariance = mean
        yield Key(f"{role}_cells", zone), mean
        yield Key(f"{role}_variance", zone), variance
        yield Key(f"{role}_covariance", zone), covariance


def _extents(
    window: OpenWindow, places: tuple[str, ...], chamber: ChamberConfig | None
) -> Iterator[tuple[Key, float]]:
    for zone, area_um2 in zip(places, window.field_um2, strict=True):
        if area_um2 <= 0:
            continue
        area_mm2 = float(area_um2) / window.scaled_frames / UM2_PER_MM2
        yield Key("field_mm2", zone), area_mm2
        if chamber is not None:
            # The volume of undiluted sample that lies under the area.
            yield Key("volume_ml", zone), area_mm2 * chamber.depth_um * ML_PER_MM2_UM / chamber.dilution
    if window.covered_frames:
        yield Key("fields"), 1.0
        yield Key("foreground"), window.covered / window.covered_frames
        yield (
            Key("patches"),
            patches(window.areas, window.blocks, window.field_px / window.covered_frames, window.frames),
        )


def patches(areas: Float64Array, blocks: Float64Array, field_px: float, frames: int) -> float:
    """As many independent patches as the cells would fill the field with, fewer where they gather.

    areas: (2,) of cells in px, summed over frames, and of their squares. blocks: (9,) the first by ninths of the
    field. Of cells that lie by chance, the variance of what covers a ninth is its mean times the area-weighted mean
    area of a cell; the index of dispersion is how many times as much it varies (Fisher, Statistical Methods for
    Research Workers, 1925, section 16). Nine ninths tell it by eight degrees of freedom: where it is believed, the
    interval is widened as Student's is beside a normal one of 95 %.
    """
    total, squares = areas.tolist()
    if not squares:
        return 0.0
    grain_px, of_ninths = squares / total, blocks / frames
    dispersion = float(of_ninths.var(ddof=1)) / (float(of_ninths.mean()) * grain_px) if blocks.any() else 1.0
    return float(field_px / grain_px / (dispersion * STUDENT if dispersion > GATHERED else 1.0))


def _growth(state: WindowsState, rule: Rule) -> tuple[Figure, ...]:
    growth = doubling_time(series_of(state.growth), rule.level)
    if growth is None:
        return ()
    rate = growth.rate_per_h
    found = [figure(Key("growth_rate_per_h"), rate.value, (rate.low, rate.high))]
    if growth.doubling_time_h is not None:
        time = growth.doubling_time_h
        found.append(figure(Key("doubling_time_h"), time.value, (time.low, time.high)))
    return tuple(found)
