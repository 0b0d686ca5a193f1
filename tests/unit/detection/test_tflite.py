"""The compiled blood-smear model as a detector."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.detection.tflite import TfliteConfig, TfliteDetector, counted
from streamcount.errors import FrameError
from streamcount.types import Detections, Frame, FrameMetadata

VAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "txl_pbc" / "val"
DIAMETER_PX = 60


@pytest.fixture(scope="module")
def detector() -> TfliteDetector:
    return TfliteConfig(model="blood-smear").build()


@pytest.fixture(scope="module")
def scaled() -> TfliteDetector:
    return TfliteConfig(model="blood-smear", cell_diameter_px=DIAMETER_PX).build()


def smear(height: int, width: int, diameter_px: int = DIAMETER_PX) -> tuple[np.ndarray, int]:
    """A drawn smear: pink discs, paler in the middle, on a light ground; and how many there are."""
    image = np.full((height, width, 3), (232, 224, 222), np.uint8)
    step, cells = int(diameter_px * 1.6), 0
    for y in range(step // 2 + 8, height - step // 2, step):
        for x in range(step // 2 + 8, width - step // 2, step):
            cv2.circle(image, (x, y), diameter_px // 2, (198, 140, 140), -1, cv2.LINE_AA)
            cv2.circle(image, (x, y), diameter_px // 6, (216, 180, 178), -1, cv2.LINE_AA)
            cells += 1
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 1.2) + noise, 0, 255).astype(np.uint8), cells


def frame(image: np.ndarray, pixel_size_um: float | None = None) -> Frame:
    metadata = FrameMetadata(
        camera_id="c", run_id="r", sequence=0, acquired_at_ns=0, pixel_size_um=pixel_size_um
    )
    return Frame(image, metadata)


def same(a: Detections, b: Detections) -> bool:
    pairs = [(a.boxes_px, b.boxes_px), (a.class_probabilities, b.class_probabilities)]
    return all(np.array_equal(x, y) for x, y in pairs) and a.quality == b.quality


@pytest.mark.parametrize("size", [(480, 640), (333, 401)])
def test_drawn_cells_are_counted_at_any_size_with_a_known_scale(
    scaled: TfliteDetector, size: tuple[int, int]
) -> None:
    image, cells = smear(*size)
    found = scaled.detect(frame(image))
    assert found.counts()["red"] == cells
    assert found.image_shape == size
    # The training data's boxes are drawn loosely, by up to a seventh of the diameter, and so are the model's.
    assert 1 <= found.areas_px.mean() / (np.pi / 4 * DIAMETER_PX**2) <= 1.35


def test_the_pixel_size_sets_the_scale_as_the_configuration_does(
    detector: TfliteDetector, scaled: TfliteDetector
) -> None:
    image, _ = smear(480, 640)
    pixel_size_um = detector.bundle.input.cell_diameter_um / DIAMETER_PX
    assert same(detector.detect(frame(image, pixel_size_um)), scaled.detect(frame(image)))


def test_a_diameter_in_um_takes_the_place_of_the_models_where_the_pixel_size_is_known(
    detector: TfliteDetector, scaled: TfliteDetector
) -> None:
    image, _ = smear(480, 640)
    # Cells a third as large as the model's usual ones.
    small_um = detector.bundle.input.cell_diameter_um / 3
    told = TfliteConfig(model="blood-smear", cell_diameter_um=small_um).build()
    assert same(told.detect(frame(image, small_um / DIAMETER_PX)), scaled.detect(frame(image)))
    alone, untold = told.detect(frame(image)), detector.detect(frame(image))
    assert np.array_equal(alone.boxes_px, untold.boxes_px)
    assert (alone.quality, untold.quality) == (("pixel-size-unknown",), ())


def test_a_diameter_is_told_in_one_unit() -> None:
    with pytest.raises(ValueError, match="cell_diameter_px and cell_diameter_um"):
        TfliteConfig(cell_diameter_px=20, cell_diameter_um=8)


@pytest.mark.parametrize("diameter_px", [40, 60, 120])
def test_an_unknown_scale_is_found_in_the_frame_itself(detector: TfliteDetector, diameter_px: int) -> None:
    image, cells = smear(480, 640, diameter_px)
    found = detector.detect(frame(image))
    assert abs(found.counts()["red"] - cells) <= 1
    assert found.quality == ()


def test_frames_before_it_change_nothing(detector: TfliteDetector) -> None:
    small, large = frame(smear(480, 640, 40)[0]), frame(smear(480, 640, 120)[0])
    alone = TfliteConfig(model="blood-smear").build().detect(large)
    detector.detect(small)
    assert same(detector.detect(large), alone)


def test_threads_share_a_detector(scaled: TfliteDetector) -> None:
    frames = [frame(smear(200 + 40 * i, 300)[0]) for i in range(4)] * 3
    alone = [scaled.detect(f) for f in frames]
    with ThreadPoolExecutor(3) as pool:
        assert all(same(a, b) for a, b in zip(pool.map(scaled.detect, frames), alone, strict=True))


def test_an_empty_frame_says_so(detector: TfliteDetector) -> None:
    found = detector.detect(frame(np.full((240, 320, 3), 225, np.uint8)), labels=True)
    assert len(found) == 0
    assert found.quality == ("empty", "scale-unknown")
    assert found.class_probabilities.shape == (0, 3)
    assert found.labels is not None
    assert not found.labels.any()


def test_labels_number_the_cells_in_order(scaled: TfliteDetector) -> None:
    found = scaled.detect(frame(smear(480, 640)[0]), labels=True)
    assert found.labels is not None
    assert found.labels.dtype == np.uint16
    assert found.labels.max() == len(found)
    at = found.centroids_px.astype(int)
    assert found.labels[at[:, 0], at[:, 1]].tolist() == list(range(1, len(found) + 1))


def test_a_scale_that_makes_a_frame_huge_is_refused() -> None:
    tiny = TfliteConfig(model="blood-smear", cell_diameter_px=4).build()
    with pytest.raises(FrameError, match="cell_diameter_px") as caught:
        tiny.detect(frame(np.zeros((960, 1280, 3), np.uint8)))
    assert caught.value.reason == "too-large"


def test_a_large_frame_goes_through_in_tiles_and_nothing_changes(
    scaled: TfliteDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = frame(smear(1500, 2100)[0])
    monkeypatch.setattr("streamcount.detection.net.LARGEST_PASS_PX", 10**9)
    whole = scaled.detect(large, labels=True)
    monkeypatch.setattr("streamcount.detection.net.LARGEST_PASS_PX", 500_000)
    tiled = scaled.detect(large, labels=True)
    assert len(whole) > 200
    assert same(whole, tiled)
    assert np.array_equal(whole.labels, tiled.labels)


def test_cells_at_the_edge_count_by_the_rule() -> None:
    boxes = np.array(
        [[10, 10, 20, 20], [0, 10, 9, 20], [10, 0, 20, 9], [90, 10, 100, 20], [10, 90, 20, 100]], np.float32
    )
    assert counted(boxes, (100, 100), "all").tolist() == [True] * 5
    assert counted(boxes, (100, 100), "whole").tolist() == [True, False, False, False, False]
    assert counted(boxes, (100, 100), "counting-frame").tolist() == [True, True, True, False, False]


def test_labels_are_numbered_anew_without_the_cells_at_the_edge(scaled: TfliteDetector) -> None:
    image = smear(480, 640)[0][28:, 28:]
    every = scaled.detect(frame(image), labels=True)
    whole = TfliteConfig(model="blood-smear", cell_diameter_px=DIAMETER_PX, border="whole").build()
    some = whole.detect(frame(image), labels=True)
    assert 0 < len(some) < len(every)
    assert some.labels is not None
    assert some.labels.max() == len(some)
    at = some.centroids_px.astype(int)
    assert some.labels[at[:, 0], at[:, 1]].tolist() == list(range(1, len(some) + 1))


@pytest.mark.skipif(not VAL.is_dir(), reason="the real images lie beside the project, in ../shared/data")
def test_real_images_reach_the_figures_of_the_card() -> None:
    pytest.importorskip("faster_coco_eval", reason="needs the `train` extra")
    from streamcount.detection.bundle import find_bundle
    from streamcount.training.compile import measure_bundle
    from streamcount.training.data.labelled import Dataset
    from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part

    whole = read_yolo_part(VAL, read_class_names(VAL))
    some = Dataset(whole.images[::6], whole.class_names)
    measured = measure_bundle(find_bundle("blood-smear"), some)["int8"]
    assert measured["white"].ap50 >= 0.9
    assert measured["red"].ap50 >= 0.93
    assert measured["platelet"].ap50 >= 0.75
    assert measured["any cell"].mape <= 10


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_a_smear_of_unknown_scale_is_counted_as_one_of_known_scale(zoom: float) -> None:
    """At a coarse look red cells pass for platelets; the scale must not be taken from such a look."""
    from streamcount.sources.base import Run
    from streamcount.sources.simulated import SimulatedConfig

    detector = TfliteConfig(model="blood-smear").build()
    frame = next(iter(SimulatedConfig(seed=1, frames=1).build().frames(Run("a", "b", lambda: 0))))
    known = detector.detect(frame).counts()
    image = cv2.resize(frame.image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    unknown = detector.detect(
        Frame(image, FrameMetadata(camera_id="a", run_id="b", sequence=0, acquired_at_ns=0))
    ).counts()
    assert abs(unknown["red"] - known["red"]) <= 0.1 * known["red"]
    assert unknown["platelet"] <= 2
