"""Reading cells off hand-made maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamcount.detection.postprocess import (
    Cells,
    Maps,
    QuantisedMap,
    Rules,
    decode,
    iou_matrix,
    label_image,
    typical_diameter,
    unsuppressed,
)

DIAMETER_PX = 40.0
RULES = Rules(np.array([0.5, 0.3], np.float32), np.ones(2, np.float32), DIAMETER_PX, 0.6)


def make_maps(peaks: list[tuple[int, int, int, float, float]], shape: tuple[int, int] = (32, 32)) -> Maps:
    """Maps with peaks (row, column, class, score, size over the net's diameter), centred in their map
    cell.
    """
    centre = np.zeros((*shape, 2), np.float32)
    log_size = np.zeros((*shape, 2), np.float32)
    for row, column, class_id, score, size in peaks:
        centre[row, column, class_id] = score
        log_size[row, column] = np.log(size)
    offset = np.full((*shape, 2), 0.5, np.float32)
    foreground = np.zeros((*shape, 1), np.float32)
    return Maps(*(QuantisedMap(a) for a in (centre, log_size, offset, foreground)))


def quantise(values: np.ndarray, scale: float, zero: int) -> QuantisedMap:
    return QuantisedMap(np.clip(np.round(values / scale) + zero, 0, 255).astype(np.uint8), scale, zero)


def read(maps: Maps, shape_px: tuple[int, int] = (128, 128)) -> Cells:
    return decode(maps, RULES, shape_px)


def test_a_peak_becomes_a_box_at_its_place_and_size() -> None:
    cells = read(make_maps([(10, 20, 0, 0.9, 0.5)]))
    np.testing.assert_allclose(cells.boxes_px, [[32, 72, 52, 92]], atol=1e-4)
    assert cells.class_ids.tolist() == [0]
    assert cells.scores.tolist() == pytest.approx([0.9])


def test_the_same_maps_as_uint8_give_the_same_cells() -> None:
    exact = make_maps([(10, 20, 0, 0.9, 0.5), (4, 4, 1, 0.4, 1.2)])
    coarse = Maps(
        quantise(exact.centre.raw, 1 / 256, 0),
        quantise(exact.log_size.raw, 0.01, 130),
        quantise(exact.offset.raw, 0.015, 100),
        quantise(exact.foreground.raw, 1 / 256, 0),
    )
    wanted, found = read(exact), read(coarse)
    assert found.class_ids.tolist() == wanted.class_ids.tolist()
    np.testing.assert_allclose(found.boxes_px, wanted.boxes_px, atol=0.5)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=0.005)


def test_each_class_has_its_own_threshold() -> None:
    cells = read(make_maps([(5, 5, 0, 0.4, 1), (25, 25, 1, 0.4, 1)]))
    assert cells.class_ids.tolist() == [1]


def test_a_temperature_makes_a_score_surer_or_less_sure() -> None:
    maps = make_maps([(5, 5, 0, 0.8, 1), (25, 25, 0, 0.6, 1)])
    rules = replace(RULES, temperatures=np.array([2.0, 1.0], np.float32))
    assert decode(maps, rules, (128, 128)).scores.tolist() == pytest.approx([2 / 3, 0.5505], abs=1e-3)
    sure = replace(RULES, temperatures=np.array([0.5, 1.0], np.float32))
    assert decode(maps, sure, (128, 128)).scores.tolist() == pytest.approx([16 / 17, 9 / 13], abs=1e-3)
    # 0.6 at a temperature of 2 is 0.55, below the threshold.
    strict = replace(rules, thresholds=np.array([0.56, 0.3], np.float32))
    assert len(decode(maps, strict, (128, 128))) == 1


def test_a_plateau_of_equal_peaks_is_one_cell() -> None:
    assert len(read(make_maps([(10, 10, 0, 0.8, 1), (10, 11, 0, 0.8, 1)]))) == 1


def test_overlapping_cells_of_one_class_stay_two() -> None:
    assert len(read(make_maps([(10, 10, 0, 0.8, 1), (10, 14, 0, 0.7, 1)]))) == 2


def test_two_classes_at_one_place_are_the_one_that_is_surer_by_its_own_threshold() -> None:
    cells = read(make_maps([(10, 10, 0, 0.6, 1), (10, 11, 1, 0.55, 1)]))
    assert cells.class_ids.tolist() == [1]


def test_probabilities_lead_with_the_found_class_and_never_exceed_one() -> None:
    maps = make_maps([(10, 10, 0, 0.7, 1)])
    maps.centre.raw[10, 10, 1] = 0.65
    cells = read(maps)
    assert (cells.probabilities.sum(axis=1) <= 1 + 1e-6).all()
    assert cells.probabilities.argmax(axis=1).tolist() == cells.class_ids.tolist()


def test_boxes_end_at_the_image_and_centres_in_the_padding_are_dropped() -> None:
    cells = read(make_maps([(0, 0, 0, 0.9, 1), (30, 30, 0, 0.9, 1)]), (100, 90))
    assert len(cells) == 1
    np.testing.assert_allclose(cells.boxes_px, [[0, 0, 22, 22]])


def test_nothing_found_is_no_cell() -> None:
    cells = read(make_maps([]))
    assert len(cells) == 0
    assert cells.probabilities.shape == (0, 2)
    assert typical_diameter(cells, 0, np.ones(2, np.float32), (128, 128)) is None


def test_diameter_is_the_median_of_whole_reference_cells() -> None:
    peaks = [
        (8, 8, 0, 0.9, 0.5),
        (8, 20, 0, 0.9, 0.6),
        (20, 8, 0, 0.9, 0.7),
        (20, 20, 1, 0.9, 1.5),
        (0, 15, 0, 0.9, 0.9),
    ]
    cells = read(make_maps(peaks))
    assert typical_diameter(cells, 0, np.array([1, 2], np.float32), (128, 128)) == pytest.approx(
        24.0, abs=0.01
    )


def test_without_reference_cells_the_others_tell_the_diameter() -> None:
    cells = read(make_maps([(16, 16, 1, 0.9, 1.0)]))
    assert typical_diameter(cells, 0, np.array([1, 2], np.float32), (128, 128)) == pytest.approx(
        20.0, abs=0.01
    )


def test_iou_of_boxes() -> None:
    a = np.array([[0, 0, 2, 2]], np.float32)
    b = np.array([[0, 1, 2, 3], [0, 0, 2, 2], [5, 5, 6, 6]], np.float32)
    np.testing.assert_allclose(iou_matrix(a, b), [[1 / 3, 1, 0]], atol=1e-6)


def test_touching_cells_share_their_pixels_by_the_nearer_centre() -> None:
    boxes = np.array([[10, 10, 30, 30], [10, 25, 30, 45]], np.float32)
    labels = label_image(boxes, np.zeros((10, 16), np.float32), (40, 64))
    assert labels.shape == (40, 64)
    assert labels[20, 20] == 1
    assert labels[20, 35] == 2
    assert labels[20, 26] == 1
    assert labels[20, 29] == 2
    assert labels[0, 0] == 0
    assert abs(int((labels == 1).sum()) - int((labels == 2).sum())) <= 20


def test_suppression_by_bands_drops_what_comparing_all_pairs_drops() -> None:
    rng = np.random.default_rng(8)
    middles, sides = rng.uniform(0, 300, (400, 2)), rng.uniform(8, 60, (400, 2))
    boxes = np.hstack([middles - sides / 2, middles + sides / 2]).astype(np.float32)
    ids = rng.integers(0, 2, 400)
    for nms_iou in (0.3, 0.7):
        overlap = iou_matrix(boxes, boxes)
        keep = np.ones(400, bool)
        for i in range(400):
            for j in range(i + 1, 400):
                limit = nms_iou if ids[i] == ids[j] else 0.7
                if keep[i] and overlap[i, j] >= limit:
                    keep[j] = False
        assert 0 < keep.sum() < 400
        assert np.array_equal(unsuppressed(boxes, ids, nms_iou), keep)
    assert unsuppressed(np.empty((0, 4), np.float32), np.empty(0, np.int64), 0.5).size == 0


@pytest.mark.parametrize("iou", [0.3, 0.7])
@pytest.mark.parametrize("number", [1, 2, 400])
def test_suppression_is_that_of_all_pairs(number: int, iou: float) -> None:
    rng = np.random.default_rng(number)
    middles = rng.uniform(0, 200, (number, 2))
    # Doubled, moved a little, and of all sizes: some pairs clash in chains.
    middles[number // 2 :] = middles[: number - number // 2] + rng.normal(0, 2, (number - number // 2, 2))
    half = rng.uniform(2, 30, (number, 2))
    half[number // 2 :] = half[: number - number // 2] * rng.uniform(0.9, 1.1, (number - number // 2, 2))
    boxes = np.hstack([middles - half, middles + half]).astype(np.float32)
    classes = rng.integers(0, 2, number)
    overlaps, wanted = iou_matrix(boxes, boxes), np.ones(number, np.bool_)
    for j in range(number):
        limit = np.where(classes[:j] == classes[j], iou, 0.7)
        wanted[j] = not (wanted[:j] & (overlaps[:j, j] >= limit)).any()
    found = unsuppressed(boxes, classes, iou)
    np.testing.assert_array_equal(found, wanted)
    assert number < 400 or 100 < wanted.sum() < 390
