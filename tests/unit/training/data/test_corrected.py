"""Corrections as a training set: the found cells with what people said of them, and nothing half checked."""

from __future__ import annotations

import csv
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from streamcount.cli import app
from streamcount.errors import CorrectionError, TrainingError
from streamcount.sinks.corrections import CorrectionsFolder
from streamcount.training.data.corrected import CorrectedChoice, write_corrected
from streamcount.training.data.read import read_data
from streamcount.types import Image
from streamcount.types.corrections import (
    CorrectedModel,
    Correction,
    Draw,
    FoundCell,
    FrameFacts,
    Relabel,
    Saving,
    Strike,
)
from streamcount.wire import encode_image
from streamcount.wire.images import CONTENT_TYPES, Encoding

FOUND = (FoundCell((10.0, 20.0, 40.0, 60.0), "pale", 0.9), FoundCell((50.0, 5.0, 80.0, 33.0), "pale", 0.5))


def picture(seed: int, side_px: int = 100) -> Image:
    chance = np.random.default_rng(seed)
    return np.ascontiguousarray(
        cv2.resize(chance.integers(0, 255, (10, 10, 3)).astype(np.uint8), (side_px, side_px))
    )


def facts_of(
    data: bytes, encoding: Encoding, image: Image, found: tuple[FoundCell, ...] = FOUND
) -> FrameFacts:
    return FrameFacts(
        camera_id="scope-1",
        run_id="a",
        sequence=7,
        acquired_at_ns=1_800_000_000_000_000_000,
        frame_sha256=sha256(data).hexdigest(),
        content_type=CONTENT_TYPES[encoding],
        width_px=image.shape[1],
        height_px=image.shape[0],
        pixel_size_um=None,
        model=CorrectedModel("drawn", "ab" * 32, ("pale", "dark")),
        found=found,
    )


def keep(
    folder: Path,
    image: Image,
    *savings: tuple[Correction, ...],
    checked: bool = True,
    encoding: Encoding = "png",
    new_classes: tuple[str, ...] = (),
) -> FrameFacts:
    data = encode_image(image, encoding)
    facts = facts_of(data, encoding, image)
    for number, corrections in enumerate(savings, 1):
        CorrectionsFolder(folder).keep(
            Saving(
                frame=facts,
                number=number,
                saved_at_ns=1_800_000_000_000_000_000 + number,
                corrections=corrections,
                checked=checked,
                new_classes=new_classes,
                remark=f"r{number}",
            ),
            data,
        )
    return facts


DRAWN = Draw((60.0, 60.0, 90.0, 80.0), "dark")


@pytest.mark.parametrize("encoding", ["jpeg", "png", "raw"])
def test_labels_are_the_found_cells_with_their_corrections(tmp_path: Path, encoding: Encoding) -> None:
    image = picture(1)
    facts = keep(tmp_path / "kept", image, (Relabel(0, "dark"),), (Strike(1), DRAWN), encoding=encoding)
    made = write_corrected(tmp_path / "kept", tmp_path / "mine")
    assert (made.frames, made.cells, made.unchecked, made.class_names) == (1, 2, 0, ("pale", "dark"))
    dataset = read_data(tmp_path / "mine")
    (read,) = dataset.images
    assert dataset.class_names == ("pale", "dark")
    np.testing.assert_allclose(read.boxes_px, [[10, 20, 40, 60], [60, 60, 90, 80]], atol=0.01)
    assert read.class_ids.tolist() == [1, 1]
    seen = read.read()
    if encoding == "jpeg":
        assert np.abs(seen.astype(int) - image).mean() < 5
    else:
        np.testing.assert_array_equal(seen, image)
    (row,) = csv.DictReader((tmp_path / "mine" / "frames.csv").open())
    assert row["frame_sha256"] == facts.frame_sha256
    assert (row["model_sha256"], row["found"], row["cells"], row["remarks"]) == (
        "ab" * 32,
        "2",
        "2",
        "r1 | r2",
    )


def test_frames_that_nobody_checked_wholly_are_left_out_and_counted(tmp_path: Path) -> None:
    keep(tmp_path / "kept", picture(1), (DRAWN,))
    keep(tmp_path / "kept", picture(2), (DRAWN,), checked=False)
    made = write_corrected(tmp_path / "kept", tmp_path / "mine")
    assert (made.frames, made.cells, made.unchecked) == (1, 3, 1)
    with pytest.raises(TrainingError, match="not empty"):
        write_corrected(tmp_path / "kept", tmp_path / "mine")
    with pytest.raises(TrainingError, match="none is wholly checked"):
        write_corrected(tmp_path / "kept", tmp_path / "other", CorrectedChoice(cameras=("scope-9",)))
    with pytest.raises(TrainingError, match="is no folder"):
        write_corrected(tmp_path / "nowhere", tmp_path / "other")


def test_frames_of_models_with_other_classes_are_not_mixed(tmp_path: Path) -> None:
    keep(tmp_path / "kept", picture(1), (DRAWN,))
    data = encode_image(picture(2), "png")
    facts = msgspec.structs.replace(
        facts_of(data, "png", picture(2), ()), model=CorrectedModel("other", "cd" * 32, ("cell",))
    )
    saving = Saving(frame=facts, number=1, saved_at_ns=1, corrections=(), checked=True)
    CorrectionsFolder(tmp_path / "kept").keep(saving, data)
    with pytest.raises(TrainingError, match="choose with --model"):
        write_corrected(tmp_path / "kept", tmp_path / "mine")
    made = write_corrected(tmp_path / "kept", tmp_path / "mine", CorrectedChoice(models=("other",)))
    assert (made.frames, made.cells, made.class_names) == (1, 0, ("cell",))


def test_an_image_that_is_not_what_was_saved_is_refused(tmp_path: Path) -> None:
    facts = keep(tmp_path / "kept", picture(1), (DRAWN,))
    CorrectionsFolder(tmp_path / "kept").image_of(facts).write_bytes(encode_image(picture(3), "png"))
    with pytest.raises(CorrectionError, match="not what was saved"):
        write_corrected(tmp_path / "kept", tmp_path / "mine")


def test_from_corrections_to_a_model_that_was_trained_from_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw_cells: Callable[..., tuple[Image, list[str]]]
) -> None:
    pytest.importorskip("tensorflow", reason="training needs the `train` extra")
    monkeypatch.chdir(tmp_path)
    chance = np.random.default_rng(5)
    for _ in range(10):
        image, lines = draw_cells(chance)
        correct_by_truth(Path("kept"), image, lines)

    def run(*words: str) -> None:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output

    run("data", "corrections", "kept", "--output", "mine")
    run("data", "check", "mine")
    run("data", "split", "mine", "--val", "0.3")
    small = ("--epochs", "1", "--batch", "4", "--canvas", "96", "--diameter", "24")
    run("train", "mine", "--output", "made/first", "--width", "4", *small)
    run("train", "mine", "--from", "made/first", "--output", "made/second", *small)
    assert '"pale"' in Path("made/second/model.toml").read_text(encoding="utf-8")


def correct_by_truth(folder: Path, image: Image, lines: list[str]) -> None:
    """A frame in which the first cell was missed and one was found that is none; and a person who says so."""
    rows = [[float(word) for word in line.split()] for line in lines]
    names, side = ("pale", "dark"), image.shape[0]
    cells = [
        FoundCell(
            tuple(side * v for v in (cy - h / 2, cx - w / 2, cy + h / 2, cx + w / 2)),
            names[int(class_id)],
            0.9,
        )
        for class_id, cx, cy, w, h in rows
    ]
    false = FoundCell((0.0, 0.0, 8.0, 8.0), "pale", 0.4)
    data = encode_image(image, "png")
    saving = Saving(
        frame=facts_of(data, "png", image, (false, *cells[1:])),
        number=1,
        saved_at_ns=1,
        corrections=(Strike(0), Draw(cells[0].box_px, cells[0].class_name)),
        checked=True,
    )
    CorrectionsFolder(folder).keep(saving, data)


def test_frames_that_were_not_looked_at_for_a_new_class_are_left_out(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    keep(kept, picture(1), (Relabel(0, "blast"),), new_classes=("blast",))
    keep(kept, picture(2), (Strike(0),))
    keep(kept, picture(3), (), new_classes=("blast",))
    made = write_corrected(kept, tmp_path / "set")
    assert (made.frames, made.unchecked, made.class_names) == (2, 1, ("pale", "dark", "blast"))
    lines = [
        line for path in (tmp_path / "set/labels").glob("*.txt") for line in path.read_text().splitlines()
    ]
    assert sorted(line.split()[0] for line in lines) == ["0", "0", "0", "2"]
    keep(tmp_path / "apart", picture(1), (), new_classes=("blast",))
    keep(tmp_path / "apart", picture(2), (), new_classes=("ghost",))
    with pytest.raises(TrainingError, match="pale, dark, blast, ghost"):
        write_corrected(tmp_path / "apart", tmp_path / "none")
