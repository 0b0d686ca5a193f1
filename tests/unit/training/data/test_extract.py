"""Drafts of labels by classical tools, from a real video file, a stack and a folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from streamcount.errors import TrainingError
from streamcount.training.data.classical import ClassicalChoice, Method
from streamcount.training.data.extract import ExtractChoice, extract
from streamcount.training.data.read import read_data

FRAMES, RADIUS = 24, 9


def centres(frame: int) -> list[tuple[int, int]]:
    """(y, x) of six cells that move right by 7 px a frame."""
    return [(24 + 35 * row, (20 + 90 * column + 7 * frame) % 190) for row in range(3) for column in range(2)]


def film() -> list[np.ndarray]:
    chance = np.random.default_rng(1)
    ground = 190 + np.linspace(0, 12, 200)[None, :] + chance.normal(0, 1.5, (130, 200))
    frames = []
    for index in range(FRAMES):
        image = ground + chance.normal(0, 1.0, ground.shape)
        for y, x in centres(index):
            cv2.circle(image, (x, y), RADIUS, 90.0, -1)
        frames.append(cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.uint8))
    return frames


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "flow.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (200, 130))
    for image in film():
        writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def choice(method: Method, boxes: bool = False, every: int = 5) -> ExtractChoice:
    return ExtractChoice(ClassicalChoice(method, (10.0, 40.0)), every=every, boxes=boxes)


def whole_cells(frame: int) -> int:
    return sum(x > RADIUS + 3 for _, x in centres(frame))


@pytest.mark.parametrize("method", list(Method))
def test_every_method_drafts_the_cells_of_a_video(video: Path, tmp_path: Path, method: Method) -> None:
    told: list[tuple[int, int | None]] = []
    frames, cells = extract(video, tmp_path / "out", choice(method), lambda *done: told.append(done))
    assert (frames, told[-1]) == (5, (5, 5))
    dataset = read_data(tmp_path / "out")
    assert dataset.class_counts().sum() == cells
    for index, image in zip(range(0, FRAMES, 5), dataset.images, strict=True):
        middles = (image.boxes_px[:, :2] + image.boxes_px[:, 2:]) / 2
        inside = [(y, x) for y, x in centres(index) if x > RADIUS + 3]
        distances = np.linalg.norm(middles[:, None] - np.array(inside, np.float32)[None], axis=2)
        assert (distances.min(axis=0) < 3).all()
        assert len(image.boxes_px) <= 6
    assert len(list((tmp_path / "out" / "overlays").glob("*.png"))) == 5
    text = (tmp_path / "out" / "README.txt").read_text()
    assert f"`{method}`" in text
    assert "napari" in text


def test_boxes_and_stacks_of_16_bits(tmp_path: Path) -> None:
    stack = np.stack(film()[:4]).astype(np.uint16) * 5
    tifffile.imwrite(tmp_path / "run.tif", stack, imagej=True, metadata={"axes": "TYX"})
    frames, cells = extract(
        tmp_path / "run.tif", tmp_path / "out", choice(Method.WATERSHED, True, 2), lambda *_: None
    )
    dataset = read_data(tmp_path / "out")
    assert frames == len(dataset.images) == 2
    assert dataset.class_counts().sum() == cells >= whole_cells(0) + whole_cells(2)
    assert dataset.images[0].masks is None
    assert dataset.images[0].read().dtype == np.uint16
    assert "LabelImg" in (tmp_path / "out" / "README.txt").read_text()


def test_a_folder_of_images_is_a_recording_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index, image in enumerate(film()[:4]):
        cv2.imwrite(str(tmp_path / "in" / f"t{index}.png"), image)
    frames, cells = extract(tmp_path / "in", tmp_path / "out", choice(Method.OTSU, every=1), lambda *_: None)
    assert frames == 4
    assert cells >= sum(whole_cells(i) for i in range(4))


def test_what_cannot_be_drafted_is_said(video: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(TrainingError, match="is not empty"):
        extract(video, tmp_path / "full", choice(Method.OTSU), lambda *_: None)
    (tmp_path / "one").mkdir()
    cv2.imwrite(str(tmp_path / "one" / "a.png"), film()[0])
    with pytest.raises(TrainingError, match="learns the background from 3 or more frames"):
        extract(tmp_path / "one", tmp_path / "out", choice(Method.BACKGROUND), lambda *_: None)
    with pytest.raises(TrainingError, match="Cells of 40 to 10 px cannot be"):
        ClassicalChoice(diameters_px=(40, 10))
