"""What the judge of pictures remembers between two frames."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.quality.measure import on_scale, scaled_contrast
from streamcount.statistics import medians
from streamcount.types import PictureMeasures

FLAGS = ("out-of-focus", "saturated", "dark", "uneven", "low-contrast", "drift", "empty", "bubble")
# Columns of a row of history before the tiles of the profile.
SHARPNESS, SLOPE, LEVEL, CONTRAST, TILES = 0, 1, 2, 3, 4
# A spread smaller than these is chance: of the sharpness (natural logarithms) and of the slope (powers an octave).
LEAST_SPREAD = (0.1, 0.1)
NORMAL_PER_MAD = 1.4826


class QualityState(msgspec.Struct, frozen=True, eq=False):
    """The camera's own good frames, in short, and how long each flag has been wanted.

    history: (K, 4 + tiles) float64, the last good frames that were kept: sharpness, slope, level, contrast, profile.
    good_frames: good frames of the run so far.
    best_focus, best_spread: (2,) float64, the best sustained sharpness and slope, and their spread at that time; the
        first is never lowered in a run, so that a slow loss of focus cannot become usual. () before it is known.
    streaks: frames in a row in which each of FLAGS was against what is told. active: what is told.
    shifts: (y, x) of the stage from each of the last frames to the next, in diameters of a usual cell.
    full_white: the largest grey level that was taken for full white in the run, on whose scale the history is; 0
        before it is known.
    """

    history: NDArray[np.float64]
    good_frames: int
    best_focus: tuple[float, ...]
    best_spread: tuple[float, ...]
    streaks: tuple[int, ...]
    active: tuple[bool, ...]
    shifts: tuple[tuple[float, float], ...] = ()
    full_white: int = 0

    @property
    def flags(self) -> tuple[str, ...]:
        """What is told to be wrong."""
        return tuple(flag for flag, active in zip(FLAGS, self.active, strict=True) if active)


def empty_quality() -> QualityState:
    """Before the first frame of a run."""
    return QualityState(
        history=np.empty((0, 0), np.float64),
        good_frames=0,
        best_focus=(),
        best_spread=(),
        streaks=(0,) * len(FLAGS),
        active=(False,) * len(FLAGS),
    )


def on_one_scale(state: QualityState, measures: PictureMeasures) -> tuple[QualityState, PictureMeasures]:
    """Both as they are where the largest full white of the run, this frame's included, is full white.

    A camera of 12 bits shows that it has more than 10 with its first bright pixel: what was usual until then must not
    look four times as bright as all that follows.
    """
    white = max(state.full_white, measures.full_white)
    if state.full_white == white:
        return state, on_scale(measures, white)
    history = state.history
    if state.full_white and len(history):
        factor = state.full_white / white
        history = history.copy()
        history[:, CONTRAST] = scaled_contrast(history[:, CONTRAST], history[:, LEVEL], factor)
        history[:, LEVEL] *= factor
        history[:, TILES:] *= factor
    return msgspec.structs.replace(state, history=history, full_white=white), measures


def row_of(measures: PictureMeasures) -> NDArray[np.float64]:
    """What is kept of a good frame."""
    m = measures
    return np.array([m.sharpness, m.power_slope, m.level, m.contrast, *m.profile], np.float64)


def remembered(
    state: QualityState, measures: PictureMeasures, frames: int, every: int, first: int
) -> QualityState:
    """The state with one more good frame; frames, every, first: as `history_frames`, `..._every`, `first_frames`."""
    good = state.good_frames + 1
    # The first frames are all kept, so that judging begins soon.
    if good > first and good % every:
        return msgspec.structs.replace(state, good_frames=good)
    row = row_of(measures)
    same = len(state.history) and state.history.shape[1] == len(row)
    old = state.history[max(0, len(state.history) - frames + 1) :] if same else np.empty((0, len(row)))
    history = np.vstack([old, row])
    state = msgspec.structs.replace(state, history=history, good_frames=good)
    return _with_best(state) if len(history) >= min(first, frames) else state


def _with_best(state: QualityState) -> QualityState:
    focus = state.history[:, [SHARPNESS, SLOPE]]
    middle = medians(focus)
    spread = np.maximum(NORMAL_PER_MAD * medians(np.abs(focus - middle)), LEAST_SPREAD)
    if not state.best_focus:
        best, widths = middle, spread
    else:
        better = middle > state.best_focus
        best = np.where(better, middle, state.best_focus)
        widths = np.where(better, spread, state.best_spread)
    return msgspec.structs.replace(
        state,
        best_focus=tuple(float(value) for value in best),
        best_spread=tuple(float(value) for value in widths),
    )
