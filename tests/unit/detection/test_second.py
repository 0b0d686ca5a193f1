"""The second stage: cells of one class told apart further, by a small classifier made here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.detection.second import cut_crops
from streamcount.detection.tflite import TfliteConfig
from streamcount.errors import ModelError
from streamcount.types import Frame, FrameMetadata

MODEL = """
name = "shades"
task = "crop-classification"
refines = "{refines}"

[input]
reference_class = "pale"
cell_diameter_px = 16.0
cell_diameter_um = 7.5
crop_px = 24

[forms.int8]
file = "shades.tflite"
sha256 = "{sha256}"
outputs = ["class"]

[[classes]]
name = "pale"

[[classes]]
name = "dark"
abnormal = true
"""


def write_classifier(folder: Path, refines: str = "red") -> Path:
    """A model that calls a crop dark whose middle is darker than 170."""
    tf = pytest.importorskip("tensorflow", reason="making a model needs the `train` extra")

    @tf.function(input_signature=[tf.TensorSpec((None, 24, 24, 3), tf.uint8)])
    def shade(crops):
        light = tf.reduce_mean(tf.cast(crops[:, 11:13, 11:13], tf.float32), axis=(1, 2, 3))
        logit = (light - 170.0) / 4.0
        return tf.nn.softmax(tf.stack([logit, -logit], axis=1))

    content = tf.lite.TFLiteConverter.from_concrete_functions([shade.get_concrete_function()]).convert()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shades.tflite").write_bytes(content)
    text = MODEL.format(refines=refines, sha256=hashlib.sha256(content).hexdigest())
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("shades"))


def smear() -> np.ndarray:
    """Red cells of which every second has a dark middle."""
    image = np.full((480, 640, 3), (232, 224, 222), np.uint8)
    for index in range(24):
        at = (70 + 96 * (index % 6), 70 + 96 * (index // 6))
        cv2.circle(image, at, 30, (198, 140, 140), -1, cv2.LINE_AA)
        cv2.circle(image, at, 10, (190, 130, 132) if index % 2 else (216, 180, 178), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.2), np.uint8)


def frame(image: np.ndarray) -> Frame:
    return Frame(image, FrameMetadata(camera_id="c", run_id="r", sequence=0, acquired_at_ns=0))


def test_finer_classes_stand_in_the_place_of_the_refined_one(classifier: Path) -> None:
    first = TfliteConfig(model="blood-smear", cell_diameter_px=60).build()
    both = TfliteConfig(model="blood-smear", cell_diameter_px=60, second_stage=str(classifier)).build()
    assert both.model.class_names == ("white", "pale", "dark", "platelet")
    assert both.model.abnormal == ("dark",)
    assert both.model.name == "blood-smear+shades"
    assert both.model.sha256 != first.model.sha256
    before, after = first.detect(frame(smear())), both.detect(frame(smear()))
    assert np.array_equal(before.boxes_px, after.boxes_px)
    counts = after.counts()
    assert counts["pale"] + counts["dark"] == before.counts()["red"]
    assert counts["white"] == before.counts()["white"]
    assert min(counts["pale"], counts["dark"]) >= 10
    for box, name in zip(after.boxes_px, (after.model.class_names[i] for i in after.class_ids), strict=True):
        if name in ("pale", "dark"):
            y, x = ((box[:2] + box[2:]) / 2).astype(int)
            assert (smear()[y, x].mean() < 170) == (name == "dark")


def test_probabilities_of_the_finer_classes_share_that_of_the_refined(classifier: Path) -> None:
    first = TfliteConfig(model="blood-smear", cell_diameter_px=60).build()
    both = TfliteConfig(model="blood-smear", cell_diameter_px=60, second_stage=str(classifier)).build()
    before, after = first.detect(frame(smear())), both.detect(frame(smear()))
    shared = after.class_probabilities[:, 1:3].sum(axis=1)
    np.testing.assert_allclose(shared, before.class_probabilities[:, 1], atol=1e-5)


def test_a_frame_without_cells_needs_no_second_look(classifier: Path) -> None:
    both = TfliteConfig(model="blood-smear", cell_diameter_px=60, second_stage=str(classifier)).build()
    found = both.detect(frame(np.full((240, 320, 3), 225, np.uint8)))
    assert found.class_probabilities.shape == (0, 4)


def test_a_second_stage_for_an_unknown_class_is_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path, refines="blue")
    with pytest.raises(ModelError, match=r"'blue' cells.* white, red, platelet"):
        TfliteConfig(model="blood-smear", second_stage=str(folder)).build()


def test_the_two_stages_cannot_be_swapped(classifier: Path) -> None:
    with pytest.raises(ModelError, match="name it as second_stage"):
        TfliteConfig(model=str(classifier)).build()
    with pytest.raises(ModelError, match="not crop-classification"):
        TfliteConfig(model="blood-smear", second_stage="blood-smear").build()


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_a_crop_shows_the_middle_of_its_box(scale: float) -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    image[40:60, 70:90] = 200
    crop = cut_crops(image, np.array([[40, 70, 60, 90]], np.float32), scale, 48)[0, ..., 0]
    rows, columns = np.nonzero(crop > 100)
    assert abs(rows.mean() + 0.5 - 24) < 0.6
    assert abs(columns.mean() + 0.5 - 24) < 0.6
    assert abs(len(rows) - (20 * scale) ** 2) <= 4 * 20 * scale


def test_a_crop_at_the_edge_repeats_the_last_pixels() -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    crop = cut_crops(image, np.array([[-5, -5, 5, 5]], np.float32), 1.0, 32)
    assert (crop == 90).all()
