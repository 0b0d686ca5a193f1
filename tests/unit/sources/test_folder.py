"""Folders of images, and single image files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from streamcount.errors import SourceError
from streamcount.sources import FolderConfig, Run, read_folder
from streamcount.sources.images import read_image

COLOURS = np.random.default_rng(1).integers(0, 256, (24, 36, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, parameters: tuple[int, ...] = ()) -> Path:
    bgr = pixels if pixels.ndim == 2 else pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    assert cv2.imwrite(str(path), bgr, parameters)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_colours_come_back_as_rgb(tmp_path: Path, suffix: str) -> None:
    # 101 is lossless WebP; other formats take no notice of it.
    path = save(
        tmp_path / f"a{suffix}", COLOURS, (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
    )
    np.testing.assert_array_equal(read_image(path), COLOURS)


def test_jpeg_is_rgb_too(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 200
    image = read_image(save(tmp_path / "a.jpg", red))
    assert image[8, 8, 0] > 180
    assert image[8, 8, 2] < 20


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str) -> None:
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    np.testing.assert_array_equal(read_image(save(tmp_path / f"a{suffix}", grey)), grey)
    colour = COLOURS.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_image(save(tmp_path / f"b{suffix}", colour)), colour)


def test_a_folder_of_several_channels_is_read_by_the_one_that_is_chosen(tmp_path: Path) -> None:
    stack = np.random.default_rng(3).integers(0, 65536, (2, 20, 30), dtype=np.uint16)
    for name in ("t1", "t2"):
        metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
        tifffile.imwrite(
            tmp_path / f"{name}.ome.tif", stack, ome=True, metadata=metadata, photometric="minisblack"
        )
    run = Run("scope", "r", lambda: 0)
    for chosen in (1, "GFP"):
        frames = list(FolderConfig(path=tmp_path, channel=chosen).build().frames(run))
        assert [frame.metadata.channel for frame in frames] == ["GFP", "GFP"]
        np.testing.assert_array_equal(frames[1].image, stack[1])
    with pytest.raises(SourceError, match="channel = "):
        list(FolderConfig(path=tmp_path).build().frames(run))
    with pytest.raises(ValidationError, match="low below high"):
        FolderConfig(path=tmp_path, value_range=(9, 9))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    transparent = np.dstack([COLOURS, COLOURS[:, :, 0]])
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", transparent)), COLOURS)


def test_exif_rotation_is_not_applied(tmp_path: Path) -> None:
    jpeg = save(tmp_path / "a.jpg", COLOURS).read_bytes()
    # An APP1 segment whose only tag is Orientation = 6, "turn right".
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    (tmp_path / "b.jpg").write_bytes(
        jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]
    )
    assert cv2.imread(str(tmp_path / "b.jpg")).shape[:2] == (36, 24), "the orientation is there"
    np.testing.assert_array_equal(read_image(tmp_path / "b.jpg"), read_image(tmp_path / "a.jpg"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_file_cut_off_is_an_error_that_names_it(tmp_path: Path, suffix: str, share: float) -> None:
    data = save(tmp_path / f"whole{suffix}", COLOURS).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=f"cut\\{suffix}"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_an_empty_file_is_told_as_empty(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"zero{suffix}"
    path.touch()
    with pytest.raises(SourceError, match=f"zero\\{suffix}: the file is empty; copy it again"):
        read_image(path)


def test_an_image_of_too_many_pixels_is_told_in_words(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"0" * 1000)
    path = tmp_path / "huge.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    with pytest.raises(SourceError, match=r"huge\.png: too many pixels to be read; cut it into tiles$"):
        read_image(path)


def test_what_follows_a_jpegs_end_does_no_harm(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", COLOURS)
    before = read_image(path)
    path.write_bytes(path.read_bytes() + b"maker's notes" * 100)
    np.testing.assert_array_equal(read_image(path), before)


def test_float_pixels_say_what_to_do(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOURS[:, :, 0].astype(np.float32))
    with pytest.raises(SourceError, match="float32 pixels; save it with 8 or 16 bits"):
        read_image(tmp_path / "a.tif")


def test_order_is_a_persons(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        save(tmp_path / f"t{number}.png", np.full((8, 8), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._t1.png").write_bytes(b"a Mac's")
    (tmp_path / "deeper.png").mkdir()
    frames = list(read_folder(tmp_path, rate_hz=4))
    assert [int(frame.image[0, 0]) for frame in frames] == [1, 9, 10, 100]
    assert [frame.metadata.acquired_at_ns for frame in frames] == [0, 250_000_000, 500_000_000, 750_000_000]
    assert {frame.metadata.camera_id for frame in frames} == {"file"}


def test_a_run_is_named_like_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Day 3 (µ)"
    folder.mkdir()
    save(folder / "a.png", COLOURS)
    assert next(read_folder(folder)).metadata.run_id == "Day-3"


def test_a_loop_goes_on_counting(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / f"{number}.png", np.full((8, 8), number, np.uint8))
    source = FolderConfig(path=tmp_path, loop=True, rate_hz=5).build()
    assert source.frame_count is None
    assert source.rate_hz == 5
    frames = source.frames(Run("cam", "run", lambda: 7))
    seen = [next(frames) for _ in range(5)]
    assert [frame.metadata.sequence for frame in seen] == [0, 1, 2, 3, 4]
    assert [int(frame.image[0, 0]) for frame in seen] == [0, 1, 0, 1, 0]


def test_a_tiff_among_images_brings_its_pixel_size(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif", COLOURS[:, :, 0], ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.25}
    )
    assert next(read_folder(tmp_path)).metadata.pixel_size_um == 0.25
    assert next(read_folder(tmp_path, pixel_size_um=0.5)).metadata.pixel_size_um == 0.5


def test_a_broken_file_ends_the_run_and_is_named(tmp_path: Path) -> None:
    save(tmp_path / "1.png", COLOURS)
    (tmp_path / "2.png").write_bytes(b"no image")
    frames = read_folder(tmp_path)
    next(frames)
    with pytest.raises(SourceError, match=r"2\.png"):
        next(frames)


def test_a_stack_among_images_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    with pytest.raises(SourceError, match="a stack of 3 frames among single images"):
        next(read_folder(tmp_path))


def test_no_folder_or_no_image(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder that can be read"):
        FolderConfig(path=tmp_path / "none").build()
    with pytest.raises(SourceError, match="no PNG, JPEG, TIFF, BMP or WebP image"):
        FolderConfig(path=tmp_path).build()


def test_foolish_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        FolderConfig.model_validate({"path": ".", "rate_hz": 0})
