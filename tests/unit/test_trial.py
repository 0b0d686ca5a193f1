"""The scored trial: its faults, and that what it measures is right where the truth is plain."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bench.trial.film import Faults, run_film, with_faults
from bench.trial.scenarios import Scenario, scenarios
from streamcount.sources.simulated import SimulatedConfig
from streamcount.tracking import KalmanConfig

needs_extra = pytest.mark.skipif(find_spec("ctc_metrics") is None, reason="needs the `score` extra")


def squares(number: int) -> np.ndarray:
    labels = np.zeros((400, 400), np.uint16)
    for value in range(number):
        y, x = divmod(value, 10)
        labels[40 * y : 40 * y + 20, 40 * x : 40 * x + 20] = value + 1
    return labels


def test_faults_leave_out_and_add_as_many_as_they_say() -> None:
    rng, labels = np.random.default_rng(0), squares(100)
    left_out, added = 0, 0
    for _ in range(200):
        faulty = with_faults(labels, Faults(0.02, 0.01), rng)
        cells = np.unique(faulty[labels > 0])
        left_out += 100 - np.count_nonzero(cells)
        new = np.unique(faulty[labels == 0])
        added += np.count_nonzero(new)
        assert new[new > 0].min(initial=101) > 100
    assert 300 < left_out < 500
    assert 140 < added < 260


def test_without_faults_nothing_changes() -> None:
    labels = squares(20)
    assert np.array_equal(with_faults(labels, Faults(0.0, 0.0), np.random.default_rng(1)), labels)


def test_there_are_fifteen_films_and_no_two_alike() -> None:
    films = scenarios()
    assert len({film.name for film in films}) == len(films) == 15
    assert len({(film.config.modality, film.config.motion, film.config.dying_s) for film in films}) == 15


@needs_extra
def test_a_plain_film_is_followed_without_an_error(tmp_path: Path) -> None:
    config = SimulatedConfig(
        modality="fluorescence", seed=4, frames=20, seconds_per_frame=300, width_px=500, height_px=400, cells=25,
        divisions_per_hour=0.0, deaths_per_hour=0.0, speed_um_per_min=0.1, stage_drift_um_per_min=0.0,
    )  # fmt: skip
    figures = run_film(Scenario("plain", config), KalmanConfig(), Faults(0.0, 0.0), tmp_path / "film")
    assert figures.measures["LNK"] == 1.0
    assert figures.divisions == (0, 0, 0)
    assert figures.deaths[1] == 0
    assert figures.followed[0] > 400
    assert figures.followed[0] == figures.followed[1]
    assert not (tmp_path / "film").exists()


@needs_extra
def test_the_same_film_gives_the_same_figures(tmp_path: Path) -> None:
    film = scenarios(frames=20)[0]
    one, other = (run_film(film, KalmanConfig(), Faults(), tmp_path / name) for name in ("a", "b"))
    one.advance_ms = other.advance_ms = 0.0
    assert one == other
    assert one.cells > 100


@needs_extra
def test_intensities_of_masks_are_those_of_the_picture(tmp_path: Path) -> None:
    film = scenarios(frames=20)[0]
    plain, bright = (
        run_film(film, KalmanConfig(intensity_weight=10.0), Faults(), tmp_path / name, intensities=there)
        for name, there in (("a", False), ("b", True))
    )
    # So much weight hides links that place alone finds; without intensities it does nothing.
    assert bright.followed[0] == plain.followed[0]
    assert bright.followed[1] < plain.followed[1]
