"""Reading model bundles, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamcount.detection.bundle import known_models, load_bundle
from streamcount.detection.tflite import TfliteConfig
from streamcount.errors import ModelError

CONTENT = b"no real model"
MODEL = """
name = "small"
task = "dense-detection"
nms_iou = 0.6

[forms.int8]
file = "small.tflite"
sha256 = "{sha256}"
outputs = ["centre", "foreground", "log_size", "offset"]

[input]
reference_class = "red"
cell_diameter_px = 44.0
cell_diameter_um = 7.5

[[classes]]
name = "red"
threshold = 0.4

[[classes]]
name = "burst"
threshold = 0.3
abnormal = true
"""


def sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.tflite").write_bytes(CONTENT)
    (tmp_path / "model.toml").write_text(MODEL.format(sha256=sha256(CONTENT)), encoding="utf-8")
    return tmp_path


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "model.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_bundle_is_read_whole(folder: Path) -> None:
    bundle = load_bundle(str(folder))
    assert bundle.class_names == ("red", "burst")
    assert bundle.abnormal == ("burst",)
    assert bundle.reference_class == 0
    assert bundle.read_model() == CONTENT


def test_an_unknown_name_lists_the_models_there_are() -> None:
    with pytest.raises(ModelError, match="blood-smear"):
        load_bundle("blood-smeer")


def test_the_committed_model_is_the_one_that_its_file_names() -> None:
    assert load_bundle("blood-smear").read_model()


def test_the_models_mark_what_their_cards_call_abnormal() -> None:
    marked = {name: set(load_bundle(name).abnormal) for name in known_models()}
    assert marked["viability"] == {"dead"}
    assert marked["red-cell-shapes"] == {
        "spherocyte", "target-cell", "burr-cell", "schistocyte", "elliptocyte"
    }  # fmt: skip


def test_a_damaged_model_is_refused(folder: Path) -> None:
    (folder / "small.tflite").write_bytes(CONTENT + b"!")
    with pytest.raises(ModelError, match=r"sha256 .* damaged .* restore it"):
        load_bundle(str(folder)).read_model()


def test_a_missing_model_is_named(folder: Path) -> None:
    (folder / "small.tflite").unlink()
    with pytest.raises(ModelError, match=r"small\.tflite is missing; restore it"):
        load_bundle(str(folder)).read_model()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threshold = 0.4", "threshold = 'high'", "threshold"),
        ("nms_iou = 0.6", "nms_iou = [", "not valid"),
        ('"dense-detection"', '"segmentation"', "dense-detection"),
        ('reference_class = "red"', 'reference_class = "blue"', "reference_class"),
        ('"offset"]', '"ofset"]', "outputs"),
    ],
)
def test_a_wrong_model_file_says_what_is_wrong(folder: Path, old: str, new: str, said: str) -> None:
    change(folder, old, new)
    with pytest.raises(ModelError, match=said):
        load_bundle(str(folder))


def test_bytes_that_are_no_model_are_refused_when_the_detector_is_built(folder: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the model"):
        TfliteConfig(model=str(folder)).build()


def test_a_form_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(ModelError, match="no float32 form; it has int8"):
        TfliteConfig(model=str(folder), form="float32").build()


def test_a_threshold_for_an_unknown_class_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no class 'white' .* red, burst"):
        TfliteConfig(model=str(folder), thresholds={"white": 0.5}).build()


def test_a_threshold_outside_probabilities_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="probabilities"):
        TfliteConfig(model=str(folder), thresholds={"red": 1.5}).build()
