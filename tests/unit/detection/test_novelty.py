"""What the maps say of a cell, and how far that is from usual ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from streamcount.detection.bundle import Bundle, NoveltyInfo, UsualCells, load_bundle
from streamcount.detection.novelty import READINGS, readings_of, usual_of
from streamcount.detection.postprocess import Cells, Maps, QuantisedMap
from streamcount.detection.tflite import TfliteConfig
from streamcount.errors import ModelError
from streamcount.types import Frame
from tests.films import metadata
from tests.unit.detection.test_tflite import smear

SIDE = 40


def disc_maps(
    centre: tuple[int, int] = (20, 20), radius: float = 6, peak: float = 0.9, miss: float = 0.0
) -> Maps:
    """Maps of two classes with one round cell of the first, whose votes miss its middle by so many map cells."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(rows - centre[0], columns - centre[1])
    odds = np.zeros((SIDE, SIDE, 2), np.float32)
    odds[..., 0] = np.maximum(peak * (1 - away / radius), 0.01)
    odds[..., 1] = 0.05
    # From the corner of a map cell to the middle of that in which the peak is.
    offset = np.stack([centre[0] + 0.5 - rows, centre[1] + 0.5 + miss - columns], axis=-1).astype(np.float32)
    cover = (away <= radius).astype(np.float32)[..., None]
    size = np.zeros((SIDE, SIDE, 2), np.float32)
    return Maps(QuantisedMap(odds), QuantisedMap(size), QuantisedMap(offset), QuantisedMap(cover))


def cells_at(*centres: tuple[int, int], radius: float = 6, class_id: int = 0) -> Cells:
    middles = (np.array(centres, np.float32).reshape(-1, 2) + 0.5) * 4
    boxes = np.hstack([middles - 4 * radius, middles + 4 * radius]).astype(np.float32)
    number = len(middles)
    shares = np.full((number, 2), 0.1, np.float32)
    return Cells(boxes, np.full(number, class_id), np.full(number, 0.9, np.float32), shares, middles)


def read(maps: Maps, cells: Cells) -> dict[str, np.ndarray]:
    return dict(zip(READINGS, readings_of(maps, cells, (4 * SIDE, 4 * SIDE)).T, strict=True))


def odds(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def test_readings_are_those_of_the_maps() -> None:
    told = read(disc_maps(), cells_at((20, 20)))
    assert told["own_odds"] == pytest.approx([odds(0.9)], abs=1e-4)
    assert told["next_odds"] == pytest.approx([odds(0.05)], abs=1e-4)
    # A disc in its box.
    assert told["cover"] == pytest.approx([np.pi / 4], abs=0.12)
    assert told["miss"] == pytest.approx([0], abs=1e-4)
    assert read(disc_maps(miss=1.5), cells_at((20, 20)))["miss"] == pytest.approx([1.5], abs=1e-4)
    flat = read(disc_maps(peak=0.5), cells_at((20, 20)))
    assert 0 < flat["prominence"][0] < told["prominence"][0]


def test_of_the_other_class_own_and_next_change_places() -> None:
    told = read(disc_maps(), cells_at((20, 20), class_id=1))
    assert told["own_odds"] == pytest.approx([odds(0.05)], abs=1e-4)
    assert told["next_odds"] == pytest.approx([odds(0.9)], abs=1e-4)


def test_where_there_is_one_class_there_is_no_next_one() -> None:
    maps = disc_maps()
    alone = replace(maps, centre=QuantisedMap(np.ascontiguousarray(maps.centre.raw[..., :1])))
    assert read(alone, cells_at((20, 20)))["next_odds"].tolist() == [0]


def test_rounded_maps_say_about_the_same() -> None:
    exact, cells = disc_maps(), cells_at((20, 20))

    def rounded(one: QuantisedMap, scale: float, zero: int) -> QuantisedMap:
        raw = np.clip(np.round(one.raw / scale) + zero, 0, 255).astype(np.uint8)
        return QuantisedMap(raw, scale, zero)

    coarse = Maps(
        rounded(exact.centre, 1 / 256, 0), exact.log_size,
        rounded(exact.offset, 0.2, 128), rounded(exact.foreground, 1 / 256, 0),
    )  # fmt: skip
    wanted, found = read(exact, cells), read(coarse, cells)
    for name in READINGS:
        assert found[name] == pytest.approx(wanted[name], abs=0.15), name


def test_a_cell_is_read_alike_whatever_others_there_are() -> None:
    maps, places = disc_maps(), [(20, 20), (12, 25), (28, 10)]
    together = readings_of(maps, cells_at(*places), (4 * SIDE, 4 * SIDE))
    for row, place in enumerate(places):
        alone = readings_of(maps, cells_at(place), (4 * SIDE, 4 * SIDE))
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-5)
    assert readings_of(maps, cells_at(), (4 * SIDE, 4 * SIDE)).shape == (0, len(READINGS))


def test_near_the_edge_nothing_is_read() -> None:
    told = readings_of(disc_maps(), cells_at((20, 20), (7, 20), (20, 33)), (4 * SIDE, 4 * SIDE))
    assert np.isnan(told).all(axis=1).tolist() == [False, True, True]
    # The image may end before the maps do.
    assert np.isnan(readings_of(disc_maps(), cells_at((20, 20)), (110, 110))).all()


def bundle_that_knows(**classes: UsualCells) -> Bundle:
    novelty = NoveltyInfo(readings=READINGS, classes=classes)
    return msgspec.structs.replace(load_bundle("blood-smear"), novelty=novelty)


def usual(limit: float = 4.0, spread: float = 1.0, number: int = len(READINGS)) -> UsualCells:
    rows = tuple(tuple(row) for row in (np.eye(number) / spread**2).tolist())
    return UsualCells(middle=(1.0,) * number, inverse=rows, limit=limit, cells=500)


def test_a_cell_as_far_away_as_the_limit_has_a_novelty_of_one() -> None:
    known = usual_of(bundle_that_knows(red=usual(), white=usual(limit=2, spread=3)))
    assert known is not None
    readings = np.ones((4, len(READINGS)), np.float32)
    readings[1:3, 2] += 4
    readings[2, 0] -= 4
    ids = np.array([1, 1, 1, 0])
    readings[3, 4] += 3
    assert known.novelties(readings, ids) == pytest.approx([0, 1, np.sqrt(2), 0.5], abs=1e-5)


def test_related_readings_count_as_one() -> None:
    scatter = np.full((5, 5), 0.9) + 0.1 * np.eye(5)
    inverse = np.linalg.inv(scatter)
    one = UsualCells(
        middle=(0.0,) * 5, inverse=tuple(tuple(row) for row in inverse.tolist()), limit=3, cells=500
    )
    known = usual_of(bundle_that_knows(red=one))
    assert known is not None
    along, across = np.ones((1, 5), np.float32), np.array([[1, -1, 1, -1, 0]], np.float32)
    ids = np.array([1])
    assert known.novelties(along, ids)[0] < known.novelties(across, ids)[0] / 2
    wanted = np.sqrt(across[0] @ inverse @ across[0]) / 3
    assert known.novelties(across, ids) == pytest.approx([wanted], rel=1e-5)


def test_of_a_class_without_usual_cells_nothing_is_told() -> None:
    known = usual_of(bundle_that_knows(red=usual()))
    assert known is not None
    assert np.isnan(known.novelties(np.ones((2, len(READINGS)), np.float32), np.array([0, 1]))).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"red": usual(number=4)}, "novelty.classes.red] is damaged"),
        ({"red": usual(limit=0)}, "novelty.classes.red] is damaged"),
        ({"red": usual(limit=float("nan"))}, "novelty.classes.red] is damaged"),
        ({"red": msgspec.structs.replace(usual(), inverse=((1.0,), (1.0, 2.0)))}, "calibrate --only novelty"),
        ({"green": usual()}, "novelty.classes.green] is damaged"),
    ],
)
def test_what_makes_no_sense_is_told_with_the_remedy(classes: dict[str, UsualCells], words: str) -> None:
    with pytest.raises(ModelError, match="remove \\[novelty\\]") as told:
        usual_of(bundle_that_knows(**classes))
    assert words in str(told.value)


def test_readings_of_another_version_are_refused() -> None:
    bundle = bundle_that_knows(red=usual())
    other = NoveltyInfo(readings=("own_odds",), classes={})
    with pytest.raises(ModelError, match="this version by own_odds, next_odds"):
        usual_of(msgspec.structs.replace(bundle, novelty=other))


def without_novelty(folder: Path) -> Path:
    """A copy of blood-smear as it was before it knew usual cells."""
    bundle = load_bundle("blood-smear")
    folder.mkdir()
    for form in bundle.forms.values():
        (folder / form.file).write_bytes((bundle.folder / form.file).read_bytes())
    head, _, rest = (bundle.folder / "model.toml").read_text(encoding="utf-8").partition("[novelty]")
    (folder / "model.toml").write_text(head + rest[rest.index("[training]") :], encoding="utf-8")
    return folder


def test_a_bundle_without_it_finds_the_same_cells_and_gives_no_score(tmp_path: Path) -> None:
    frame = Frame(smear(480, 640)[0], metadata(0))
    knowing = TfliteConfig(cell_diameter_px=60).build().detect(frame)
    plain = (
        TfliteConfig(model=str(without_novelty(tmp_path / "old")), cell_diameter_px=60).build().detect(frame)
    )
    assert plain.novelties is None
    assert knowing.novelties is not None
    assert knowing.novelties.shape == (len(knowing),)
    assert knowing.novelties.dtype == np.float32
    assert len(knowing) > 20
    np.testing.assert_array_equal(knowing.boxes_px, plain.boxes_px)
    np.testing.assert_array_equal(knowing.class_probabilities, plain.class_probabilities)


@pytest.mark.parametrize("border", ["whole", "counting-frame"])
def test_novelties_keep_to_their_cells_at_the_border_and_in_the_second_stage(border: str) -> None:
    frame = Frame(np.ascontiguousarray(smear(480, 640)[0][40:350, 40:530]), metadata(0))
    told = {"cell_diameter_px": 60, "model": "blood-smear"}
    every = TfliteConfig.model_validate(told).build().detect(frame)
    for more in ({}, {"second_stage": "red-cell-shapes"}):
        some = TfliteConfig.model_validate({**told, **more, "border": border}).build().detect(frame)
        assert 0 < len(some) < len(every)
        rows = [int(np.flatnonzero((every.boxes_px == box).all(axis=1))[0]) for box in some.boxes_px]
        np.testing.assert_allclose(some.novelties, every.novelties[rows], rtol=1e-5)
        assert np.isfinite(some.novelties).any()
