"""Reading labelled images, and what is said of data that is wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset, split_calibration
from streamcount.training.data.readers.yolo import read_class_names, read_yolo_part

NAMES = ("pale", "dark")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    for name in ("images", "labels"):
        (tmp_path / "train" / name).mkdir(parents=True)
    cv2.imwrite(
        str(tmp_path / "train" / "images" / "a.png"),
        np.linspace(0, 200, 15000).reshape(50, 100, 3).astype(np.uint8),
    )
    return tmp_path / "train"


def label(part: Path, *lines: str) -> None:
    (part / "labels" / "a.txt").write_text("\n".join(lines), encoding="utf-8")


def test_boxes_are_pixels_in_y_x_order_clipped_to_the_image(part: Path) -> None:
    label(part, "1 0.5 0.4 0.2 0.4", "0 0.0 0.5 0.1 0.2")
    image = read_yolo_part(part, NAMES).images[0]
    np.testing.assert_allclose(image.boxes_px, [[10, 40, 30, 60], [20, 0, 30, 5]], atol=1e-4)
    assert image.class_ids.tolist() == [1, 0]
    assert image.shape_px == (50, 100)


def test_boxes_labelled_twice_are_dropped_and_counted_by_class(part: Path) -> None:
    label(part, "0 0.5 0.5 0.2 0.4", "0 0.505 0.5 0.2 0.4", "1 0.5 0.5 0.2 0.4", "0 0.2 0.5 0.2 0.4")
    dataset = read_yolo_part(part, NAMES)
    assert dataset.doubled_boxes == 1
    assert dataset.class_counts().tolist() == [2, 1]


def test_the_reference_diameter_is_measured_on_whole_cells(part: Path) -> None:
    label(part, "0 0.3 0.5 0.2 0.4", "0 0.7 0.5 0.2 0.4", "0 0.02 0.5 0.04 0.4", "1 0.5 0.5 0.1 0.2")
    dataset = read_yolo_part(part, NAMES)
    assert dataset.images[0].diameter_px == pytest.approx(20)
    assert dataset.relative_diameters == pytest.approx((1.0, 0.5))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a\.txt:1 has class 2; classes\.txt names 0 to 1"),
        ("0.5 0.5 0.5 0.1 0.1", r"a\.txt:1 has class 0\.5"),
        ("0 0.5 0.5 0.1", r"a\.txt:1 is no relative box"),
        ("0 50 40 20 20", r"a\.txt:1 is no relative box"),
        ("0 0.5 0.5 0 0.1", r"a\.txt:1 is no relative box"),
        ("0 nan 0.5 0.1 0.1", r"a\.txt:1 is no relative box"),
        ("red 0.5 0.5 0.1 0.1", r"a\.txt:1 is not numbers"),
    ],
)
def test_a_wrong_line_is_named(part: Path, line: str, said: str) -> None:
    label(part, line)
    with pytest.raises(TrainingError, match=said):
        read_yolo_part(part, NAMES)


def test_a_missing_label_file_is_named(part: Path) -> None:
    with pytest.raises(TrainingError, match=r"a\.txt is missing; an image without cells needs an empty"):
        read_yolo_part(part, NAMES)


def test_an_unreadable_image_is_named(part: Path) -> None:
    (part / "images" / "b.jpg").write_bytes(b"not an image")
    label(part, "0 0.5 0.5 0.1 0.1")
    with pytest.raises(TrainingError, match=r"b\.jpg cannot be read as an image"):
        read_yolo_part(part, NAMES)


def test_data_without_any_box_is_refused(part: Path) -> None:
    label(part, "")
    with pytest.raises(TrainingError, match="no box at all"):
        read_yolo_part(part, NAMES)


def test_missing_folders_and_class_names_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"train is no folder"):
        read_yolo_part(tmp_path / "train", NAMES)
    (tmp_path / "train").mkdir()
    with pytest.raises(TrainingError, match=r"images is missing"):
        read_yolo_part(tmp_path / "train", NAMES)
    with pytest.raises(TrainingError, match=r"no classes\.txt"):
        read_class_names(tmp_path)


def test_the_part_kept_for_thresholds_is_the_same_every_time(part: Path) -> None:
    label(part, "0 0.5 0.5 0.2 0.4")
    one = read_yolo_part(part, NAMES).images[0]
    images = tuple(
        type(one)(Path(f"{i}.png"), one.shape_px, one.boxes_px, one.class_ids, 20.0) for i in range(200)
    )
    kept, held = split_calibration(Dataset(images, NAMES), 0.1)
    again, _ = split_calibration(Dataset(images[::-1], NAMES), 0.1)
    assert len(kept.images) + len(held.images) == 200
    assert 8 <= len(held.images) <= 35
    assert {i.path for i in kept.images} == {i.path for i in again.images}
