"""Pixels that vote for their cells, on maps made from known label images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamcount.detection import instances
from streamcount.detection.instances import find_peaks, gather, outlines
from streamcount.detection.postprocess import Cells, Maps, QuantisedMap, Rules, decode

RULES = Rules(np.array([0.4], np.float32), np.ones(1, np.float32), 32.0, 0.7)


def maps_of(labels: np.ndarray) -> tuple[Maps, np.ndarray]:
    """The maps that a perfect net would give for a label image (H, W), and the cells' areas."""
    height, width = labels.shape[0] // 4, labels.shape[1] // 4
    blocks = labels.reshape(height, 4, width, 4)
    coverage = (blocks > 0).mean(axis=(1, 3)).astype(np.float32)
    # A majority vote, as a net's smooth maps come to.
    owners = np.zeros((height, width), int)
    share = np.zeros((height, width))
    centre = np.zeros((height, width, 1), np.float32)
    log_size = np.zeros((height, width, 2), np.float32)
    offset = np.zeros((height, width, 2), np.float32)
    number = int(labels.max())
    rows, columns = np.mgrid[:height, :width]
    for cell in range(1, number + 1):
        own = (blocks == cell).mean(axis=(1, 3))
        owners = np.where(own > share, cell, owners)
        share = np.maximum(share, own)
    for cell in range(1, number + 1):
        y, x = np.nonzero(labels == cell)
        middle = np.array([y.mean() + 0.5, x.mean() + 0.5]) / 4
        at = tuple(middle.astype(int))
        centre[at] = 0.9
        log_size[at] = np.log((np.array([np.ptp(y), np.ptp(x)]) + 1) / 32)
        mine = owners == cell
        offset[mine] = (middle - np.stack([rows, columns], axis=-1))[mine]
    arrays = (centre, log_size, offset, coverage[..., None])
    return Maps(*(QuantisedMap(a) for a in arrays)), np.bincount(labels.ravel())[1:]


def touching_discs() -> np.ndarray:
    labels = np.zeros((128, 160), np.int32)
    for number, (y, x) in enumerate([(40, 40), (40, 66), (66, 52), (100, 120)], 1):
        disc = np.zeros(labels.shape, np.uint8)
        cv2.circle(disc, (x, y), 14, 1, -1)
        labels[(disc > 0) & (labels == 0)] = number
    return labels


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def found_in(maps: Maps, labels: np.ndarray) -> tuple[Cells, np.ndarray]:
    cells = decode(maps, RULES, labels.shape)
    found = gather(cells, maps, labels.shape)
    return found.cells, outlines(found, maps, labels.shape, labels.shape)


def test_touching_cells_get_their_own_outlines() -> None:
    labels = touching_discs()
    maps, areas = maps_of(labels)
    cells, drawn = found_in(maps, labels)
    assert len(cells) == 4
    for cell in range(1, 5):
        at = drawn[labels == cell]
        own = int(np.bincount(at[at > 0]).argmax())
        assert overlap(drawn == own, labels == cell) > 0.85, cell
    found = gather(decode(maps, RULES, labels.shape), maps, labels.shape)
    np.testing.assert_allclose(np.sort(found.areas_px), np.sort(areas), rtol=0.12)
    assert found.foreground_px == pytest.approx((labels > 0).sum(), rel=0.06)


def test_outlines_are_as_large_as_the_frame() -> None:
    labels = touching_discs()
    maps, _ = maps_of(labels)
    found = gather(decode(maps, RULES, labels.shape), maps, labels.shape)
    drawn = outlines(found, maps, labels.shape, (256, 320))
    assert drawn.shape == (256, 320)
    assert (drawn > 0).sum() == pytest.approx(4 * (labels > 0).sum(), rel=0.05)
    large = cv2.resize(labels.astype(np.uint8), (320, 256), interpolation=cv2.INTER_NEAREST)
    assert overlap(drawn > 0, large > 0) > 0.93


def test_pixels_that_vote_for_nobody_are_nobodys() -> None:
    labels = touching_discs()
    maps, _ = maps_of(labels)
    maps.centre.raw[maps.centre.raw[..., 0].nonzero()[0][-1]] = 0
    cells, drawn = found_in(maps, labels)
    assert len(cells) == 3
    assert not drawn[labels == 4].any()


def test_a_peak_without_pixels_is_no_cell() -> None:
    labels = touching_discs()
    maps, _ = maps_of(labels)
    maps.centre.raw[5, 35] = 0.8
    assert len(decode(maps, RULES, labels.shape)) == 5
    cells, drawn = found_in(maps, labels)
    assert len(cells) == 4
    assert drawn.max() == 4


def test_specks_smaller_than_the_least_area_are_left_out() -> None:
    labels = touching_discs()
    labels[20:28, 120:128] = 5
    maps, areas = maps_of(labels)
    cells = decode(maps, RULES, labels.shape)
    assert len(gather(cells, maps, labels.shape).areas_px) == 5
    found = gather(cells, maps, labels.shape, least_area_px=100)
    assert sorted(np.round(found.areas_px)) == pytest.approx(sorted(areas[:4]), rel=0.05)
    assert outlines(found, maps, labels.shape, labels.shape).max() == 4


def test_nothing_found_is_an_empty_label_image() -> None:
    labels = np.zeros((64, 64), np.int32)
    maps, _ = maps_of(labels)
    cells, drawn = found_in(maps, labels)
    assert len(cells) == 0
    assert not drawn.any()


def test_boxes_hold_their_pixels_to_a_map_cell() -> None:
    labels = touching_discs()
    maps, _ = maps_of(labels)
    cells, drawn = found_in(maps, labels)
    for number, box in enumerate(cells.boxes_px, 1):
        rows, columns = np.nonzero(drawn == number)
        extent = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        np.testing.assert_allclose(box, extent, atol=4)


def scattered(seed: int, number: int = 40, shape: tuple[int, int] = (64, 80)) -> tuple[Cells, Maps]:
    """Cells at random places, strongest first, and maps full of votes and half-covered pixels at random."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, np.array(shape) * 4, (number, 2)).astype(np.float32)
    half = rng.uniform(3, 20, (number, 2)).astype(np.float32)
    limits = np.tile(np.array(shape) * 4, 2).astype(np.float32)
    boxes = np.clip(np.hstack([centres - half, centres + half]), 0, limits)
    scores = np.sort(rng.uniform(0.5, 1, number))[::-1].astype(np.float32)
    cells = Cells(boxes, np.zeros(number, np.int64), scores, scores[:, None], centres)
    arrays = (
        np.zeros((*shape, 1), np.float32),
        np.zeros((*shape, 2), np.float32),
        rng.normal(0.5, 3, (*shape, 2)).astype(np.float32),
        rng.uniform(0, 1, (*shape, 1)).astype(np.float32),
    )
    return cells, Maps(*(QuantisedMap(a) for a in arrays))


def nearest_by_hand(cells: Cells, maps: Maps) -> tuple[np.ndarray, np.ndarray]:
    """(h, w) the peak that each map cell votes for, or -1; and whether another is as near but for two map cells."""
    height, width = maps.foreground.raw.shape[:2]
    votes = np.stack(np.mgrid[:height, :width], axis=-1) + maps.offset.raw
    away = np.linalg.norm(votes[:, :, None] - cells.centres_px / 4, axis=3)
    owners = away.argmin(axis=2)
    two = np.sort(away, axis=2)[..., :2]
    reach = 0.8 * (cells.boxes_px[:, 2:] - cells.boxes_px[:, :2]).max(axis=1) / 8 + 1.5
    doubtful = two[..., 1] - two[..., 0] < 2
    return np.where(two[..., 0] <= reach[owners], owners, -1), doubtful


@pytest.mark.parametrize("share", [0.0, 1e9], ids=["transform", "written"])
def test_votes_go_to_the_nearest_peak_within_reach(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "NEAR_SHARE", share)
    for seed in range(3):
        cells, maps = scattered(seed)
        wanted, doubtful = nearest_by_hand(cells, maps)
        rows, columns = (part.astype(np.float32) for part in np.mgrid[:64, :80])
        votes = rows + maps.offset.raw[..., 0], columns + maps.offset.raw[..., 1]
        found = find_peaks(cells, (64, 80)).of(*(part.ravel() for part in votes)).reshape(64, 80)
        assert 0 < (wanted < 0).mean() < 1
        np.testing.assert_array_equal(found[~doubtful], wanted[~doubtful])
        assert (found != wanted).mean() < 0.01


def test_cells_are_measured_by_the_pixels_that_vote_for_them() -> None:
    cells, maps = scattered(7)
    coverage = maps.foreground.raw[..., 0]
    rows, columns = (part.astype(np.float32) for part in np.mgrid[:64, :80])
    votes = (rows + maps.offset.raw[..., 0]).ravel(), (columns + maps.offset.raw[..., 1]).ravel()
    owners = find_peaks(cells, (64, 80)).of(*votes).reshape(64, 80)
    found = gather(cells, maps, (256, 320))
    kept = [i for i in range(len(cells)) if (coverage[owners == i] > 0.5).any()]
    assert len(found.cells) == len(kept) > 20
    for row, cell in enumerate(kept):
        mine = (owners == cell) & (coverage > 0.25)
        assert found.areas_px[row] == pytest.approx(16 * coverage[mine].sum(), rel=1e-5)
        y = ((rows[mine] + 0.5) * coverage[mine]).sum() / coverage[mine].sum()
        assert found.centroids_px[row, 0] == pytest.approx(4 * y, rel=1e-5)
        at = np.nonzero((owners == cell) & (coverage > 0.5))
        middle = [2 * (axis.min() + axis.max() + 1) for axis in at]
        sides = (cells.boxes_px[cell, 2:] - cells.boxes_px[cell, :2]) / 2
        box = np.clip([middle - sides, middle + sides], 0, [256, 320]).ravel()
        np.testing.assert_allclose(found.cells.boxes_px[row], box, rtol=1e-5)
