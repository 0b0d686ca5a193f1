"""Tracks in the form of the Cell Tracking Challenge: gaps, mothers, missing frames, and what cannot be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from streamcount.detection import LabelsConfig
from streamcount.errors import ConfigurationError, ModelError
from streamcount.sinks.ctc import CtcWriter
from streamcount.tracking import KalmanConfig
from streamcount.types import Detections, Frame, Tracks, TrackStatus
from tests.films import metadata


def frame(sequence: int, cells: int) -> Detections:
    image = np.zeros((20, 10 * max(cells, 1)), np.uint16)
    for cell in range(cells):
        image[5:15, 10 * cell + 2 : 10 * cell + 8] = cell + 1
    return LabelsConfig().build().detect(Frame(image, metadata(sequence)), labels=True)


def tracks(detections: Detections, ids: list[int], parents: list[int] | None = None) -> Tracks:
    """The first detection belongs to the track of the first id, and so on."""
    number = len(ids)
    status = np.full(number, TrackStatus.TENTATIVE, np.uint8)
    return Tracks(
        metadata=detections.metadata,
        image_shape=detections.image_shape,
        track_ids=np.array(ids, np.int64),
        parent_ids=np.array(parents or [0] * number, np.int64),
        generations=np.zeros(number, np.int32),
        centroids_px=detections.centroids_px,
        velocities_px=np.zeros((number, 2), np.float32),
        boxes_px=detections.boxes_px,
        class_ids=np.zeros(number, np.int64),
        status=status,
        previous_status=status,
        detection_rows=np.arange(number),
        sightings=np.ones(number, np.int32),
        first_sequences=np.zeros(number, np.int64),
        last_sequences=np.zeros(number, np.int64),
        first_seen_ns=np.zeros(number, np.int64),
        last_seen_ns=np.zeros(number, np.int64),
        areas_px=detections.areas_px,
        relative_areas=np.ones(number, np.float32),
    )


def followed(folder: Path, films: list[list[tuple[float, float, float]]]) -> None:
    """Write the CTC form of discs (y, x, diameter) in each frame, by the real tracker."""
    tracker = KalmanConfig().build()
    state = tracker.initial_state()
    with CtcWriter(folder) as writer:
        for sequence, cells in enumerate(films):
            image = np.zeros((120, 200), np.uint16)
            for value, (y, x, diameter) in enumerate(cells, 1):
                ys, xs = np.ogrid[:120, :200]
                image[(ys + 0.5 - y) ** 2 + (xs + 0.5 - x) ** 2 <= (diameter / 2) ** 2] = value
            detections = LabelsConfig().build().detect(Frame(image, metadata(sequence)), labels=True)
            state, tracks = tracker.update(state, detections, 0)
            writer.write(sequence, detections, tracks)


ONE, LEFT, RIGHT = [(60.0, 100.0, 30.0)], (60.0, 89.0, 21.0), (60.0, 111.0, 21.0)


def table_of(folder: Path) -> list[str]:
    return (folder / "res_track.txt").read_text().splitlines()


def test_daughters_have_their_mother_for_a_parent(tmp_path: Path) -> None:
    followed(tmp_path, [ONE] * 4 + [[LEFT, RIGHT]] * 4)
    assert table_of(tmp_path) == ["1 0 3 0", "2 4 7 1", "3 4 7 1"]


def test_a_division_that_was_none_leaves_the_mothers_label(tmp_path: Path) -> None:
    followed(tmp_path, [ONE] * 4 + [[LEFT, RIGHT]] + [[RIGHT]] * 4)
    assert table_of(tmp_path) == ["1 0 8 0", "2 4 4 0"]
    for frame in range(4, 9):
        mask = tifffile.imread(tmp_path / f"mask{frame:04d}.tif")
        assert mask[60, 111] == 1
        assert mask[60, 89] == (2 if frame == 4 else 0)


def test_what_was_missed_meanwhile_goes_on_from_the_mother(tmp_path: Path) -> None:
    # The survivor is out of sight in frame 5, and the other daughter from then on.
    followed(tmp_path, [ONE] * 4 + [[LEFT, RIGHT], [], [RIGHT], [RIGHT], [RIGHT]])
    assert table_of(tmp_path) == ["1 0 4 0", "2 4 4 0", "4 6 8 1"]


def test_masks_and_table(tmp_path: Path) -> None:
    with CtcWriter(tmp_path / "run") as writer:
        for sequence, ids, parents in (
            (0, [7, 9], None),
            (1, [9], None),  # 7 is out of sight
            (2, [9, 7], None),
            # Frame 3 was not counted.
            (4, [12, 13], [9, 9]),
        ):
            seen = frame(sequence, len(ids))
            writer.write(sequence, seen, tracks(seen, ids, parents))
        assert not (tmp_path / "run" / "res_track.txt").exists()
    lines = (tmp_path / "run" / "res_track.txt").read_text().splitlines()
    assert lines == ["1 0 0 0", "2 0 2 0", "3 2 2 1", "4 4 4 2", "5 4 4 2"]
    masks = [tifffile.imread(tmp_path / "run" / f"mask{i:04d}.tif") for i in range(5)]
    assert all(mask.dtype == np.uint16 for mask in masks)
    assert [sorted(set(mask.ravel().tolist())) for mask in masks] == [
        [0, 1, 2],
        [0, 2],
        [0, 2, 3],
        [0],
        [0, 4, 5],
    ]
    assert (masks[2][10, 5], masks[2][10, 15]) == (2, 3)


def test_a_folder_of_another_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mask0007.tif").write_bytes(b"old")
    with pytest.raises(ConfigurationError, match="already holds mask0007"):
        CtcWriter(tmp_path)


def test_detections_without_labels(tmp_path: Path) -> None:
    seen = LabelsConfig().build().detect(Frame(np.ones((9, 9), np.uint16), metadata(0)))
    with pytest.raises(ModelError, match="--ctc"), CtcWriter(tmp_path) as writer:
        writer.write(0, seen, tracks(seen, [1]))
    assert not (tmp_path / "res_track.txt").exists()
