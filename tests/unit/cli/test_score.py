"""`streamcount score`, as a shell runs it, on drawn films."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile

from streamcount.errors import ExitCode
from tests.labelfilms import PLACES, T, masks_of, write_results, write_truth

Run = Callable[..., tuple[int, str, str]]
FRAMES = 6
TRUTH = [T(1, 0, "aaa"), T(2, 3, "bbb", 1), T(3, 3, "ccc", 1), T(4, 0, "dddddd")]
RESULTS = [T(1, 0, "aaab"), T(2, 4, "bb", 1), T(3, 4, "cc", 1), T(4, 0, "dddddd")]

needs_extra = pytest.mark.skipif(find_spec("ctc_metrics") is None, reason="needs the `score` extra")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, streamcount: Run) -> Run:
    monkeypatch.setenv("COLUMNS", "80")
    return streamcount


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    truth = write_truth(tmp_path / "01_GT", TRUTH, FRAMES)
    return truth, write_results(tmp_path / "01_RES", RESULTS, FRAMES)


@needs_extra
def test_tables_show_tra_beside_divisions(run: Run, folders: tuple[Path, Path]) -> None:
    code, out, _ = run("score", *folders)
    assert code == 0
    assert "6 frames; truth 4 tracks, 15 cells; results 4 tracks, 14 cells" in " ".join(out.split())
    rows = [line.split() for line in out.splitlines()]
    at = next(number for number, row in enumerate(rows) if row[:1] == ["TRA"])
    assert " ".join(rows[at]) == "TRA LNK division F1 ±0 division F1 ±1 division F1 ±2"
    assert rows[at + 2][2:] == ["0.000", "1.000", "1.000"]
    assert any(row[:1] == ["SEG"] for row in rows)
    kinds = {row[0]: " ".join(row[1:]) for row in rows if row and row[0] in ("divisions", "births", "ends")}
    assert kinds == {
        "divisions": "0 1 1 0 1 1 0.000 0.000 0.000",
        "births": "0 0 0 0 0 0 - - -",
        "ends": "0 0 0 0 0 0 - - -",
    }
    assert max(map(len, out.splitlines())) <= 80


@needs_extra
def test_json_has_all_figures_and_names_what_was_missed(run: Run, folders: tuple[Path, Path]) -> None:
    code, out, _ = run("score", *folders, "--buffer", "1", "--json")
    told = json.loads(out)
    assert code == 0
    assert list(told) == ["frames", "tracks", "cells", "measures", "divisions", "births", "ends"]
    assert list(told["measures"]) == ["SEG", "DET", "TRA", "LNK", "CT", "TF", "CHOTA", "BC(0)", "BC(1)"]
    assert told["divisions"][0] == {
        "buffer": 0, "true": 1, "found": 1, "matched": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0,
        "missed": [{"frame": 2, "label": 1}], "false": [{"frame": 3, "label": 1}],
    }  # fmt: skip
    assert told["divisions"][1]["f1"] == 1
    assert told["births"][1]["f1"] is None


@needs_extra
def test_truth_as_the_folder_with_the_table_has_no_seg(run: Run, folders: tuple[Path, Path]) -> None:
    truth, results = folders
    code, out, _ = run("score", truth / "TRA", results, "--json")
    assert code == 0
    assert "SEG" not in json.loads(out)["measures"]


@needs_extra
def test_frames_may_begin_at_another_number(run: Run, tmp_path: Path) -> None:
    truth = write_truth(tmp_path / "01_GT", TRUTH, FRAMES, first=7)
    results = write_results(tmp_path / "01_RES", RESULTS, FRAMES, first=7)
    code, out, _ = run("score", truth, results, "--json")
    assert code == 0
    assert json.loads(out)["divisions"][0]["missed"] == [{"frame": 9, "label": 1}]


@needs_extra
def test_what_count_writes_is_scored(run: Run, tmp_path: Path) -> None:
    cells = [T(n + 1, 0, place * FRAMES) for n, place in enumerate(PLACES[:9])]
    truth = write_truth(tmp_path / "01_GT", cells, FRAMES)
    code, *_ = run("count", truth / "SEG", "--detector", "labels", "--track", "--ctc", tmp_path / "out")
    assert code == 0
    code, out, _ = run("score", truth, tmp_path / "out", "--json")
    assert code == 0
    measures = json.loads(out)["measures"]
    assert {name for name, value in measures.items() if value == 1} >= {"SEG", "DET", "TRA", "LNK", "CHOTA"}


def test_without_the_extra_it_tells_how_to_install_it(
    run: Run, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctc_metrics", None)
    code, out, err = run("score", *folders)
    assert (code, out) == (ExitCode.CONFIGURATION, "")
    assert "pip install 'streamcount[score]'" in err


def drop(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def put(path: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / path).write_text(text)

    return write


def draw(path: str, mask: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: tifffile.imwrite(folder / path, mask)


LINES = "1 0 3 0\n2 4 5 1\n3 4 5 1\n4 0 5 0\n"
MASK = masks_of(RESULTS, FRAMES)[3]


@needs_extra
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop("01_RES/res_track.txt"), "01_RES: holds no res_track.txt; it is written last"),
        (drop("01_GT/TRA/man_track.txt"), "holds neither TRA/man_track.txt nor man_track.txt; name a folder"),
        (drop("01_RES/mask0003.tif"), "01_RES: no mask of frame 3, which"),
        (drop("01_GT/TRA/man_track0005.tif"), "TRA: no mask of frame 5, which"),
        (draw("01_RES/mask007.tif", MASK), "TRA: no mask of frame 7, which"),
        (draw("01_RES/mask003.tif", MASK), "mask0003.tif and mask003.tif are one frame"),
        (draw("01_GT/SEG/man_seg009.tif", MASK), "SEG has masks of frame 9, which the film has not"),
        (draw("01_RES/mask0003.tif", MASK[:-1]), "mask0003.tif 63 x 64; score results of the same images"),
        (draw("01_GT/SEG/man_seg003.tif", MASK[:, 1:]), "man_seg003.tif is 64 x 63 px, but"),
        (draw("01_RES/mask0003.tif", MASK.astype(np.float32)), "is float32 of shape (64, 64), not a label"),
        (draw("01_RES/mask0003.tif", np.stack([MASK] * 5)), "not a label image of whole numbers"),
        (draw("01_RES/mask0003.tif", MASK.astype(np.int32) - 1), "has labels below 0"),
        (put("01_RES/mask0003.tif", "no image"), "mask0003.tif: cannot be read as TIFF"),
        (draw("01_RES/mask0003.tif", MASK + (MASK > 0) * np.uint16(60)), "label 61, but res_track.txt has no line"),
        (put("01_RES/res_track.txt", LINES + "9 2 3 0\n"), "label 9 is there in frame 2, but mask0002.tif does not"),
        (put("01_RES/res_track.txt", LINES.replace("0 3", "0 2")), "label 1, but res_track.txt has another time"),
        (put("01_RES/res_track.txt", LINES.replace("4 0 5", "4 0 6")), "but the masks are of frames 0 to 5"),
        (put("01_RES/res_track.txt", LINES.replace("5 1", "5 8")), "label 2 has the parent 8, which has no line"),
        (put("01_RES/res_track.txt", LINES.replace("5 1", "5 4")), "but its parent 4 ends in 5"),
        (put("01_RES/res_track.txt", LINES + "4 0 5 0\n"), "label 4 has two lines"),
        (put("01_RES/res_track.txt", "1 0 3\n"), "line 1 is '1 0 3', not four whole numbers"),
        (put("01_RES/res_track.txt", LINES + "\n9 3 2 0"), "line 6, '9 3 2 0', is no track"),
        (put("01_RES/res_track.txt", "\n"), "there is no track in it"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(
    run: Run, folders: tuple[Path, Path], change: Callable[[Path], None], told: str
) -> None:
    change(folders[0].parent)
    code, out, err = run("score", *folders)
    assert (code, out) == (ExitCode.INPUT, "")
    assert told in " ".join(err.split())


@needs_extra
def test_folders_that_are_none_are_told(run: Run, folders: tuple[Path, Path]) -> None:
    truth, results = folders
    for arguments, told in (
        ((truth / "gone", results), "there is no such folder; name the folder with the truth"),
        ((truth, results / "gone"), "there is no such folder; name the folder with the results"),
        ((truth, results / "mask0000.tif"), "is no folder"),
        ((truth.parent, results), "name one of 01_GT in it"),
        ((truth, truth / "SEG"), "holds no res_track.txt"),
    ):
        code, _, err = run("score", *arguments)
        assert code == ExitCode.INPUT
        assert told in " ".join(err.split())
    for path in (truth / "TRA").glob("*.tif"):
        path.unlink()
    assert "no man_track0000.tif or the like" in run("score", truth, results)[2]


@needs_extra
def test_films_that_cannot_be_followed_are_told(run: Run, tmp_path: Path) -> None:
    one = write_truth(tmp_path / "a", [T(1, 0, "a")], 1), write_results(tmp_path / "b", [T(1, 0, "a")], 1)
    assert "one frame only" in run("score", *one)[2]
    holed = write_truth(tmp_path / "c", TRUTH, FRAMES), write_results(tmp_path / "d", RESULTS, FRAMES)
    (holed[0] / "TRA" / "man_track0002.tif").unlink()
    (holed[1] / "mask0002.tif").unlink()
    assert "no mask of frame 2; tracks are scored over whole films" in " ".join(
        run("score", *holed)[2].split()
    )


def test_help_teaches_by_example(run: Run) -> None:
    code, out, _ = run("score", "--help")
    assert code == 0
    assert "streamcount score 01_GT out/" in " ".join(out.split())
