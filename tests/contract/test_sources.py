"""What every source keeps to, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from pydantic import TypeAdapter, ValidationError

from streamcount.errors import SourceError
from streamcount.sources import Run, Source, SourceConfig

FRAMES = 6
ADAPTER: TypeAdapter[Any] = TypeAdapter(SourceConfig)


def pictures() -> Iterator[np.ndarray]:
    for number in range(FRAMES):
        image = np.full((48, 64, 3), 230, np.uint8)
        cv2.circle(image, (10 + 8 * number, 24), 6, (180, 40, 60), -1)
        yield image


def folder(where: Path) -> dict[str, Any]:
    (where / "images").mkdir()
    for number, image in enumerate(pictures()):
        cv2.imwrite(str(where / "images" / f"t{number}.png"), image)
    return {"kind": "folder", "path": str(where / "images")}


def tiff(where: Path) -> dict[str, Any]:
    tifffile.imwrite(where / "a.tif", np.stack(list(pictures())), photometric="rgb")
    return {"kind": "tiff", "path": str(where / "a.tif")}


def ome_tiff(where: Path) -> dict[str, Any]:
    stack = (
        np.stack([np.stack([image[:, :, 0], image[:, :, 1]]) for image in pictures()]).astype(np.uint16) * 200
    )
    tifffile.imwrite(
        where / "a.ome.tif",
        stack,
        ome=True,
        photometric="minisblack",
        metadata={"axes": "TCYX", "TimeIncrement": 1.0},
    )
    return {"kind": "tiff", "path": str(where / "a.ome.tif"), "channel": 1}


def video(where: Path) -> dict[str, Any]:
    writer = cv2.VideoWriter(str(where / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for image in pictures():
        writer.write(image)
    writer.release()
    return {"kind": "video", "location": str(where / "a.avi")}


def simulated(where: Path) -> dict[str, Any]:
    return {"kind": "simulated", "frames": FRAMES, "width_px": 96, "height_px": 64, "cells": 5, "seed": 3}


RECORDINGS: list[Callable[[Path], dict[str, Any]]] = [folder, tiff, ome_tiff, video, simulated]


@pytest.fixture(params=RECORDINGS, ids=lambda make: make.__name__)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    return request.param(tmp_path)


@pytest.fixture
def source(settings: dict[str, Any]) -> Source:
    return ADAPTER.validate_python(settings).build()


def new_run() -> Run:
    ticks = count(1_000_000_000, 50_000_000)
    return Run("scope-1", "run-7", lambda: next(ticks))


def test_frames_are_numbered_from_0_without_a_hole(source: Source) -> None:
    assert [frame.metadata.sequence for frame in source.frames(new_run())] == list(range(FRAMES))


def test_the_count_is_told_beforehand(source: Source) -> None:
    assert source.frame_count == FRAMES


def test_frames_belong_to_the_run(source: Source) -> None:
    for frame in source.frames(new_run()):
        assert frame.metadata.camera_id == "scope-1"
        assert frame.metadata.run_id == "run-7"


def test_images_are_of_one_kind_and_read_only(source: Source) -> None:
    frames = list(source.frames(new_run()))
    assert len({(frame.image.shape, frame.image.dtype) for frame in frames}) == 1
    assert not any(frame.image.flags.writeable for frame in frames)


def test_a_frame_stays_as_it_is_when_the_next_comes(source: Source) -> None:
    frames = source.frames(new_run())
    first = next(frames)
    before = first.image.copy()
    later = list(frames)
    np.testing.assert_array_equal(first.image, before)
    assert any(not np.array_equal(frame.image, before) for frame in later), "the pictures move"


def test_time_goes_on(source: Source) -> None:
    times = [frame.metadata.acquired_at_ns for frame in source.frames(new_run())]
    assert times[0] >= 1_000_000_000, "it begins at the run's clock"
    assert all(later > earlier for earlier, later in pairwise(times))


def test_a_second_reading_gives_the_same(source: Source) -> None:
    first, second = list(source.frames(new_run())), list(source.frames(new_run()))
    for one, other in zip(first, second, strict=True):
        assert one.metadata == other.metadata
        np.testing.assert_array_equal(one.image, other.image)


def test_two_readings_at_once_do_not_disturb_each_other(source: Source) -> None:
    one, other = source.frames(new_run()), source.frames(new_run())
    mixed = [(next(one), next(other)) for _ in range(FRAMES)]
    for left, right in mixed:
        np.testing.assert_array_equal(left.image, right.image)


def test_closing_midway_frees_the_files(source: Source) -> None:
    def open_files() -> list[str]:
        links = Path("/proc/self/fd").iterdir()
        return sorted(
            str(link.readlink())
            for link in links
            if link.is_symlink() and str(link.readlink()).startswith("/tmp")
        )

    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are listed in /proc on Linux only")
    before = open_files()
    frames = source.frames(new_run())
    list(islice(frames, 2))
    frames.close()
    assert open_files() == before


def test_settings_survive_writing_and_reading(settings: dict[str, Any]) -> None:
    config = ADAPTER.validate_python(settings)
    assert ADAPTER.validate_json(ADAPTER.dump_json(config)) == config


def test_unknown_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="bogus"):
        ADAPTER.validate_python({**settings, "bogus": 1})


@pytest.mark.parametrize("make", [folder, tiff, ome_tiff, video], ids=lambda make: make.__name__)
def test_what_is_not_there_is_named(make: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    settings = make(tmp_path)
    key = "location" if settings["kind"] == "video" else "path"
    settings[key] = str(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="nowhere"):
        list(ADAPTER.validate_python(settings).build().frames(new_run()))
