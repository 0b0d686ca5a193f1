"""Corrections of a frame, and the folder that keeps them for good."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from streamcount.errors import CorrectionError
from streamcount.sinks.corrections import CorrectionsFolder
from streamcount.sinks.files import part_of
from streamcount.types.corrections import (
    CorrectedModel,
    Correction,
    Draw,
    FoundCell,
    FrameFacts,
    Relabel,
    Saving,
    Strike,
    labelled,
    labelled_by,
)
from streamcount.wire import encode_image

DATA = encode_image(np.full((48, 64, 3), 90, np.uint8), "jpeg")
BOX = (10.0, 10.0, 20.0, 22.0)


def facts(data: bytes = DATA, **changes: Any) -> FrameFacts:
    made = FrameFacts(
        camera_id="scope-1",
        run_id="a",
        sequence=7,
        acquired_at_ns=1_800_000_000_000_000_000,
        frame_sha256=sha256(data).hexdigest(),
        content_type="image/jpeg",
        width_px=64,
        height_px=48,
        pixel_size_um=0.5,
        model=CorrectedModel("blood", "ab" * 32, ("red", "white")),
        found=(FoundCell((1.0, 2.0, 9.0, 11.0), "red", 0.9), FoundCell((30.0, 30.0, 40.0, 41.0), "red", 0.6)),
    )
    return msgspec.structs.replace(made, **changes)


def saving(number: int, *corrections: Correction, checked: bool = True, data: bytes = DATA) -> Saving:
    at_ns = 1_800_000_000_000_000_000 + number
    return Saving(
        frame=facts(data), number=number, saved_at_ns=at_ns, corrections=corrections, checked=checked
    )


@pytest.mark.parametrize(
    ("corrections", "wanted"),
    [
        ((), [(0, "red"), (1, "red")]),
        ((Relabel(1, "white"),), [(0, "red"), (1, "white")]),
        ((Strike(0),), [(1, "red")]),
        ((Draw(BOX, "white"),), [(0, "red"), (1, "red"), (2, "white")]),
        ((Strike(1), Draw(BOX, "white"), Relabel(2, "red")), [(0, "red"), (2, "red")]),
        ((Draw(BOX, "red"), Strike(2), Draw(BOX, "white")), [(0, "red"), (1, "red"), (3, "white")]),
    ],
)
def test_corrections_apply_in_order(
    corrections: tuple[Correction, ...], wanted: list[tuple[int, str]]
) -> None:
    assert [(cell.cell, cell.class_name) for cell in labelled(facts(), corrections)] == wanted


@pytest.mark.parametrize(
    ("corrections", "words"),
    [
        ((Relabel(2, "red"),), "no cell 2"),
        ((Strike(0), Strike(0)), "struck before"),
        ((Relabel(0, "blue"),), "give one of red, white"),
        ((Draw(BOX, "blue"),), "no class of blood"),
        ((Draw((10.0, 10.0, 11.0, 30.0), "red"),), "at least 2 px"),
        ((Draw((40.0, 10.0, 49.0, 30.0), "red"),), "within the image"),
        ((Draw((-1.0, 10.0, 20.0, 30.0), "red"),), "within the image"),
        ((Draw((20.0, 10.0, 10.0, 30.0), "red"),), "at least 2 px"),
        ((Draw((float("nan"), 10.0, 20.0, 30.0), "red"),), "within the image"),
    ],
)
def test_corrections_that_do_not_fit_are_refused(corrections: tuple[Correction, ...], words: str) -> None:
    with pytest.raises(CorrectionError, match=words):
        labelled(facts(), corrections)


def test_what_was_kept_is_there_with_its_frame_in_order(tmp_path: Path) -> None:
    folder = CorrectionsFolder(tmp_path / "kept")
    assert (folder.newest(5), list(folder.frames())) == ((), [])
    first, second = saving(1, Strike(0), checked=False), saving(2, Draw(BOX, "white"))
    other = encode_image(np.full((48, 64), 9, np.uint16), "png")
    third = msgspec.structs.replace(
        saving(1, data=other), frame=facts(other, content_type="image/png"), saved_at_ns=first.saved_at_ns + 9
    )
    folder.keep(first, DATA)
    folder.keep(second, DATA)
    folder.keep(third, other)
    assert folder.of_frame(first.frame.frame_sha256) == (first, second)
    assert [cell.cell for cell in labelled_by(folder.of_frame(first.frame.frame_sha256))] == [1, 2]
    assert sorted(map(len, folder.frames())) == [1, 2]
    assert folder.newest(2) == (third, second)
    assert folder.image_of(first.frame).read_bytes() == DATA
    assert folder.image_of(third.frame).read_bytes() == other
    assert sorted(path.suffix for path in (tmp_path / "kept").rglob("*") if path.is_file()) == [
        ".jpg", ".json", ".json", ".json", ".png"
    ]  # fmt: skip


def test_nothing_is_written_over(tmp_path: Path) -> None:
    folder = CorrectionsFolder(tmp_path)
    path = folder.keep(saving(1, Strike(0)), DATA)
    before = path.read_bytes()
    with pytest.raises(CorrectionError, match="somebody else"):
        folder.keep(saving(1, Strike(1)), DATA)
    assert path.read_bytes() == before
    with pytest.raises(CorrectionError, match="not that of frame"):
        folder.keep(saving(2), DATA + b"x")


def test_what_a_crash_left_half_written_is_not_read(tmp_path: Path) -> None:
    folder = CorrectionsFolder(tmp_path)
    path = folder.keep(saving(1), DATA)
    part_of(path.with_name(path.name.replace("-0001", "-0002"))).write_text('{"frame": {')
    part_of(folder.image_of(facts(b"other"))).write_bytes(b"oth")
    assert (folder.newest(5), list(folder.frames())) == ((saving(1),), [(saving(1),)])


def test_a_damaged_saving_and_a_place_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    folder = CorrectionsFolder(tmp_path)
    path = folder.keep(saving(1), DATA)
    path.write_text("{")
    with pytest.raises(CorrectionError, match=path.name):
        folder.newest(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(CorrectionError, match="cannot be written"):
        CorrectionsFolder(tmp_path / "file").keep(saving(1), DATA)
