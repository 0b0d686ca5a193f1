"""TIFF stacks: axes, metadata, kinds of pixels, damage."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from streamcount.errors import SourceError
from streamcount.sources import Run, TiffConfig, read_tiff

RNG = np.random.default_rng(2)
STACK = RNG.integers(0, 60000, (4, 2, 20, 30), dtype=np.uint16)  # T, C, Y, X
COLOURS = RNG.integers(0, 256, (3, 24, 36, 3), dtype=np.uint8)
JANUARY_2ND_NS = 1_577_934_245 * 1_000_000_000  # 2020-01-02T03:04:05Z


def write_ome(path: Path, stack: np.ndarray = STACK, **metadata: Any) -> Path:
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "TCYX", **metadata}, photometric="minisblack")
    return path


def details_of(path: Path, **choice: Any) -> list[Any]:
    return [frame.metadata for frame in read_tiff(path, **choice)]


def test_ome_tells_size_times_exposure_and_channel(tmp_path: Path) -> None:
    path = write_ome(
        tmp_path / "run 1.ome.tif",
        PhysicalSizeX=500.0,
        PhysicalSizeXUnit="nm",
        PhysicalSizeY=500.0,
        PhysicalSizeYUnit="nm",
        Channel={"Name": ["DAPI", "GFP"]},
        Plane={
            "DeltaT": [0, 0.5, 1500, 1500.5, 3000, 3000.5, 4500, 4500.5],
            "DeltaTUnit": ["ms"] * 8,
            "ExposureTime": [0.02] * 8,
        },
        AcquisitionDate="2020-01-02T03:04:05",
    )
    metadata = details_of(path, channel="GFP")
    assert [each.acquired_at_ns - JANUARY_2ND_NS for each in metadata] == [
        500_000, 1_500_500_000, 3_000_500_000, 4_500_500_000,
    ]  # fmt: skip
    assert {each.pixel_size_um for each in metadata} == {0.5}
    assert {each.exposure_ms for each in metadata} == {20.0}
    assert {each.channel for each in metadata} == {"GFP"}
    assert {each.run_id for each in metadata} == {"run-1"}
    assert [each.sequence for each in metadata] == [0, 1, 2, 3]


def test_times_without_a_date_begin_at_the_clocks(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", Plane={"DeltaT": [5, 5, 7, 7, 9, 9, 11, 11]})
    source = TiffConfig(path=path, channel=0).build()
    times = [frame.metadata.acquired_at_ns for frame in source.frames(Run("c", "r", lambda: 10**12))]
    assert times == [10**12, 10**12 + 2 * 10**9, 10**12 + 4 * 10**9, 10**12 + 6 * 10**9]
    played = TiffConfig(path=path, channel=0, times="clock").build()
    assert {frame.metadata.acquired_at_ns for frame in played.frames(Run("c", "r", lambda: 42))} == {42}


def test_a_time_increment_does_as_well(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", TimeIncrement=2.0, TimeIncrementUnit="min")
    times = [each.acquired_at_ns for each in details_of(path, channel=1)]
    assert times == [0, 120 * 10**9, 240 * 10**9, 360 * 10**9]


def test_times_that_stand_still_are_not_believed(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", Plane={"DeltaT": [0] * 8})
    assert [each.acquired_at_ns for each in details_of(path, channel=0, rate_hz=2.0)][:3] == [
        0,
        5 * 10**8,
        10**9,
    ]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.8}, 0.4),
        ({"PhysicalSizeX": 1.3, "PhysicalSizeXUnit": "pixel"}, None),
        ({"PhysicalSizeX": 1e-9}, None),
        ({"PhysicalSizeX": 0.001, "PhysicalSizeXUnit": "mm"}, 1.0),
        ({}, None),
    ],
)
def test_pixel_sizes(tmp_path: Path, metadata: dict[str, Any], expected: float | None) -> None:
    found = details_of(write_ome(tmp_path / "a.ome.tif", **metadata), channel=0)[0].pixel_size_um
    assert found == (None if expected is None else pytest.approx(expected))


def test_imagej_tells_size_and_interval(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK[:, :1],
        imagej=True,
        resolution=(2.0, 2.0),
        metadata={"axes": "TCYX", "unit": "um", "finterval": 2.5},
    )
    metadata = details_of(tmp_path / "a.tif")
    assert [each.acquired_at_ns for each in metadata] == [0, 2_500_000_000, 5_000_000_000, 7_500_000_000]
    assert metadata[0].pixel_size_um == 0.5


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("axes", ["TCYX", "CTYX"])
def test_each_channel_is_found_whatever_the_order(tmp_path: Path, axes: str, compression: str | None) -> None:
    stack = STACK if axes == "TCYX" else STACK.swapaxes(0, 1)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        stack,
        ome=True,
        metadata={"axes": axes},
        photometric="minisblack",
        compression=compression,
    )
    for channel in range(2):
        frames = [frame.image for frame in read_tiff(tmp_path / "a.ome.tif", channel=channel)]
        np.testing.assert_array_equal(frames, STACK[:, channel])


def test_planes_of_depth(tmp_path: Path) -> None:
    stack = STACK.reshape(2, 2, 2, 20, 30)  # T, Z, C
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stack, ome=True, metadata={"axes": "TZCYX"}, photometric="minisblack"
    )
    frames = [frame.image for frame in read_tiff(tmp_path / "a.ome.tif", channel=1, z=1)]
    np.testing.assert_array_equal(frames, stack[:, 1, 1])
    with pytest.raises(
        SourceError, match=r"holds 2 focal planes; name one with --plane, or z = .*\(0 to 1\)"
    ):
        read_tiff(tmp_path / "a.ome.tif", channel=1)
    with pytest.raises(SourceError, match="no focal plane 2"):
        read_tiff(tmp_path / "a.ome.tif", channel=1, z=2)
    with pytest.raises(SourceError, match="times and planes both"):
        read_tiff(tmp_path / "a.ome.tif", channel=1, z="time")


def test_planes_that_are_times_in_truth(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[:, 0], imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(SourceError, match='or "time" if they are times in truth'):
        read_tiff(tmp_path / "a.tif")
    np.testing.assert_array_equal(
        [frame.image for frame in read_tiff(tmp_path / "a.tif", z="time")], STACK[:, 0]
    )


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (None, r"holds 2 channels; choose one with --channel, or channel = .*\(0 'DAPI', 1 'GFP'\)"),
        ("RFP", "no channel named 'RFP'"),
        (2, "no channel 2"),
    ],
)
def test_a_channel_must_be_one_of_them(tmp_path: Path, channel: Any, message: str) -> None:
    path = write_ome(tmp_path / "a.ome.tif", Channel={"Name": ["DAPI", "GFP"]})
    with pytest.raises(SourceError, match=message):
        read_tiff(path, channel=channel)


def test_a_channel_wanted_of_a_file_without_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, 0])
    assert len(list(read_tiff(tmp_path / "a.tif", channel=0))) == 1
    with pytest.raises(SourceError, match="no channel 1"):
        read_tiff(tmp_path / "a.tif", channel=1)


def test_plain_pages_are_times(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in STACK[:, 0]:
            writer.write(page, contiguous=False, metadata=None)
    np.testing.assert_array_equal([frame.image for frame in read_tiff(tmp_path / "a.tif")], STACK[:, 0])


def test_planes_with_a_single_directory(tmp_path: Path) -> None:
    # As ImageJ writes files above 4 GB.
    tifffile.imwrite(tmp_path / "a.tif", STACK[:, 0], imagej=True, metadata={"axes": "TYX"}, truncate=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
    np.testing.assert_array_equal([frame.image for frame in read_tiff(tmp_path / "a.tif")], STACK[:, 0])


@pytest.mark.parametrize("codecs", [True, False], ids=["as installed", "without imagecodecs"])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_colour_pages_of_each_compression(
    tmp_path: Path, compression: int, codecs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not codecs:
        # The `score` extra brings it for these tests, but who only counts has it not.
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    pages = [page[:, :, ::-1] for page in COLOURS]
    assert cv2.imwritemulti(str(tmp_path / "a.tif"), pages, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    np.testing.assert_array_equal([frame.image for frame in read_tiff(tmp_path / "a.tif")], COLOURS)


def test_samples_in_planes_and_alpha(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(COLOURS[0], -1, 0), photometric="rgb", planarconfig="separate"
    )
    np.testing.assert_array_equal(next(read_tiff(tmp_path / "a.tif")).image, COLOURS[0])
    tifffile.imwrite(tmp_path / "b.tif", np.dstack([COLOURS[0], COLOURS[1, :, :, 0]]), photometric="rgb")
    np.testing.assert_array_equal(next(read_tiff(tmp_path / "b.tif")).image, COLOURS[0])


def test_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, 0], photometric="miniswhite")
    np.testing.assert_array_equal(next(read_tiff(tmp_path / "a.tif")).image, 65535 - STACK[0, 0])


def test_a_palette_becomes_colours(tmp_path: Path) -> None:
    palette = RNG.integers(0, 65536, (3, 256), dtype=np.uint16)
    indices = COLOURS[0, :, :, 0]
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=palette)
    expected = np.moveaxis(palette[:, indices], 0, -1) >> 8
    np.testing.assert_array_equal(next(read_tiff(tmp_path / "a.tif")).image, expected)


@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (STACK[0, 0].astype(np.float32), "float32"),
        (STACK[0, 0].astype(np.uint32) + 40_000, "uint32"),
        (STACK[0, 0].astype(np.int32) - 40_000, "int32"),
        (STACK[0, 0] > 30000, "1-bit"),
    ],
)
def test_other_pixels_need_a_range(tmp_path: Path, pixels: np.ndarray, named: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(SourceError, match=f"{named} pixels.* save it with 8 or 16 bits, .* value_range"):
        list(read_tiff(tmp_path / "a.tif"))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.int64])
def test_whole_numbers_that_sixteen_bits_hold_are_kept(tmp_path: Path, dtype: type) -> None:
    labels = np.array([[0, 1, 300], [7, 32_767, 32_767 if dtype is np.int16 else 65_535]])
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype))
    image = next(read_tiff(tmp_path / "a.tif")).image
    assert image.dtype == np.uint16
    assert image.tolist() == labels.tolist()


def test_labels_beyond_sixteen_bits_are_to_be_numbered_anew(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 65_536]], np.int32))
    with pytest.raises(SourceError, match=r"int32 pixels from 0 to 65536, .* number labels anew"):
        list(read_tiff(tmp_path / "a.tif"))


def test_a_range_scales_to_sixteen_bits(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-1.0, 0.0, 0.5], [1.0, 2.0, np.nan]], np.float32))
    source = TiffConfig(path=tmp_path / "a.tif", value_range=(0.0, 1.0)).build()
    image = next(source.frames(Run("c", "r", lambda: 0))).image
    assert image.tolist() == [[0, 0, 32768], [65535, 65535, 0]]
    assert image.dtype == np.uint16


def test_several_kinds_of_images_need_a_series(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((20, 30), np.uint8), metadata=None)
        writer.write(np.ones((40, 50), np.uint8), metadata=None)
    with pytest.raises(SourceError, match="holds 2 kinds of images; name one, series = 0 to 1"):
        read_tiff(tmp_path / "a.tif")
    source = TiffConfig(path=tmp_path / "a.tif", series=1).build()
    assert next(source.frames(Run("c", "r", lambda: 0))).image.shape == (40, 50)
    with pytest.raises(SourceError, match="no series 2"):
        TiffConfig(path=tmp_path / "a.tif", series=2).build()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["ome", "imagej", "pages"])
def test_no_cut_off_file_is_taken_for_whole(tmp_path: Path, kind: str, share: float) -> None:
    whole = tmp_path / "whole.tif"
    if kind == "ome":
        write_ome(whole, STACK[:, :1])
    elif kind == "imagej":
        tifffile.imwrite(whole, STACK[:, 0], imagej=True, metadata={"axes": "TYX"})
    else:
        cv2.imwritemulti(str(whole), list(COLOURS))
    data = whole.read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=r"cut\.tif"):
        list(read_tiff(cut))


def test_a_damaged_page_tells_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[2].dataoffsets[0], file.pages[2].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    frames = read_tiff(path)
    np.testing.assert_array_equal([next(frames).image, next(frames).image], STACK[:2, 0])
    with pytest.raises(SourceError, match="frame 2 of 4 is unreadable"):
        next(frames)


def test_no_tiff_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("no TIFF")
    with pytest.raises(SourceError, match="not a readable TIFF"):
        read_tiff(tmp_path / "a.tif")
    with pytest.raises(SourceError, match="No such file"):
        read_tiff(tmp_path / "none.tif")


def test_a_loop_has_the_clocks_times(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", Plane={"DeltaT": [0, 0, 1, 1, 2, 2, 3, 3]})
    source = TiffConfig(path=path, channel=0, loop=True).build()
    frames = source.frames(Run("c", "r", lambda: 42))
    seen = [next(frames) for _ in range(6)]
    assert source.frame_count is None
    assert [frame.metadata.sequence for frame in seen] == list(range(6))
    np.testing.assert_array_equal(seen[5].image, STACK[1, 0])
    assert {frame.metadata.acquired_at_ns for frame in seen} == {42}
