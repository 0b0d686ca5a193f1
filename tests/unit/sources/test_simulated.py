"""The simulated microscope: repeatable, true to its own truth, and bounded."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from streamcount.errors import SourceError
from streamcount.sources.base import Run
from streamcount.sources.simulated import FrameTruth, SimulatedConfig

MODALITIES = ("bright-field", "phase-contrast", "fluorescence")
RUN = Run("scope-1", "run-1", lambda: 1_700_000_000_000_000_000)
# Much happens in little time: a quarter of the cells divide or die within a short film.
LIVELY: dict[str, object] = {
    "width_px": 320, "height_px": 240, "cells": 30,
    "divisions_per_hour": 2.0, "deaths_per_hour": 1.5, "seed": 4,
}  # fmt: skip


def film(**settings: object) -> list[tuple[np.ndarray, FrameTruth]]:
    source = SimulatedConfig.model_validate({**LIVELY, "frames": 60, **settings}).build()
    return [(frame.image, truth) for frame, truth in source.scenes(RUN)]


@pytest.fixture(scope="module", params=MODALITIES)
def lively(request: pytest.FixtureRequest) -> list[tuple[np.ndarray, FrameTruth]]:
    return film(modality=request.param)


@pytest.fixture(scope="module")
def phase_film() -> list[tuple[np.ndarray, FrameTruth]]:
    return film(modality="phase-contrast", daughter_area_sd=0.0, deaths_per_hour=0.1)


def digest(settings: dict[str, object]) -> str:
    frames = SimulatedConfig.model_validate({**LIVELY, "frames": 8, **settings}).build().frames(RUN)
    return hashlib.sha256(b"".join(frame.image.tobytes() for frame in frames)).hexdigest()


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads(modality: str) -> None:
    threads = cv2.getNumThreads()
    first = digest({"modality": modality})
    try:
        cv2.setNumThreads(1)
        assert digest({"modality": modality}) == first
    finally:
        cv2.setNumThreads(threads)
    assert digest({"modality": modality, "seed": 5}) != first


def test_truth_changes_no_pixel_of_the_frames(tmp_path: Path) -> None:
    assert digest({}) == digest({"truth": tmp_path})


def test_the_world_does_not_depend_on_who_looks_at_it() -> None:
    mix = {"white": 0.5, "red": 0.5}
    bright, phase = (film(modality=m, class_mix=mix, pixel_size_um=0.25, frames=40) for m in MODALITIES[:2])
    for (_, one), (_, other) in zip(bright, phase, strict=True):
        assert one.world_ids.tolist() == other.world_ids.tolist()
        np.testing.assert_allclose(one.centroids_px, other.centroids_px, atol=1.0)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(("bit_depth", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_each_modality_and_depth_has_its_shape_and_type(modality: str, bit_depth: int, dtype: type) -> None:
    config = SimulatedConfig.model_validate(
        {**LIVELY, "modality": modality, "bit_depth": bit_depth, "frames": 1}
    )
    (frame,) = config.build().frames(RUN)
    assert frame.image.shape == ((240, 320, 3) if modality == "bright-field" else (240, 320))
    assert frame.image.dtype == dtype
    assert (2**bit_depth) // 8 < int(frame.image.max()) <= 2**bit_depth - 1


def test_odd_cells_differ_as_the_truth_says() -> None:
    settings = {"odd_share": 0.5, "frames": 1, "width_px": 1024, "height_px": 1024, "cells": 200}
    [(_, truth)] = film(**settings, class_mix={"red": 1.0})
    inside = ((truth.boxes_px > 3) & (truth.boxes_px < 1021)).all(axis=1)
    areas = [np.median(truth.areas_px[inside & (truth.odd == number)]) for number in range(5)]
    assert areas[1] == pytest.approx(2.5 * areas[0], rel=0.15)
    assert areas[2] == pytest.approx(0.35 * areas[0], rel=0.15)
    assert areas[3:] == pytest.approx([areas[0]] * 2, rel=0.15)
    assert {0, 1, 2, 3, 4} == set(truth.odd.tolist())
    assert not film(frames=1)[0][1].odd.any()


def test_time_and_size_are_told() -> None:
    frames = list(
        SimulatedConfig(frames=4, rate_hz=8, width_px=64, height_px=48, cells=2).build().frames(RUN)
    )
    assert [frame.metadata.sequence for frame in frames] == [0, 1, 2, 3]
    assert {b.metadata.acquired_at_ns - a.metadata.acquired_at_ns for a, b in itertools.pairwise(frames)} == {
        125_000_000
    }
    assert frames[0].metadata.acquired_at_ns == RUN.clock()
    assert frames[0].metadata.pixel_size_um == 0.17
    (frame,) = SimulatedConfig(frames=1, start_ns=7, width_px=64, height_px=48).build().frames(RUN)
    assert frame.metadata.acquired_at_ns == 7


def signal(scenes: list[tuple[np.ndarray, FrameTruth]], **settings: object) -> list[np.ndarray]:
    """What the cells add to the picture: the same film of an empty dish has the same light and noise."""
    empty = film(cells=0, frames=len(scenes), **settings)
    pairs = zip(scenes, empty, strict=True)
    greys = [image.astype(float) - blank.astype(float) for (image, _), (blank, _) in pairs]
    return [np.abs(grey if grey.ndim == 2 else grey.mean(axis=2)) for grey in greys]


@pytest.mark.parametrize("modality", MODALITIES)
def test_masks_lie_on_what_can_be_seen_and_nothing_is_seen_beside_them(modality: str) -> None:
    scenes = film(modality=modality, frames=30)
    total = 0
    for (_, truth), shown in zip(scenes, signal(scenes, modality=modality), strict=True):
        for row in range(len(truth)):
            assert float(shown[truth.labels == row + 1].mean()) > 3
            total += 1
        beside = cv2.dilate((truth.labels > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        # A cell of which but a sliver is in view is not in the truth; such are all at the border.
        beside[:16], beside[-16:], beside[:, :16], beside[:, -16:] = False, False, False, False
        assert float(shown[beside].mean()) < 4
        assert float((shown[beside] > 24).mean()) < 2e-3
    assert total > 300


def test_every_id_has_its_mask_box_and_centroid(lively: list[tuple[np.ndarray, FrameTruth]]) -> None:
    for _, truth in lively[::5]:
        assert len(set(truth.ids.tolist())) == len(truth)
        assert np.unique(truth.labels[truth.labels > 0]).tolist() == list(range(1, len(truth) + 1))
        for row, box in enumerate(truth.boxes_px.astype(int).tolist()):
            ys, xs = np.nonzero(truth.labels == row + 1)
            assert box == [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]
            np.testing.assert_allclose(truth.centroids_px[row], [ys.mean() + 0.5, xs.mean() + 0.5], atol=1e-3)
            assert truth.areas_px[row] == len(ys)
        assert sum(truth.counts().values()) == len(truth)


def test_divisions_halve_the_area_and_name_the_mother(
    phase_film: list[tuple[np.ndarray, FrameTruth]],
) -> None:
    shares: list[float] = []
    for (_, before), (_, after) in itertools.pairwise(phase_film):
        for event in after.events:
            if event.kind != "divided" or len(event.daughters) < 2:
                continue
            assert event.id in before.ids.tolist()
            assert event.id not in after.ids.tolist()
            rows = [after.ids.tolist().index(daughter) for daughter in event.daughters]
            assert [int(after.parents[row]) for row in rows] == [event.id, event.id]
            box = before.boxes_px[before.ids.tolist().index(event.id)]
            if box[0] < 12 or box[1] < 12 or box[2] > 228 or box[3] > 308:
                continue
            mother = before.areas_px[before.ids.tolist().index(event.id)]
            shares += [float(after.areas_px[row] / mother) for row in rows]
            apart = after.centroids_px[rows].mean(axis=0) - event.centroid_px
            assert np.hypot(*apart) < 0.35 * np.sqrt(mother)
    assert len(shares) >= 6
    # A neighbour may lie on a part of one of them.
    assert min(shares) > 0.25
    assert float(np.median(shares)) == pytest.approx(0.5, abs=0.05)


def test_life_and_death_are_told_once(lively: list[tuple[np.ndarray, FrameTruth]]) -> None:
    kinds = Counter(event.kind for _, truth in lively for event in truth.events)
    assert kinds["died"] >= 3
    assert kinds["dying"] >= kinds["died"]
    assert kinds["entered"] >= 1
    assert kinds["left"] >= 1
    ended = [event.id for _, t in lively for event in t.events if event.kind in ("died", "left", "divided")]
    assert len(ended) == len(set(ended))
    started: set[int] = set(lively[0][1].ids.tolist())
    for (_, before), (_, after) in itertools.pairwise(lively):
        gone = set(before.ids.tolist()) - set(after.ids.tolist())
        come = set(after.ids.tolist()) - set(before.ids.tolist())
        assert gone == {event.id for event in after.events if event.kind in ("died", "left", "divided")}
        assert come == {event.id for event in after.events if event.kind in ("born", "entered")}
        assert not come & started, "an id that was gone came back"
        started |= come
    onsets = [event.sequence - event.onset for _, t in lively for event in t.events if event.kind == "died"]
    assert max(onsets) >= 5


@pytest.mark.parametrize("motion", ["persistent", "confined", "drifting", "collective"])
def test_cells_move_as_fast_as_told(motion: str) -> None:
    still = {"divisions_per_hour": 0, "deaths_per_hour": 0, "stage_drift_um_per_min": 0, "cells": 60}
    steps = []
    scenes = film(motion=motion, speed_um_per_min=1.5, overlap=1.0, frames=25, **still)
    for (_, before), (_, after) in itertools.pairwise(scenes):
        _, old, new = np.intersect1d(before.ids, after.ids, return_indices=True)
        whole = (before.boxes_px[old] > 2).all(axis=1) & (before.boxes_px[old][:, 2:] < (238, 318)).all(
            axis=1
        )
        steps += np.linalg.norm(after.centroids_px[new] - before.centroids_px[old], axis=1)[whole].tolist()
    speed_um_per_min = float(np.sqrt(np.mean(np.square(steps)))) * 0.17 / 0.5
    assert 0.7 < speed_um_per_min < 2.4


def test_division_and_death_can_be_turned_off() -> None:
    scenes = film(divisions_per_hour=0, deaths_per_hour=0, modality="phase-contrast")
    assert {event.kind for _, truth in scenes for event in truth.events} <= {"entered", "left"}


def test_cell_tracking_challenge_files_agree_with_the_scenes(tmp_path: Path) -> None:
    settings = {**LIVELY, "modality": "phase-contrast", "frames": 40}
    source = SimulatedConfig.model_validate({**settings, "truth": tmp_path}).build()
    assert len(list(source.frames(RUN))) == 40
    folder = tmp_path / "scope-1" / "run-1"
    rows = np.loadtxt(folder / "TRA" / "man_track.txt", dtype=int, ndmin=2)
    tracks = {label: (begin, end, parent) for label, begin, end, parent in rows.tolist()}
    assert rows[:, 0].tolist() == sorted(tracks)
    found: dict[int, list[int]] = {}
    for index in range(40):
        mask = tifffile.imread(folder / "TRA" / f"man_track{index:04d}.tif")
        assert mask.dtype == np.uint16
        np.testing.assert_array_equal(mask, tifffile.imread(folder / "SEG" / f"man_seg{index:04d}.tif"))
        for label in np.unique(mask[mask > 0]).tolist():
            found.setdefault(label, []).append(index)
    assert {label: (seen[0], seen[-1]) for label, seen in found.items()} == {
        k: v[:2] for k, v in tracks.items()
    }
    assert all(len(seen) == seen[-1] - seen[0] + 1 for seen in found.values()), "a track has a hole"
    parents = {label: parent for label, (_, _, parent) in tracks.items() if parent}
    assert len(parents) >= 6
    assert all(tracks[parent][1] == tracks[label][0] - 1 for label, parent in parents.items())
    lines = [msgspec.json.decode(line) for line in (folder / "truth.jsonl").read_bytes().splitlines()]
    scenes = SimulatedConfig.model_validate(settings).build().scenes(RUN)
    for line, (_, truth) in zip(lines, scenes, strict=True):
        assert [cell["id"] for cell in line["cells"]] == truth.ids.tolist()
        assert [cell["box"] for cell in line["cells"]] == truth.boxes_px.tolist()
        assert [event["kind"] for event in line["events"]] == [event.kind for event in truth.events]


def test_a_truth_that_is_there_is_not_overwritten_and_a_cut_run_is_finished(tmp_path: Path) -> None:
    config = SimulatedConfig(truth=tmp_path, width_px=64, height_px=64, cells=4)
    frames = config.build().frames(RUN)
    list(itertools.islice(frames, 3))
    frames.close()
    rows = np.loadtxt(tmp_path / "scope-1" / "run-1" / "TRA" / "man_track.txt", dtype=int, ndmin=2)
    assert rows[:, 2].max() == 2
    with pytest.raises(SourceError, match="already holds"):
        next(config.build().frames(RUN))


def test_an_endless_run_keeps_no_more_than_the_cells_there_are() -> None:
    from streamcount.sources.simulated.render import Painter
    from streamcount.sources.simulated.truth import Census
    from streamcount.sources.simulated.world import World

    config = SimulatedConfig.model_validate(
        {
            **LIVELY,
            "modality": "phase-contrast",
            "width_px": 160,
            "height_px": 120,
            "cells": 12,
            "speed_um_per_min": 8,
        }
    )
    world, painter = World(config, np.random.default_rng(1)), Painter(config)
    census = Census(config.class_names, (120, 160))
    sizes = []
    for sequence in range(120):
        world.step()
        _, footprints = painter.draw(world, footprints=True)
        last = census.take(sequence, world, footprints)
        sizes.append((len(world.cells), len(painter._cache), len(census._known)))
    assert int(last.ids.max()) > 40, "cells came and went"
    assert len(painter._cache) <= len(world.cells)
    assert len(census._known) == len(last)
    assert max(size[0] for size in sizes) < 3 * sizes[0][0]
    assert min(size[0] for size in sizes[100:]) > 0.4 * sizes[0][0], "the dish ran empty"


def test_foolish_settings_are_refused() -> None:
    for wrong in (
        {"cels": 3},
        {"width_px": 3},
        {"class_mix": {"red": 0}},
        {"class_mix": {"blue": 1}},
        {"bit_depth": 9},
    ):
        with pytest.raises(ValidationError):
            SimulatedConfig.model_validate(wrong)


def test_an_empty_dish_is_a_picture_too() -> None:
    frames = SimulatedConfig(cells=0, width_px=64, height_px=48, frames=3).build().scenes(RUN)
    assert [len(truth) for _, truth in frames] == [0, 0, 0]
