"""Videos and cameras through OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from streamcount.errors import SourceError
from streamcount.sources import Run, SourceConfig, VideoConfig, read_video
from streamcount.sources.video import redacted

RUN = Run("cam", "run", lambda: 5)


def write_video(path: Path, frames: int = 30, rate_hz: float = 12.5) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), (number * 8, 0, 240 - number * 8), np.uint8))
    writer.release()
    return path


def test_frames_are_rgb_with_the_files_times(tmp_path: Path) -> None:
    frames = list(read_video(write_video(tmp_path / "a film.avi")))
    assert len(frames) == 30
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image[20, 20, 0] > 200
    assert frames[0].image[20, 20, 2] < 30
    assert frames[29].image[20, 20, 2] > 200
    assert [frame.metadata.acquired_at_ns for frame in frames[:3]] == [0, 80_000_000, 160_000_000]
    assert frames[0].metadata.run_id == "a-film"


def test_an_empty_file_is_told_as_empty(tmp_path: Path) -> None:
    (tmp_path / "zero.avi").touch()
    with pytest.raises(SourceError, match=r"zero\.avi: the file is empty; copy it again"):
        VideoConfig(location=str(tmp_path / "zero.avi")).build()


def test_a_percent_sign_is_no_pattern(tmp_path: Path) -> None:
    assert len(list(read_video(write_video(tmp_path / "100%03d.avi", 3)))) == 3


def test_a_loop_goes_on_counting(tmp_path: Path) -> None:
    source = VideoConfig(location=str(write_video(tmp_path / "a.avi", 3)), loop=True).build()
    frames = source.frames(RUN)
    seen = [next(frames) for _ in range(7)]
    frames.close()
    assert [frame.metadata.sequence for frame in seen] == list(range(7))
    np.testing.assert_array_equal(seen[6].image, seen[0].image)
    assert source.frame_count is None


def test_a_file_cut_off_is_told_with_where(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: int(len(data) * 0.6)])
    seen = []
    with pytest.raises(SourceError, match=r"cut\.avi: breaks off after \d+ of 30 frames"):
        seen.extend(read_video(tmp_path / "cut.avi"))


def test_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        read_video(tmp_path / "none.avi")
    (tmp_path / "a.avi").write_text("no video")
    with pytest.raises(SourceError, match="no video that OpenCV can read"):
        read_video(tmp_path / "a.avi")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (0, "camera 0"),
        ("run.avi", "run.avi"),
        ("rtsp://10.0.0.7:554/live", "rtsp://10.0.0.7:554/live"),
        ("rtsp://admin:hunter2@10.0.0.7/live", "rtsp://***@10.0.0.7/live"),
        ("rtsp://admin:hunt/er?2#@10.0.0.7/live", "rtsp://***@10.0.0.7/live"),
        ("http://10.0.0.7/mjpg?user=a&password=hunter2", "http://10.0.0.7/mjpg"),
        (" rtsp://admin:hunter2@10.0.0.7/live", " rtsp://***@10.0.0.7/live"),
    ],
)
def test_secrets_are_left_out(location: int | str, shown: str) -> None:
    assert redacted(location) == shown


def test_a_password_is_printed_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    # Port 9, "discard", is served by nobody here.
    config = VideoConfig(location="rtsp://admin:hunter2@127.0.0.1:9/live?token=hunter2", timeout_s=2)
    with pytest.raises(SourceError, match=r"rtsp://\*\*\*@127\.0\.0\.1:9/live: cannot be opened") as failure:
        next(config.build().frames(RUN))
    output = capfd.readouterr()
    for told in (str(failure.value), repr(config), str(config), output.out, output.err):
        assert "hunter2" not in told


def test_a_password_is_not_in_the_error_of_a_wrong_setting() -> None:
    with pytest.raises(ValidationError) as failure:
        VideoConfig.model_validate({"location": "rtsp://admin:hunter2@10.0.0.7/live", "rate": 1})
    assert "hunter2" not in str(failure.value)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="camera 97: cannot be opened"):
        next(VideoConfig(location=97).build().frames(RUN))


def test_a_number_stays_a_number() -> None:
    config = TypeAdapter(SourceConfig).validate_python({"kind": "video", "location": 0})
    assert config.location == 0
