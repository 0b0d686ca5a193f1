"""Near-duplicates are told at other brightness, size, turn and compression; other pictures are not."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.training.data.duplicates import Pair, fingerprints, groups_of, near_duplicates

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"


def smear(seed: int, cells: int = 30) -> np.ndarray:
    chance = np.random.default_rng(seed)
    image = np.full((240, 320), 210, np.uint8)
    for y, x in chance.integers(0, (240, 320), (cells, 2)):
        cv2.circle(image, (int(x), int(y)), 14, int(chance.integers(90, 150)), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def pairs_of(folder: Path, images: list[np.ndarray], suffix: str = ".png") -> set[tuple[int, int]]:
    paths = [folder / f"{i}{suffix}" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        assert cv2.imwrite(str(path), image)
    return {(pair.first, pair.second) for pair in near_duplicates(fingerprints(paths))}


def test_a_picture_changed_is_told_and_others_are_not(tmp_path: Path) -> None:
    one, other = smear(1), smear(2)
    noise = np.random.default_rng(3).normal(0, 6, one.shape)
    changed = [
        one,
        cv2.convertScaleAbs(one, alpha=0.5, beta=10),
        cv2.convertScaleAbs(one, alpha=1.1, beta=15),
        cv2.resize(one, (200, 150), interpolation=cv2.INTER_AREA),
        np.clip(one + noise, 0, 255).astype(np.uint8),
        cv2.cvtColor(one, cv2.COLOR_GRAY2BGR),
        np.asarray(cv2.imdecode(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 0)),
        other,
    ]
    assert pairs_of(tmp_path, changed) == set(itertools.combinations(range(7), 2))


def test_all_eight_flips_and_turns_are_told(tmp_path: Path) -> None:
    one = smear(1)
    views = [np.ascontiguousarray(np.rot90(f, k)) for f in (one, one[:, ::-1]) for k in range(4)]
    assert pairs_of(tmp_path, views) == set(itertools.combinations(range(8), 2))


def test_crops_a_few_pixels_apart_are_told(tmp_path: Path) -> None:
    one = smear(1)
    assert pairs_of(tmp_path, [one[:230, :310], one[4:234, 3:313]]) == {(0, 1)}


def test_sixty_different_smears_have_no_pair(tmp_path: Path) -> None:
    assert pairs_of(tmp_path, [smear(seed) for seed in range(60)], ".jpg") == set()


def test_groups_join_what_is_joined_by_others() -> None:
    pairs = [Pair(0, 2, 0, False), Pair(2, 5, 0, False), Pair(3, 4, 0, False)]
    assert groups_of(6, pairs) == [[0, 2, 5], [1], [3, 4]]


def test_pictures_labelled_twice_in_a_real_set_are_found() -> None:
    folder = SHARED / "chula_rbc12" / "images"
    if not folder.is_dir():
        pytest.skip("the real images (../shared/data) are not here")
    paths = [folder / f"{n}.jpg" for n in (52, 54, 233, 234, 243, 244, 1, 2, 3, 5)]
    pairs = near_duplicates(fingerprints(paths))
    assert {(pair.first, pair.second) for pair in pairs} == {(0, 1), (2, 3), (4, 5)}
    assert max(pair.bits for pair in pairs) <= 12
