from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import linear_sum_assignment

from streamcount.detection.regions import measure, split_touching
from streamcount.detection.watershed import WatershedConfig
from streamcount.errors import FrameError
from streamcount.types import Frame, FrameMetadata
from tests.films import discs, metadata

CENTRES = [(30.25, 30.0), (40.0, 90.5), (100.0, 50.0), (110.0, 140.75), (60.0, 160.0)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("grey", [(200, 90), (20, 130)], ids=["dark cells", "light cells"])
def test_finds_discs_whatever_the_image(dtype, colour, grey):
    frame = discs(0, CENTRES, dtype=dtype, colour=colour, grey=grey)
    found = WatershedConfig().build().detect(frame, labels=True)
    distances = np.linalg.norm(found.centroids_px[:, None] - np.array(CENTRES)[None], axis=2)
    rows, columns = linear_sum_assignment(distances)
    assert len(found) == len(CENTRES)
    assert distances[rows, columns].max() < 0.7
    np.testing.assert_allclose(found.areas_px, np.pi * 12**2, rtol=0.2)
    np.testing.assert_allclose(found.boxes_px[:, 2:] - found.boxes_px[:, :2], 24, atol=4)
    inside = found.centroids_px.round().astype(int)
    assert found.labels[inside[:, 0], inside[:, 1]].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_camera_of_fewer_bits_is_searched_on_its_own_scale(bits):
    frame = discs(0, CENTRES, dtype=np.uint16, grey=(20, 130))
    dim = (frame.image >> (16 - bits)).astype(np.uint16)
    assert len(WatershedConfig().build().detect(Frame(dim, frame.metadata))) == len(CENTRES)
    empty = np.random.default_rng(1).normal(0.5 * 2**bits, 2 ** (bits - 7), (240, 320)).astype(np.uint16)
    assert len(WatershedConfig().build().detect(Frame(empty, frame.metadata))) == 0


@pytest.mark.parametrize("shift", [17.0, 20.0, 23.0])
def test_splits_touching_cells(shift):
    found = WatershedConfig().build().detect(discs(0, [(80, 80), (80, 80 + shift)]))
    assert len(found) == 2


def test_keeps_an_elongated_cell_whole():
    image = np.full((160, 200), 200, np.uint8)
    yy, xx = np.mgrid[:160, :200]
    image[((yy - 80) / 12) ** 2 + ((xx - 100) / 28) ** 2 < 1] = 90
    assert len(WatershedConfig().build().detect(Frame(image, metadata(0)))) == 1


def test_a_bump_in_a_neck_does_not_join_the_cells_beside_it():
    yy, xx = np.mgrid[:80, :140]
    mask = np.zeros((80, 140), np.uint8)
    for x, radius in ((35, 25), (70, 12), (105, 25)):
        mask[(yy - 40) ** 2 + (xx - x) ** 2 < radius**2] = 255
    labels = split_touching(mask, 0.9)
    assert labels[40, 35] != labels[40, 105]
    assert set(np.unique(labels[mask > 0])) == set(range(1, labels.max() + 1))


def test_pale_centres_belong_to_the_cell():
    frame = discs(0, [(80, 60), (80, 140)], radius=24)
    image = frame.image.copy()
    yy, xx = np.mgrid[:160, :200]
    image[(yy - 80) ** 2 + (xx - 60) ** 2 < 10**2] = 200
    found = WatershedConfig().build().detect(Frame(image, metadata(0)))
    np.testing.assert_allclose(found.areas_px, np.pi * 24**2, rtol=0.1)


@pytest.mark.parametrize("noise", [0.0, 3.0, 20.0])
@pytest.mark.parametrize("slope", [0.0, 60.0])
@pytest.mark.parametrize("labels", [False, True])
def test_an_empty_field_has_no_cells(noise, slope, labels):
    grey = np.random.default_rng(1).normal(120, noise, (240, 320)) + np.linspace(0, slope, 320)
    frame = Frame(np.clip(grey, 0, 255).astype(np.uint8), metadata(0))
    found = WatershedConfig().build().detect(frame, labels=labels)
    assert len(found) == 0
    assert "empty" in found.quality
    assert (found.labels is not None) == labels


def test_a_mask_without_any_background_is_one_cell():
    assert (split_touching(np.full((40, 60), 255, np.uint8), 0.8) == 1).all()


def test_uneven_light_is_taken_off():
    frame = discs(0, CENTRES, grey=(170, 90))
    light = np.linspace(0, 70, 200)
    found = (
        WatershedConfig(max_diameter_px=50)
        .build()
        .detect(Frame(np.clip(frame.image + light, 0, 255).astype(np.uint8), frame.metadata))
    )
    assert len(found) == len(CENTRES)


def test_size_limits_in_um_follow_the_pixel_size():
    frame = discs(0, CENTRES)
    config = WatershedConfig(min_diameter_um=10, max_diameter_um=40)
    counts = {}
    for pixel_size_um in (None, 1.0, 0.2):
        meta = FrameMetadata(
            camera_id="cam", run_id="r", sequence=0, acquired_at_ns=0, pixel_size_um=pixel_size_um
        )
        counts[pixel_size_um] = len(config.build().detect(Frame(frame.image.copy(), meta)))
    assert counts == {None: 5, 1.0: 5, 0.2: 0}


def test_saturation_is_flagged():
    found = WatershedConfig().build().detect(discs(0, CENTRES, grey=(255, 90), noise=0))
    assert found.quality == ("saturated",)


def test_a_tiny_image_is_refused():
    with pytest.raises(FrameError, match="too small"):
        WatershedConfig().build().detect(Frame(np.zeros((3, 50), np.uint8), metadata(0)))


@pytest.mark.parametrize(
    "settings",
    [
        {"min_diameter_px": 50, "max_diameter_px": 40},
        {"min_diameter_um": 5},
        {"min_diameter_um": 9, "max_diameter_um": 5},
        {"radius": 3},
    ],
)
def test_foolish_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        WatershedConfig(**settings)


def test_measure_against_plain_loops():
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 40, (12, 14)), np.ones((5, 4), int)).astype(np.uint16)
    regions = measure(labels, min_area=30, max_area=100)
    kept = [n for n in range(1, 40) if 30 <= (labels == n).sum() <= 100]
    assert len(regions.areas) == len(kept) > 0
    for row, number in enumerate(kept):
        ys, xs = np.nonzero(labels == number)
        np.testing.assert_allclose(regions.centroids[row], [ys.mean(), xs.mean()])
        assert regions.boxes[row].tolist() == [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]
        assert np.array_equal(regions.labels == row + 1, labels == number)


def test_agrees_with_scikit_images_watershed():
    segmentation = pytest.importorskip("skimage.segmentation")
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(5)
    centres = [
        (y + rng.uniform(-3, 3), x + rng.uniform(-3, 3))
        for y in range(30, 300, 26)
        for x in range(30, 400, 27)
    ]
    frame = discs(0, centres, shape=(330, 430), noise=2)
    distance = ndimage.distance_transform_edt(frame.image < 145)
    points = np.rint(centres).astype(int)
    markers = np.zeros(frame.image.shape, int)
    markers[points[:, 0], points[:, 1]] = range(1, len(centres) + 1)
    theirs = segmentation.watershed(-distance, markers, mask=distance > 0)
    ours = WatershedConfig(min_diameter_px=8).build().detect(frame, labels=True).labels
    shared = np.zeros((theirs.max() + 1, ours.max() + 1))
    np.add.at(shared, (theirs.ravel(), ours.ravel()), 1)
    union = shared.sum(1)[:, None] + shared.sum(0)[None] - shared
    best = (shared / union)[1:, 1:].max(axis=1)
    assert ours.max() == len(centres)
    assert best.min() > 0.7
    assert np.median(best) > 0.85
