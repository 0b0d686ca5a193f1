"""Each label format read from real files, and what is said of data that is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset, NoteKind
from streamcount.training.data.parts import read_parts
from streamcount.training.data.read import ReadOptions, find_reader, read_data, read_unmeasured, shape_names
from streamcount.training.data.readers import READERS
from streamcount.training.data.readers.instances import connected_instances

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"
SIZE = (60, 80)
DISCS = ((20, 20, 8), (40, 60, 10))


def labels_of(discs: tuple[tuple[int, int, int], ...] = DISCS) -> np.ndarray:
    labels = np.zeros(SIZE, np.uint16)
    for number, (y, x, radius) in enumerate(discs, start=1):
        cv2.circle(labels, (x, y), radius, number * 7, -1)
    return labels


def picture(labels: np.ndarray, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 20, labels.shape)
    return np.where(labels > 0, 60, 200).astype(np.uint8) + noise.astype(np.uint8)


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def expected_boxes() -> list[list[int]]:
    return [[y - r, x - r, y + r + 1, x + r + 1] for y, x, r in DISCS]


def check_masks(dataset: Dataset) -> None:
    """Row i's pixels have the value i + 1, and span its box."""
    for image in dataset.images:
        assert image.masks is not None
        masks = image.masks()
        assert masks.dtype == np.int32
        assert masks.shape == image.shape_px
        assert masks.max(initial=0) == len(image.boxes_px)
        for row, box in enumerate(image.boxes_px.tolist(), start=1):
            ys, xs = np.nonzero(masks == row)
            assert [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1] == box


def voc(path: Path, *objects: tuple[str, int, int, int, int]) -> None:
    rows = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for name, y0, x0, y1, x1 in objects
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>{rows}</annotation>", encoding="utf-8")


def test_voc_boxes_with_names(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a (2).png", picture(labels_of()))
    write(tmp_path / "images" / "a (10).png", picture(labels_of(), 2))
    voc(tmp_path / "annotations" / "a (2).xml", ("living", 12, 12, 29, 29), ("dead", 30, 50, 51, 71))
    voc(tmp_path / "annotations" / "a (10).xml")
    dataset = read_data(tmp_path)
    assert dataset.class_names == ("dead", "living")
    assert [image.path.name for image in dataset.images] == ["a (2).png", "a (10).png"]
    assert dataset.images[0].boxes_px.tolist() == expected_boxes()
    assert dataset.images[0].class_ids.tolist() == [1, 0]
    assert dataset.images[0].source == "80x60"
    assert dataset.noted(NoteKind.EMPTY) == 1


def test_blank_images_with_boxes_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", picture(labels_of()))
    write(tmp_path / "images" / "white.png", np.full(SIZE, 255, np.uint8))
    write(tmp_path / "images" / "empty.png", np.full(SIZE, 255, np.uint8))
    for name in ("a", "white"):
        voc(tmp_path / "annotations" / f"{name}.xml", ("cell", 12, 12, 29, 29))
    voc(tmp_path / "annotations" / "empty.xml")
    dataset = read_data(tmp_path)
    assert [image.path.stem for image in dataset.images] == ["a", "empty"]
    assert dataset.noted(NoteKind.BLANK) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation>", "no Pascal VOC annotation"),
        ("<annotation><object><name>a</name></object></annotation>", "needs a <name>, and a <bndbox>"),
    ],
)
def test_a_broken_voc_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path / "images" / "a.png", picture(labels_of()))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.xml").write_text(text)
    with pytest.raises(TrainingError, match=rf"a\.xml.*{said}"):
        read_data(tmp_path)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    from faster_coco_eval.core import mask

    labels = labels_of()
    write(tmp_path / "images" / "a.png", picture(labels))
    square = [50.0, 30.0, 71.0, 30.0, 71.0, 51.0, 50.0, 51.0]
    runs = mask.encode(np.asfortranarray((labels == 7).astype(np.uint8)))
    counts = runs["counts"].decode() if isinstance(runs["counts"], bytes) else runs["counts"]
    uncompressed = {"size": list(SIZE), "counts": [SIZE[0] * 2, SIZE[0] * 3, SIZE[0] * (SIZE[1] - 5)]}
    content = {
        "images": [{"id": 5, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 0, "name": "root"}, {"id": 3, "name": "red"}, {"id": 4, "name": "white"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [12, 12, 17, 17],
             "segmentation": {"size": list(SIZE), "counts": counts}},
            {"id": 2, "image_id": 5, "category_id": 4, "bbox": [50, 30, 21, 21], "segmentation": [square]},
            {"id": 3, "image_id": 5, "category_id": 4, "bbox": [50, 30, 21, 21], "segmentation": [square]},
            {"id": 4, "image_id": 5, "category_id": 3, "bbox": [2, 0, 3, 60], "segmentation": uncompressed},
            {"id": 5, "image_id": 5, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }  # fmt: skip
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    return tmp_path


def test_coco_run_lengths_polygons_and_crowds(coco: Path) -> None:
    dataset = read_data(coco)
    image = dataset.images[0]
    assert dataset.class_names == ("red", "white")
    assert image.boxes_px.tolist() == [[12, 12, 29, 29], [30, 50, 51, 71], [0, 2, 60, 5]]
    assert image.class_ids.tolist() == [0, 1, 0]
    assert not image.complete
    assert (dataset.doubled_boxes, dataset.noted(NoteKind.CROWD)) == (1, 1)
    check_masks(dataset)
    np.testing.assert_array_equal(image.masks() == 1, labels_of() == 7)


def test_coco_boxes_alone(coco: Path) -> None:
    path = coco / "annotations.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation.pop("segmentation", None)
    path.write_text(json.dumps(content))
    image = read_data(coco).images[0]
    assert image.masks is None
    assert image.boxes_px.tolist() == [[12, 12, 29, 29], [30, 50, 51, 71], [0, 2, 60, 5]]


def test_coco_names_what_is_missing(coco: Path) -> None:
    write(coco / "images" / "b.png", picture(labels_of()))
    with pytest.raises(TrainingError, match=r"b\.png is not listed in"):
        read_data(coco)
    (coco / "images" / "a.png").unlink()
    assert read_unmeasured(coco, ReadOptions(lenient=True)).noted(NoteKind.NO_IMAGE) == 1


@pytest.mark.parametrize("layout", ["folders", "side-by-side"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_images_in_both_layouts(tmp_path: Path, layout: str, dtype: type) -> None:
    labels = labels_of()
    if layout == "folders":
        write(tmp_path / "images" / "a.png", picture(labels))
        write(tmp_path / "labels" / "a.png", labels.astype(dtype))
    else:
        write(tmp_path / "a_raw8.png", picture(labels))
        write(tmp_path / "a_instances.png", labels.astype(dtype))
    dataset = read_data(tmp_path)
    assert dataset.class_names == ("cell",)
    assert dataset.images[0].boxes_px.tolist() == expected_boxes()
    assert dataset.images[0].diameter_px == pytest.approx(19, abs=1)
    check_masks(dataset)


def test_label_images_of_several_classes_need_them_told(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", picture(labels_of()))
    write(tmp_path / "labels" / "a.png", labels_of())
    (tmp_path / "classes.txt").write_text("red\nwhite\n")
    with pytest.raises(TrainingError, match=r"a\.txt is missing: label images of 2 classes"):
        read_data(tmp_path)
    (tmp_path / "labels" / "a.txt").write_text("7 0\n14 1\n")
    dataset = read_data(tmp_path)
    assert find_reader(tmp_path, ReadOptions()).name == "label-images"
    assert dataset.images[0].class_ids.tolist() == [0, 1]
    (tmp_path / "labels" / "a.txt").write_text("7 0\n")
    with pytest.raises(TrainingError, match="gives no class for cell 14"):
        read_data(tmp_path)


def test_pieces_of_one_number_become_cells_and_crumbs_go() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[2:12, 2:12] = 9
    labels[20:25, 2:6] = 9
    labels[30:32, 30:32] = 9
    labels[12:20, 20:30] = 4
    found = connected_instances(labels)
    assert found.ids.tolist() == [4, 9, 9]
    assert (found.split, found.dropped) == (1, 1)
    assert found.boxes_px.tolist() == [[12, 20, 20, 30], [2, 2, 12, 12], [20, 2, 25, 6]]
    assert set(np.unique(found.labels)) == {0, 1, 2, 3}


def test_a_label_image_without_background_keeps_all_its_cells() -> None:
    found = connected_instances(np.repeat([[3, 5]], 4, axis=0).astype(np.uint16))
    assert found.ids.tolist() == [3, 5]


def test_a_label_image_of_another_size_or_in_colour_is_named(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", picture(labels_of()))
    write(tmp_path / "labels" / "a.png", labels_of()[:-1])
    with pytest.raises(TrainingError, match=r"a\.png is \(59, 80\) px, its image \(60, 80\)"):
        read_data(tmp_path)
    write(tmp_path / "labels" / "a.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(TrainingError, match="one plane of whole numbers"):
        read_data(tmp_path)


def test_taking_some_cells_renumbers_their_masks(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", picture(labels_of()))
    write(tmp_path / "labels" / "a.png", labels_of())
    image = read_data(tmp_path).images[0].take(np.array([False, True]))
    np.testing.assert_array_equal(image.masks(), (labels_of() == 14).astype(np.int32))


def test_points_get_boxes_of_the_size_seen(tmp_path: Path) -> None:
    discs = ((20, 20, 8), (40, 60, 8), (44, 30, 8))
    write(tmp_path / "images" / "a.png", picture(labels_of(discs)))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("20 20 0\n60 40 2\n30 44 0\n")
    dataset = read_data(tmp_path)
    assert dataset.class_names == ("class-0", "class-1", "class-2")
    assert not dataset.images[0].complete
    assert dataset.images[0].diameter_px == pytest.approx(17, abs=2)
    given = read_data(tmp_path, options=ReadOptions(nominal_diameter_px=11))
    assert given.images[0].boxes_px[0].tolist() == [15, 15, 26, 26]


def ctc(root: Path, kind: str, number: int, labels: np.ndarray) -> None:
    for name in ("01", f"01_{kind}/SEG", "01_GT/TRA"):
        (root / name).mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(root / "01" / f"t{number:03d}.tif", picture(labels, number).astype(np.uint16) * 9)
    tifffile.imwrite(root / f"01_{kind}" / "SEG" / f"man_seg{number:03d}.tif", labels)


def test_cell_tracking_challenge_takes_silver_truth_where_gold_is_not_whole(tmp_path: Path) -> None:
    whole, partial = labels_of(), labels_of(DISCS[:1])
    ctc(tmp_path, "GT", 0, whole)
    ctc(tmp_path, "GT", 1, partial)
    ctc(tmp_path, "GT", 2, partial)
    tifffile.imwrite(tmp_path / "01" / "t003.tif", picture(whole).astype(np.uint16))
    (tmp_path / "01_ST" / "SEG").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "01_ST" / "SEG" / "man_seg001.tif", whole)
    for number in range(3):
        tifffile.imwrite(tmp_path / "01_GT" / "TRA" / f"man_track{number:03d}.tif", whole)
    dataset = read_data(tmp_path)
    assert [len(image.boxes_px) for image in dataset.images] == [2, 2, 1]
    assert [image.complete for image in dataset.images] == [True, True, False]
    assert {image.source for image in dataset.images} == {"01"}
    check_masks(dataset)


def yolo(part: Path, name: str, *lines: str, image: np.ndarray | None = None) -> None:
    write(part / "images" / f"{name}.png", picture(labels_of()) if image is None else image)
    (part / "labels").mkdir(exist_ok=True)
    (part / "labels" / f"{name}.txt").write_text("\n".join(lines))


def test_boxes_outside_of_the_image_are_dropped_and_told(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cell\n")
    yolo(tmp_path, "a", "0 0.5 0.5 0.2 0.2", "0 1.2 0.5 0.2 0.2", "0 0.02 0.5 0.2 0.2")
    dataset = read_data(tmp_path)
    assert len(dataset.images[0].boxes_px) == 2
    assert (dataset.noted(NoteKind.OUTSIDE), dataset.noted(NoteKind.CLIPPED)) == (1, 1)
    assert dataset.images[0].boxes_px.min() >= 0


def test_labels_of_an_unknown_format_get_all_formats_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(TrainingError) as told:
        read_data(tmp_path)
    for reader in READERS:
        assert f"{reader.name}: {reader.layout}" in str(told.value)
    with pytest.raises(TrainingError, match="no format 'csv'"):
        read_data(tmp_path, format="csv")


def test_lenient_reading_notes_every_broken_file(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cell\n")
    for name in "abc":
        yolo(tmp_path, name, "0 0.5 0.5 0.2 0.2")
    (tmp_path / "labels" / "a.txt").unlink()
    (tmp_path / "images" / "b.png").write_bytes(b"no image")
    (tmp_path / "labels" / "d.txt").write_text("")
    dataset = read_unmeasured(tmp_path, ReadOptions(lenient=True))
    kinds = {note.path.stem: note.kind for note in dataset.notes}
    assert kinds == {"a": NoteKind.NO_LABEL, "b": NoteKind.UNREADABLE, "d": NoteKind.NO_IMAGE}
    assert [image.path.stem for image in dataset.images] == ["c"]


def test_parts_are_folders_or_a_split_file(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("small\nlarge\n")
    for part, name in (("train", "a"), ("train", "b"), ("val", "c")):
        yolo(tmp_path / part, name, "1 0.5 0.5 0.2 0.2")
    parts = read_parts(tmp_path)
    assert {name: len(part.images) for name, part in parts.items()} == {"train": 2, "val": 1}
    split = {"command": "", "seed": 1, "source": "(train|val)/", "train": ["train/images/a.png"],
             "val": ["val/images/c.png", "train/images/b.png"]}  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(split))
    parts = read_parts(tmp_path, split=tmp_path / "s.json")
    assert [image.path.stem for image in parts["val"].images] == ["b", "c"]
    assert [image.source for image in parts["val"].images] == ["train", "val"]
    shutil.copy(tmp_path / "val" / "images" / "c.png", tmp_path / "val" / "images" / "new.png")
    shutil.copy(tmp_path / "val" / "labels" / "c.txt", tmp_path / "val" / "labels" / "new.txt")
    with pytest.raises(TrainingError, match=r"new\.png is not in the split file"):
        read_parts(tmp_path, split=tmp_path / "s.json")


def test_data_without_parts_says_how_to_split(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run `streamcount data split"):
        read_parts(tmp_path)


def test_voc_parts_that_show_different_classes_get_the_same_numbers(tmp_path: Path) -> None:
    for part, name in (("train", "living"), ("val", "dead")):
        write(tmp_path / part / "images" / "a.png", picture(labels_of()))
        voc(tmp_path / part / "annotations" / "a.xml", (name, 12, 12, 29, 29))
    parts = read_parts(tmp_path)
    assert [part.class_names for part in parts.values()] == [("dead", "living")] * 2
    assert [part.images[0].class_ids.tolist() for part in parts.values()] == [[1], [0]]


def test_shapes_within_three_percent_are_one_source() -> None:
    names = shape_names(((360, 363), (360, 363), (366, 369), (416, 416), (480, 640)))
    assert names[(366, 369)] == names[(360, 363)] == "363x360"
    assert len(set(names.values())) == 3


@pytest.mark.parametrize(
    ("folder", "reader", "images", "cells"),
    [
        ("txl_pbc/val", "yolo", 283, 5205),
        ("ldc_live_dead", "voc", 909, 2968),
        ("usiigaci", "label-images", 34, 2177),
        ("chula_rbc12", "points", 435, 15328),
    ],
)
def test_real_sets_are_read(folder: str, reader: str, images: int, cells: int) -> None:
    root = SHARED / folder
    if not root.is_dir():
        pytest.skip("the real images (../shared/data) are not here")
    assert find_reader(root, ReadOptions()).name == reader
    dataset = read_data(root)
    assert len(dataset.images) == images
    assert dataset.class_counts().sum() == cells
