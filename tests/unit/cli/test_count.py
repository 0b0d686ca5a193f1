"""`streamcount count`, as a shell runs it, on pictures drawn here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from streamcount.errors import ExitCode
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig

Count = Callable[..., tuple[int, str, str]]


def smear(cells: int, shift: int = 0) -> np.ndarray:
    """A pale picture with so many dark discs of 24 px."""
    image = np.full((160, 240, 3), (235, 225, 230), np.uint8)
    for number in range(cells):
        centre = (30 + 40 * (number % 5) + shift, 30 + 45 * (number // 5))
        cv2.circle(image, centre, 12, (170, 90, 140), -1, cv2.LINE_AA)
    noise = np.random.default_rng(cells).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def save(path: Path, cells: int) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    assert cv2.imwrite(str(path), smear(cells)[:, :, ::-1])
    return path


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch, streamcount: Count) -> Count:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object, detector: str = "watershed") -> tuple[int, str, str]:
        return streamcount("count", "--detector", detector, *arguments)

    return run


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_picture(count: Count, tmp_path: Path) -> None:
    path = save(tmp_path / "smear.png", 7)
    code, out, err = count(path, "--output", tmp_path / "r.jsonl")
    assert (code, err) == (0, "")
    assert [row.split() for row in out.splitlines() if "smear.png" in row] == [[str(path), "7", "7"]]
    (line,) = lines(tmp_path / "r.jsonl")
    assert list(line) == ["source", "index", "counts", "detections", "model"]
    assert line["source"] == str(path)
    assert line["index"] == 0
    assert line["counts"] == {"cell": 7}
    assert list(line["model"]) == ["name", "sha256"]
    assert len(line["detections"]) == 7
    for cell in line["detections"]:
        assert list(cell) == ["box", "centroid", "class", "score", "area_px"]
        y0, x0, y1, x1 = cell["box"]
        y, x = cell["centroid"]
        assert 0 <= y0 < y < y1 <= 160
        assert 0 <= x0 < x < x1 <= 240
        assert 0 <= cell["score"] <= 1
        assert cell["area_px"] == pytest.approx(np.pi * 12.5**2, rel=0.2)
    places = sorted((round(x), round(y)) for y, x in (cell["centroid"] for cell in line["detections"]))
    drawn = sorted((30 + 40 * (n % 5), 30 + 45 * (n // 5)) for n in range(7))
    assert np.abs(np.array(places) - drawn).max() <= 1, "in pixels of the picture"


def test_lines_come_in_the_order_of_the_files_whatever_the_threads(count: Count, tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "in" / f"t{number}.png", number)
    for threads in (1, 4):
        code, _, _ = count(tmp_path / "in", "--threads", threads, "--output", tmp_path / f"{threads}.jsonl")
        assert code == 0
        found = lines(tmp_path / f"{threads}.jsonl")
        assert [Path(line["source"]).name for line in found] == [f"t{number}.png" for number in range(12)]
        assert [line["counts"]["cell"] for line in found] == list(range(12))
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "4.jsonl").read_bytes()


def test_a_choice_within_a_tiff_is_told_for_what_is_none(count: Count, tmp_path: Path) -> None:
    first = save(tmp_path / "in" / "1.png", 1)
    code, _, err = count(first, "--channel", "7")
    assert code == 0
    assert f"--channel: for TIFFs only; {first} is none, and taken as without it" in err
    for number in (2, 3):
        save(tmp_path / "in" / f"{number}.png", number)
    save(tmp_path / "in" / "4.tif", 4)
    _, _, err = count(tmp_path / "in", "--channel", "0", "--plane", "0")
    assert f"--channel and --plane: for TIFFs only; {first} and 2 more are none" in err
    assert "TIFFs only" not in count(tmp_path / "in" / "4.tif", "--channel", "0")[2]
    assert "TIFFs only" not in count(first)[2]


def test_a_broken_file_is_told_and_the_others_counted(count: Count, tmp_path: Path) -> None:
    for number in (1, 3):
        save(tmp_path / "in" / f"{number}.png", number)
    (tmp_path / "in" / "2.png").write_bytes(b"no image")
    code, out, err = count(tmp_path / "in", tmp_path / "gone.png", "--output", tmp_path / "r.jsonl")
    assert code == ExitCode.INPUT
    assert "2.png: no readable image" in err
    assert "gone.png: there is no such file" in err
    assert "2 not counted" in err
    assert [line["counts"]["cell"] for line in lines(tmp_path / "r.jsonl")] == [1, 3]
    assert "3.png" in out


def test_nothing_readable_is_an_error_and_leaves_old_results_alone(count: Count, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "r.jsonl").write_text("old")
    code, out, err = count(tmp_path / "a.png", "--output", tmp_path / "r.jsonl")
    assert code == ExitCode.INPUT
    assert out == ""
    assert "nothing was counted" in err
    assert (tmp_path / "r.jsonl").read_text() == "old"


def test_a_picture_that_no_cell_is_in_counts(count: Count, tmp_path: Path) -> None:
    code, _, _ = count(save(tmp_path / "empty.png", 0), "--output", tmp_path / "r.jsonl")
    assert code == 0
    assert lines(tmp_path / "r.jsonl")[0]["detections"] == []


def test_results_on_standard_output_are_alone_there(count: Count, tmp_path: Path) -> None:
    code, out, err = count(save(tmp_path / "a.png", 3), "--output", "-")
    assert code == 0
    assert json.loads(out)["counts"] == {"cell": 3}
    assert "total" in err


def test_stacks_videos_and_patterns(count: Count, tmp_path: Path) -> None:
    stack = np.stack([smear(number)[:, :, 1] for number in (2, 4, 6)])
    tifffile.imwrite(
        tmp_path / "s.ome.tif", stack, ome=True, metadata={"axes": "TYX"}, photometric="minisblack"
    )
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (240, 160))
    for number in (5, 3):
        writer.write(smear(number)[:, :, ::-1])
    writer.release()
    for number in (10, 9):
        save(tmp_path / "more" / f"p{number}.png", number)
    pattern = tmp_path / "more" / "p*.png"
    code, out, _ = count(
        tmp_path / "s.ome.tif", tmp_path / "v.avi", pattern, "--output", tmp_path / "r.jsonl"
    )
    assert code == 0
    found = lines(tmp_path / "r.jsonl")
    told = [(Path(line["source"]).name, line["index"], line["counts"]["cell"]) for line in found]
    assert told == [
        ("s.ome.tif", 0, 2), ("s.ome.tif", 1, 4), ("s.ome.tif", 2, 6),
        ("v.avi", 0, 5), ("v.avi", 1, 3), ("p9.png", 0, 9), ("p10.png", 0, 10),
    ]  # fmt: skip
    rows = {
        Path(row.split()[0]).name: row.split()[1:] for row in out.splitlines() if row.strip().startswith("/")
    }
    assert rows == {
        "s.ome.tif": ["3", "4.0", "4.0"],
        "v.avi": ["2", "4.0", "4.0"],
        "p9.png": ["1", "9", "9"],
        "p10.png": ["1", "10", "10"],
    }
    assert "all frames, added 7 39 39" in " ".join(out.split())


def test_a_folder_may_hold_stacks_too(count: Count, tmp_path: Path) -> None:
    save(tmp_path / "in" / "b.png", 1)
    tifffile.imwrite(tmp_path / "in" / "one.tif", smear(3)[:, :, 1])
    tifffile.imwrite(tmp_path / "in" / "two.tif", np.stack([smear(4)[:, :, 1]] * 2), photometric="minisblack")
    code, _, _ = count(tmp_path / "in", "--output", tmp_path / "r.jsonl")
    assert code == 0
    found = [(Path(line["source"]).name, line["index"]) for line in lines(tmp_path / "r.jsonl")]
    assert sorted(found) == [("b.png", 0), ("one.tif", 0), ("two.tif", 0), ("two.tif", 1)]


def test_a_file_given_twice_is_counted_once(count: Count, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 2)
    code, _, _ = count(path, tmp_path, path.parent / "*.png", "--output", tmp_path / "r.jsonl")
    assert code == 0
    assert len(lines(tmp_path / "r.jsonl")) == 1


def test_many_files_are_summed_up(count: Count, tmp_path: Path) -> None:
    picture = save(tmp_path / "in" / "0.png", 3).read_bytes()
    for number in range(1, 45):
        (tmp_path / "in" / f"{number}.png").write_bytes(picture)
    code, out, _ = count(tmp_path / "in")
    assert code == 0
    rows = [row.split() for row in out.splitlines()]
    assert [str(tmp_path / "in"), "45", "3.0", "3.0"] in rows
    assert ["all", "frames,", "added", "45", "135", "135"] in rows
    assert "7.png" not in out


def test_masks_and_overlays_lie_beside_each_other(count: Count, tmp_path: Path) -> None:
    for folder, cells in (("a", 2), ("b", 5)):
        save(tmp_path / folder / "x.png", cells)
    out = tmp_path / "out"
    code, _, _ = count(
        tmp_path / "a", tmp_path / "b", "--masks", out, "--overlay", out, "--output", out / "r.jsonl"
    )
    assert code == 0
    masks, overlays = sorted(out.glob("*.labels.png")), sorted(out.glob("*.overlay.png"))
    assert len(masks) == len(overlays) == 2
    labels = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in masks]
    assert {int(image.max()) for image in labels} == {2, 5}
    assert all(image.dtype == np.uint16 and image.shape == (160, 240) for image in labels)
    for line in lines(out / "r.jsonl"):
        mask = next(image for image in labels if int(image.max()) == line["counts"]["cell"])
        for number, cell in enumerate(line["detections"], start=1):
            y, x = cell["centroid"]
            assert mask[round(y), round(x)] == number


def test_following_cells_through_a_folder(count: Count, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        cv2.imwrite(str(tmp_path / "in" / f"t{number}.png"), smear(4, shift=2 * number)[:, :, ::-1])
    (tmp_path / "in" / "t4.png").write_bytes(b"no image")
    code, out, _ = count(tmp_path / "in", "--track", "--output", tmp_path / "r.jsonl")
    assert code == ExitCode.INPUT
    found = lines(tmp_path / "r.jsonl")
    assert [cell["track_id"] for cell in found[0]["detections"]] == [None] * 4
    followed = {cell["track_id"]: cell["centroid"] for cell in found[3]["detections"]}
    assert None not in followed
    assert len(followed) == 4
    last = {cell["track_id"]: cell["centroid"] for cell in found[-1]["detections"]}
    assert set(last) == set(followed), "the lost frame did not tear the tracks"
    for track_id, (_, x) in followed.items():
        assert last[track_id][1] == pytest.approx(x + 4, abs=1.5)
    kinds = [event["data"]["kind"] for line in found for event in line["events"]]
    assert kinds.count("CellAppeared") == 4
    missing = [event["data"] for event in found[-1]["events"] if event["data"]["kind"] == "FramesMissing"]
    assert [(event["sequence"], event["last_sequence"], event["reason"]) for event in missing] == [
        (4, 4, "dead-lettered")
    ]
    assert "cells followed" in out


def test_each_recording_is_a_run_of_its_own(count: Count, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        stack = np.stack([smear(3, shift=number) for number in range(4)])
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "s.tif", stack, photometric="rgb")
    code, _, _ = count(tmp_path / "a", tmp_path / "b", "--track", "--output", tmp_path / "r.jsonl")
    assert code == 0
    found = lines(tmp_path / "r.jsonl")
    runs = [{event["data"]["run_id"] for event in line["events"]} for line in found]
    assert runs == [{"s"}] * 4 + [{"s-2"}] * 4
    ids = [event["id"] for line in found for event in line["events"]]
    assert len(set(ids)) == len(ids)


def test_a_channel_must_be_chosen(count: Count, tmp_path: Path) -> None:
    stack = np.stack([np.stack([smear(2)[:, :, 1], smear(5)[:, :, 1]])] * 2)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stack, ome=True, photometric="minisblack",
        metadata={"axes": "TCYX", "Channel": {"Name": ["DAPI", "GFP"]}},
    )  # fmt: skip
    code, _, err = count(tmp_path / "a.ome.tif")
    assert code == ExitCode.INPUT
    assert "holds 2 channels" in err
    code, _, _ = count(tmp_path / "a.ome.tif", "--channel", "GFP", "--output", tmp_path / "r.jsonl")
    assert code == 0
    assert [line["counts"]["cell"] for line in lines(tmp_path / "r.jsonl")] == [5, 5]


def test_the_size_of_a_cell_can_be_told(count: Count, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 4)
    code, _, _ = count(path, "--cell-diameter-px", 100, "--output", tmp_path / "r.jsonl")
    assert code == 0
    assert lines(tmp_path / "r.jsonl")[0]["counts"] == {"cell": 0}, "discs of 24 px are far too small"
    for um_per_px, cells in ((0.5, 4), (0.1, 0)):
        words = ("--cell-diameter-um", 12, "--pixel-size-um", um_per_px, "--output", tmp_path / "r.jsonl")
        code, _, err = count(path, *words)
        assert (code, err) == (0, "")
        assert lines(tmp_path / "r.jsonl")[0]["counts"] == {"cell": cells}
    code, _, err = count(path, path, "--cell-diameter-um", 12)
    assert code == 0
    assert err.count("pixel size is unknown") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--model", "m"], "--model"),
        (["--plane", "top"], "--plane"),
        (["--value-range", "5", "5"], "--value-range"),
        (["--pixel-size-um", "0"], "--pixel-size-um"),
        (["--cell-diameter-px", "20", "--cell-diameter-um", "8"], "--cell-diameter-um"),
        (["--tracker", "max_misses=5"], "--track"),
    ],
)
def test_foolish_options_are_refused(count: Count, tmp_path: Path, arguments: list[str], named: str) -> None:
    code, _, err = count(save(tmp_path / "a.png", 1), *arguments)
    assert code == ExitCode.USAGE
    assert named in err


def test_a_model_that_is_not_there(count: Count, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 1)
    code, _, err = count(
        path, "--model", tmp_path / "none", "--output", tmp_path / "r.jsonl", detector="tflite"
    )
    assert code == ExitCode.MODEL
    assert "none" in err
    assert not (tmp_path / "r.jsonl").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="names of files are text there")
def test_a_name_that_is_no_utf_8(count: Count, tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", 2).read_bytes()
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/b\xff.png"))
    odd.write_bytes(source)
    code, _, _ = count(odd, "--output", tmp_path / "r.jsonl", "--masks", tmp_path / "m")
    assert code == 0
    assert lines(tmp_path / "r.jsonl")[0]["source"].endswith("b\\udcff.png")


def test_a_model_of_outlines_tells_how_much_of_the_image_is_cell(count: Count, tmp_path: Path) -> None:
    image = np.zeros((160, 200), np.uint8) + 12
    for number in range(6):
        cv2.circle(image, (40 + 60 * (number % 3), 45 + 70 * (number // 3)), 14, 180, -1, cv2.LINE_AA)
    assert cv2.imwrite(str(tmp_path / "nuclei.png"), cv2.GaussianBlur(image, (0, 0), 1.5))
    results = tmp_path / "out.jsonl"
    words = ("--model", "nuclei", "--cell-diameter-px", 28, "--output", results)
    code, out, _ = count(tmp_path / "nuclei.png", *words, detector="tflite")
    assert code == 0
    assert "covered %" in out
    told = lines(results)[0]
    assert told["counts"] == {"nucleus": 6}
    discs = 6 * np.pi * 14**2 / image.size
    assert told["foreground_fraction"] == pytest.approx(discs, rel=0.2)


def test_a_second_stage_tells_red_cells_apart(count: Count, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", 8)
    words = ("--second-stage", "red-cell-shapes", "--cell-diameter-px", 24, "--border", "whole")
    code, out, _ = count(picture, *words, detector="tflite")
    assert code == 0
    assert "spherocyte" in out
    assert "white" in out
    code, _, err = count(picture, "--second-stage", "nuclei", detector="tflite")
    assert code == ExitCode.MODEL
    assert "crop-classification" in err


def test_watershed_takes_no_model_and_no_rule_for_the_border(count: Count, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", 4)
    assert count(picture, "--second-stage", "red-cell-shapes")[0] == ExitCode.USAGE
    assert count(picture, "--form", "float32")[0] == ExitCode.USAGE
    assert count(picture, "--border", "whole")[0] == ExitCode.USAGE


def test_given_masks_are_followed_into_the_form_of_the_cell_tracking_challenge(
    count: Count, tmp_path: Path
) -> None:
    truth = tmp_path / "truth"
    settings = {"seed": 4, "modality": "fluorescence", "frames": 12, "cells": 40, "seconds_per_frame": 60.0}
    source = SimulatedConfig.model_validate({**settings, "truth": truth}).build()
    assert sum(1 for _ in source.frames(Run("camera", "run", lambda: 0))) == 12
    given, written = next(truth.rglob("TRA")), tmp_path / "ctc"
    code, _, err = count(*sorted(given.glob("*.tif")), "--track", "--ctc", written, detector="labels")
    assert code == 0, err
    label_of, links = {}, 0
    for index in range(12):
        true = tifffile.imread(given / f"man_track{index:04d}.tif")
        found = tifffile.imread(written / f"mask{index:04d}.tif")
        assert np.array_equal(true > 0, found > 0)
        now = {int(name): int(found[true == name][0]) for name in np.unique(true[true > 0])}
        assert all((found == label).sum() == (true == name).sum() for name, label in now.items())
        links += sum(label_of.get(name) == label for name, label in now.items())
        label_of = now
    assert links >= 0.97 * 11 * 40
    spans = [tuple(map(int, line.split())) for line in (written / "res_track.txt").read_text().splitlines()]
    assert [span[0] for span in spans] == list(range(1, len(spans) + 1))
    assert all(0 <= begin <= end <= 11 and parent < label for label, begin, end, parent in spans)
    # A second run does not mix with the first.
    assert count(given, "--track", "--ctc", written, detector="labels")[0] == ExitCode.CONFIGURATION


def test_what_does_not_go_with_given_masks_or_with_tracks_on_disk(count: Count, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", 4)
    assert count(picture, "--ctc", tmp_path / "o", detector="labels")[0] == ExitCode.USAGE
    for option in ("--cell-diameter-px", "--cell-diameter-um"):
        assert count(picture, option, 20, detector="labels")[0] == ExitCode.USAGE
    code, _, err = count(picture, detector="labels")
    assert code == ExitCode.INPUT
    assert "one channel" in err
    code, _, err = count(save(tmp_path / "a.jpg", 4), detector="labels")
    assert code == ExitCode.INPUT
    assert "JPEG has changed the values" in err
