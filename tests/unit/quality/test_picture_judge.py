"""Flags of films that go wrong in a known way."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from streamcount.quality import (
    QualityConfig,
    bubble_score,
    complaints,
    empty_quality,
    focus_score,
    judge,
    measure,
)
from streamcount.quality.state import LEVEL
from tests.pictures import cells, metadata

CONFIG = QualityConfig()
GOOD = [measure(cells(seed=seed)) for seed in range(12)]


def judged(film, config=CONFIG, state=None, **more):
    """(state, events) after a film of measures."""
    state, events = state or empty_quality(), []
    for sequence, measures in enumerate(film):
        state, _, event = judge(state, metadata(sequence), measures, config, **{"cells": 40, **more})
        events += [event] if event else []
    return state, events


def test_good_frames_raise_nothing_and_focus_is_unknown_at_first():
    state, events = judged(GOOD[:7])
    assert focus_score(state, GOOD[0]) is None
    assert bubble_score(state, GOOD[0]) is None
    state, more = judged(GOOD[7:], state=state)
    assert not events + more
    assert focus_score(state, GOOD[0]) < CONFIG.focus_limit


def test_defocus_is_told_after_three_frames_and_taken_back_after_five():
    state, _ = judged(GOOD)
    blurred = [measure(cells(seed=seed, blur=2.5)) for seed in range(3)]
    state, events = judged(blurred[:2], state=state)
    assert not events
    state, events = judged(blurred[2:], state=state)
    assert [(event.flags, event.previous) for event in events] == [(("out-of-focus",), ())]
    assert "focus score" in events[0].explanation
    state, events = judged(GOOD[:4], state=state)
    assert not events
    _, events = judged(GOOD[4:5], state=state)
    assert [(event.flags, event.previous) for event in events] == [((), ("out-of-focus",))]


@pytest.mark.parametrize(
    ("times", "speck", "white"), [(4, 1100, 4095), (16, 4200, 16383), (64, 17000, 65535)]
)
def test_a_speck_that_shows_that_a_camera_has_more_bits_makes_no_frame_dark(times, speck, white):
    state = empty_quality()
    for with_speck in (False, True, False):
        film = []
        for seed in range(30):
            picture = cells(seed=seed).astype(np.uint16) * times
            if with_speck:
                picture[8:11, 8:11] = speck
            film.append(measure(picture))
        state, events = judged(film, state=state)
        assert not events
    assert state.full_white == white
    # What was usual at the beginning is kept on the scale that was found later.
    levels = state.history[:, LEVEL]
    assert levels.max() < 1.5 * levels.min()


def test_a_flicker_is_not_told():
    state, _ = judged(GOOD)
    bad = measure(cells(blur=3.0))
    _, events = judged([bad, GOOD[0], bad, bad, GOOD[1], bad], state=state)
    assert not events


def test_a_bad_frame_does_not_enter_the_history():
    state, _ = judged(GOOD)
    after, _ = judged([measure(cells(blur=3.0))] * 20, state=state)
    assert np.array_equal(after.history, state.history)
    assert (after.best_focus, after.best_spread) == (state.best_focus, state.best_spread)


def test_a_slow_loss_of_focus_is_not_swallowed_by_the_history():
    config = QualityConfig(history_frames=10)
    film = [measure(cells(seed=index % 7, blur=max(0, index - 20) * 0.01)) for index in range(300)]
    _, events = judged(film, config)
    assert events
    assert events[0].flags == ("out-of-focus",)


def test_more_or_fewer_cells_are_not_out_of_focus():
    state, _ = judged(GOOD)
    for count in (15, 80):
        assert "out-of-focus" not in complaints(state, measure(cells(count, seed=5)), CONFIG, cells=count)


def test_a_dim_lamp_a_bubble_and_faded_contrast_are_each_told():
    state, _ = judged(GOOD)
    config = QualityConfig(bubble_limit=4)
    image = cells(seed=3)
    bubble = image.copy()
    bubble[60:190, 60:190] //= 3
    faded = (180 + 0.1 * (image.astype(float) - 180)).astype(np.uint8)
    for flag, picture in (("dark", image // 4), ("bubble", bubble), ("low-contrast", faded)):
        assert flag in complaints(state, measure(picture), config, cells=40), flag


def test_a_bubble_is_not_looked_for_unless_asked():
    state, _ = judged(GOOD)
    image = cells(seed=3)
    image[60:190, 60:190] //= 3
    assert "bubble" not in complaints(state, measure(image), CONFIG, cells=40)


def test_fixed_limits_hold_from_the_first_frame():
    white, ramp = (
        np.full((64, 64), 255, np.uint8),
        np.tile(np.linspace(20, 200, 64), (64, 1)).astype(np.uint8),
    )
    told = [
        complaints(empty_quality(), measure(picture), CONFIG, cells=count)
        for picture, count in ((white, 0), (ramp, 5), (np.zeros((64, 64), np.uint8), 3))
    ]
    assert [list(one) for one in told] == [["saturated", "empty"], ["uneven"], ["dark", "low-contrast"]]


def of_stage(shifts):
    """The flags after each frame of a film in which the stage moves so."""
    state, told = empty_quality(), []
    for sequence, shift in enumerate(shifts):
        state, flags, _ = judge(state, metadata(sequence), GOOD[sequence % 12], CONFIG, cells=40, shift=shift)
        told.append(flags)
    return told


def test_a_stage_that_jumps_once_is_told_until_it_was_still_for_a_while():
    told = of_stage([None, (0.0, 0.1), (1.5, -0.3), *[(0.0, 0.0)] * 20])
    assert [number for number, flags in enumerate(told) if flags == ("drift",)] == list(range(4, 16))
    assert of_stage([None, (0.9, 0.3), (0.0, 0.0)] + [None] * 5)[-1] == ()


def test_a_stage_that_keeps_drifting_is_told_and_one_that_trembles_is_not():
    assert of_stage([(0.0, -0.3)] * 9)[-4:] == [("drift",)] * 4
    assert not any(of_stage([(0.8, 0.0), (-0.8, 0.0)] * 15))


def test_without_cells_focus_is_not_judged():
    state, _ = judged(GOOD)
    nothing = measure(cells(0))
    assert "out-of-focus" not in complaints(state, nothing, CONFIG, cells=0)


def test_the_state_is_bounded_and_a_cut_run_goes_on_the_same():
    config = QualityConfig(history_frames=6, first_frames=5)
    film = [*GOOD, *(measure(cells(seed=s, blur=2.5)) for s in range(4)), *GOOD]
    whole, events = judged(film, config)
    assert len(whole.history) == 6
    first, before = judged(film[:14], config)
    copied = msgspec.structs.replace(first, history=first.history.copy())
    second, after = judged(film[14:], config, state=copied)
    assert np.array_equal(second.history, whole.history)
    assert second.streaks == whole.streaks
    assert [event.flags for event in before + after] == [event.flags for event in events]


def test_history_is_thinned_after_the_first_frames():
    config = QualityConfig(history_every=3)
    state, _ = judged([GOOD[index % 12] for index in range(20)], config)
    assert (state.good_frames, len(state.history)) == (20, 8 + 4)


@pytest.mark.parametrize("bad", [{"focus_limit": 0}, {"frames_on": 0}, {"history_frames": 4}, {"unknown": 1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValidationError):
        QualityConfig(**bad)
