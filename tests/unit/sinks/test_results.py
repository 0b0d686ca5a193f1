"""The lines of results, whose form others rely on, and the file that they are in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamcount.errors import ConfigurationError
from streamcount.pipeline import StepResult
from streamcount.sinks.files import picture_name
from streamcount.sinks.results import ResultWriter, result_line
from streamcount.types import CountsUpdated, Detections, FrameMetadata, ModelIdentity, Tracks, TrackStatus
from streamcount.wire.cloudevents import encode_event

META = FrameMetadata(camera_id="file", run_id="run", sequence=3, acquired_at_ns=3_000_000_000)
FOUND = Detections(
    metadata=META,
    image_shape=(48, 64),
    model=ModelIdentity("blood", "ab" * 32, ("red", "white", "platelet")),
    centroids_px=np.array([[10.123456, 20.5], [30.0, 40.3]], np.float32),
    boxes_px=np.array([[4.1, 14.25, 16.0, 26.75], [24.0, 34.0, 36.0, 46.6]], np.float32),
    areas_px=np.array([118.7345, 120.0], np.float32),
    class_probabilities=np.array([[0.1, 0.912345, 0.0], [1.0000001, 0.0, 0.0]], np.float32),
)


def tracks() -> Tracks:
    numbers = np.arange(3, dtype=np.int64)
    places = np.zeros((3, 2), np.float32)
    return Tracks(
        metadata=META, image_shape=(48, 64), track_ids=numbers + 7, parent_ids=numbers * 0,
        generations=np.zeros(3, np.int32), sightings=np.ones(3, np.int32),
        areas_px=np.ones(3, np.float32), relative_areas=np.ones(3, np.float32),
        centroids_px=places, velocities_px=places, boxes_px=np.zeros((3, 4), np.float32),
        class_ids=numbers * 0,
        status=np.array([TrackStatus.CONFIRMED, TrackStatus.TENTATIVE, TrackStatus.LOST], np.uint8),
        previous_status=np.zeros(3, np.uint8), detection_rows=np.array([1, 0, -1]), first_sequences=numbers,
        last_sequences=numbers, first_seen_ns=numbers, last_seen_ns=numbers,
    )  # fmt: skip


def test_the_form_is_pinned() -> None:
    # Others read these lines: add to them if need be, change nothing.
    assert result_line("a/b.png", 3, FOUND).decode() == (
        '{"source":"a/b.png","index":3,"counts":{"red":1,"white":1,"platelet":0},"detections":['
        '{"box":[4.1,14.25,16.0,26.75],"centroid":[10.12,20.5],"class":"white","score":0.9123,'
        '"area_px":118.7},'
        '{"box":[24.0,34.0,36.0,46.6],"centroid":[30.0,40.3],"class":"red","score":1.0,"area_px":120.0}],'
        f'"model":{{"name":"blood","sha256":"{"ab" * 32}"}}}}'
    )


def test_following_adds_track_ids_and_the_events_as_on_the_wire() -> None:
    event = CountsUpdated(
        camera_id="file", run_id="run", sequence=3, happened_at_ns=3_000_000_000, decided_at_ns=3_000_000_000,
        counts={"red": 1}, total=1, confirmed_tracks=1, cells_seen=4,
    )  # fmt: skip
    step = StepResult(detections=FOUND, tracks=tracks(), events=(event,))
    line = json.loads(result_line("a.avi", 3, FOUND, step))
    assert [cell["track_id"] for cell in line["detections"]] == [None, 7]
    assert line["events"] == [json.loads(encode_event(event))]
    assert list(line) == ["source", "index", "counts", "detections", "model", "events"]


def test_the_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "r.jsonl"
    with ResultWriter(path) as writer:
        writer.write(b"{}")
        assert not path.exists()
    assert path.read_bytes() == b"{}\n"

    def fail() -> None:
        with ResultWriter(path) as writer:
            writer.write(b"lost")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"{}\n"
    assert [each.name for each in path.parent.iterdir()] == ["r.jsonl"]
    with ResultWriter(path) as writer:
        writer.write(b"[]")
    assert path.read_bytes() == b"[]\n"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(ConfigurationError, match="cannot be written"),
        ResultWriter(tmp_path / "file" / "r.jsonl"),
    ):
        pass


def test_names_of_pictures_keep_apart() -> None:
    sources = ["a/x.png", "b/x.png", "a/x.tif", "a/x y.png", "a/x_y.png"]
    names = {
        picture_name(source, index, kind)
        for source in sources
        for index in (0, 1)
        for kind in ("labels", "overlay")
    }
    assert len(names) == 20
    assert picture_name("a/x.png", 12, "labels") == "x-1308aee6-000012.labels.png"
    assert len(picture_name("a/" + "x" * 250 + ".png", 0, "overlay")) < 200
