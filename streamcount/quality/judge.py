"""Which flags a picture deserves, by fixed limits and by the camera's own history, and when that is told."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from streamcount.quality.config import QualityConfig
from streamcount.quality.state import (
    CONTRAST,
    FLAGS,
    LEVEL,
    NORMAL_PER_MAD,
    TILES,
    QualityState,
    on_one_scale,
    remembered,
)
from streamcount.statistics import medians
from streamcount.types import FrameMetadata, PictureMeasures, QualityChanged

# No more than this is cell in an empty field.
EMPTY_FOREGROUND = 0.005
# Darker than this, tiles differ by their noise.
DARKEST_TILE = 0.02
# Tiles at least so bright are the light of a lamp behind the cells.
LIT_TILE = 0.15
# A smaller spread of a tile, in natural logarithms, is chance.
LEAST_TILE_SPREAD = 0.02


def judge(
    state: QualityState,
    metadata: FrameMetadata,
    measures: PictureMeasures,
    config: QualityConfig,
    *,
    cells: int,
    foreground_fraction: float | None = None,
    shift: tuple[float, float] | None = None,
) -> tuple[QualityState, tuple[str, ...], QualityChanged | None]:
    """The next state, the flags that hold in this frame, and the event if they changed with it.

    cells: found in the frame. foreground_fraction: share of it that is cell, in [0, 1]. shift: (y, x) of the stage
    since the last frame, in diameters of a usual cell. None where it is unknown. Flags hold from `frames_on` bad
    frames in a row until `frames_off` good ones. A frame that is bad in any way, or comes while a flag is on, is no
    part of the history.
    """
    shifts = (*state.shifts, shift or (0.0, 0.0))[-config.drift_frames :]
    state, measures = on_one_scale(msgspec.structs.replace(state, shifts=shifts), measures)
    found = complaints(state, measures, config, cells=cells, foreground_fraction=foreground_fraction)
    before = state.flags
    state = _with_streaks(state, found, config)
    if not found and not state.flags:
        frames, every, first = config.history_frames, config.history_every, config.first_frames
        state = remembered(state, measures, frames, every, first)
    flags = state.flags
    return state, flags, None if flags == before else _event(metadata, flags, before, found)


def focus_score(state: QualityState, measures: PictureMeasures) -> float | None:
    """How far the frame is below the best sustained focus, in spreads; None while that is unknown.

    It is the mean of what sharpness and power slope say: defocus lowers both, chance rarely does.
    """
    if not state.best_focus:
        return None
    values = (measures.sharpness, measures.power_slope)
    triples = zip(values, state.best_focus, state.best_spread, strict=True)
    return sum((best - value) / spread for value, best, spread in triples) / len(values)


def bubble_score(state: QualityState, measures: PictureMeasures) -> float | None:
    """How much darker a tile is than usual, the most of all tiles, in spreads of that tile; None while unknown.

    Levels are natural logarithms, with what the tiles share (the lamp's change, the exposure's) taken off. Tiles that
    are usually dark are left out: in fluorescence cells that gather change them as much as a bubble does.
    """
    if not state.best_focus or state.history.shape[1] != TILES + len(measures.profile):
        return None
    lit = medians(state.history[:, TILES:]) >= LIT_TILE
    if not lit.any():
        return None
    rows = np.log(np.maximum(np.vstack([state.history[:, TILES:], measures.profile])[:, lit], DARKEST_TILE))
    rows -= medians(rows.T)[:, None]
    old, new = rows[:-1], rows[-1]
    usual = medians(old)
    spread = NORMAL_PER_MAD * medians(np.abs(old - usual))
    return float(((usual - new) / np.maximum(spread, LEAST_TILE_SPREAD)).max())


def complaints(
    state: QualityState,
    measures: PictureMeasures,
    config: QualityConfig,
    *,
    cells: int,
    foreground_fraction: float | None = None,
) -> dict[str, str]:
    """What is wrong with this one frame: for each flag the figures in words, in the order of FLAGS."""
    m = measures
    found = {}
    if m.saturated_fraction > config.saturated_limit:
        found["saturated"] = (
            f"{m.saturated_fraction:.1%} of the pixels are white, over {config.saturated_limit:.1%}"
        )
    if m.dark_fraction > config.dark_limit:
        found["dark"] = f"{m.dark_fraction:.1%} of the pixels are black, over {config.dark_limit:.1%}"
    if m.unevenness > config.uneven_limit:
        found["uneven"] = (
            f"the light varies by {m.unevenness:.2f} of its mean, over {config.uneven_limit:.2f}"
        )
    if not cells and (foreground_fraction or 0.0) <= EMPTY_FOREGROUND and m.contrast < config.contrast_limit:
        found["empty"] = f"no cells, and a contrast of {m.contrast:.3f}, below {config.contrast_limit:.3f}"
    elif m.contrast < config.contrast_limit:
        found["low-contrast"] = f"the contrast is {m.contrast:.3f}, below {config.contrast_limit:.3f}"
    drift = math.hypot(*map(sum, zip(*state.shifts, strict=True))) if state.shifts else 0.0
    if drift > config.drift_limit_diameters:
        found["drift"] = (
            f"the stage moved {drift:.1f} cell diameters in {len(state.shifts)} frames, "
            f"over {config.drift_limit_diameters:.1f}"
        )
    found = {**_against_history(state, m, config, cells), **found}
    return {flag: found[flag] for flag in FLAGS if flag in found}


def _against_history(
    state: QualityState, m: PictureMeasures, config: QualityConfig, cells: int
) -> dict[str, str]:
    found: dict[str, str] = {}
    focus = focus_score(state, m)
    if focus is None:
        return found
    level, contrast = medians(state.history[:, [LEVEL, CONTRAST]]).tolist()
    # A field that lost its cells has nothing to be sharp, and less contrast: neither is the picture's fault.
    if cells and focus > config.focus_limit:
        found["out-of-focus"] = f"the focus score is {focus:.1f}, over {config.focus_limit:.1f}"
    if m.level < config.dark_share * level:
        found["dark"] = f"the mean level is {m.level:.3f}, usually {level:.3f}"
    if cells and m.contrast < config.contrast_share * contrast:
        found["low-contrast"] = f"the contrast is {m.contrast:.3f}, usually {contrast:.3f}"
    bubble = bubble_score(state, m) if config.bubble_limit else None
    if bubble is not None and bubble > config.bubble_limit:
        found["bubble"] = (
            f"a part of the picture is darker by {bubble:.1f} spreads, over {config.bubble_limit:.1f}"
        )
    return found


def _with_streaks(state: QualityState, found: Mapping[str, str], config: QualityConfig) -> QualityState:
    streaks, active = [], []
    for flag, streak, on in zip(FLAGS, state.streaks, state.active, strict=True):
        streak = streak + 1 if (flag in found) != on else 0
        turns = streak >= (config.frames_off if on else config.frames_on)
        streaks.append(0 if turns else streak)
        active.append(on != turns)
    return msgspec.structs.replace(state, streaks=tuple(streaks), active=tuple(active))


def _event(
    metadata: FrameMetadata, flags: tuple[str, ...], before: tuple[str, ...], found: Mapping[str, str]
) -> QualityChanged:
    words = [f"{flag}: {found[flag]}" for flag in flags if flag in found]
    words += [f"{flag}: no longer" for flag in before if flag not in flags]
    return QualityChanged(
        camera_id=metadata.camera_id,
        run_id=metadata.run_id,
        sequence=metadata.sequence,
        happened_at_ns=metadata.acquired_at_ns,
        decided_at_ns=metadata.acquired_at_ns,
        flags=flags,
        previous=before,
        explanation="; ".join(words),
    )
